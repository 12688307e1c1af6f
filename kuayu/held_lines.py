"""What `kuayu held` prints for people; what it gets is as the API answers it."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec


def of_list(answer: Mapping[str, Any]) -> Iterator[str]:
    """A line an event."""
    for each in answer["held"]:
        behind = f"  +{each['behind']} behind" if each["behind"] else ""
        awaits = f"  awaits {each['awaits']}" if each["awaits"] else ""
        yield (
            f"{each['row']:>8}  {each['since']}  {each['stream']}  {each['case']}  {each['type']}  "
            f"{each['status']} {each['code']}: {each['reason']}{awaits}  tries {each['tries']}{behind}"
        )
    yield f"{len(answer['held'])} held" + ("; there are more (--limit)" if answer["next"] else "")


def of_quarantine(answer: Mapping[str, Any]) -> Iterator[str]:
    """A line a record."""
    for each in answer["quarantined"]:
        place = f"{each['topic']}/{each['partition']}@{each['offset']}"
        yield f"{each['seen_at']}  {place}  {each['size']} bytes  {each['reason']}"
    yield f"{len(answer['quarantined'])} quarantined"


def of_one(found: Mapping[str, Any]) -> Iterator[str]:
    """An explanation as people read it."""
    event, told = found["event"], found["told"]
    yield f"row {event['row']}  {event['stream']}  {event['case']}  {event['type']}"
    yield f"  {event['status']} {event['code']}: {event['reason']}"
    yield f"  {found['meaning_zh']}"
    yield f"  {found['meaning_en']}"
    if event["awaits"]:
        yield f"  等待 awaits     {event['awaits']}"
    yield f"  自 since        {event['since']}, tries {event['tries']}, last by {event['version'] or '-'}"
    yield f"  来自 from       {found['source']}, {event['lane']} #{found['number']}, id {found['id']}"
    yield f"  位置 place      {found['place']}, {found['size']} bytes, sha256 {found['sha256'][:16]}…"
    said = (
        f"{told['status']} {told['code']}: {told['reason']}"
        if told
        else "nothing more: it began the lane anew since"
    )
    yield f"  已告知 told     {said}"
    yield f"  其后 behind     {', '.join(str(each['row']) for each in found['behind']) or '-'}"
    if found["data_problem"]:
        yield f"  内容 data       {found['data_problem']}"
    else:
        yield "  内容 data       (personal fields masked)"
        shown = msgspec.json.format(msgspec.json.encode(found["data"]), indent=2).decode()
        yield from (f"    {line}" for line in shown.splitlines())


def of_outcome(outcome: Mapping[str, Any]) -> Iterator[str]:
    """What became of each, or would."""
    for each in outcome["tried"]:
        why = f" {each['code']}: {each['reason']}" if each["code"] or each["reason"] else ""
        yield f"{each['row']:>8}  {each['case']}  {each['type']}  {each['outcome']}{why}"
    would = "; nothing was changed (dry run)" if outcome["dry_run"] else ""
    yield f"{outcome['cases']} cases, {outcome['settled']} events settled{would}"
