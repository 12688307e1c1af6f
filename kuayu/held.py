"""`kuayu held …`: what it asks of a running node, what it reads from a ledger on this machine, and how it is shown."""

import os
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

from bus import dead_letters
from bus.dead_letters import DeadLetter
from bus.envelope import partition_of
from bus.held import Which, explain, find, quarantined
from bus.transport import (
    Outbound,
    PermanentError,
    RetriableError,
    TopicSpec,
    Transport,
    TransportError,
    open_transport,
)
from kuayu.inspection import open_ledger
from kuayu.settings import Settings
from schemas import load_catalogue

TIMEOUT = 40.0
"""Seconds; longer than a node waits for its ledger."""
FLUSH_SECONDS = 30.0


class HeldError(Exception):
    """What was asked could not be done; the message is one line for people."""


class Api:
    """A running node: it alone writes its ledger, so whoever wants something done asks it."""

    def __init__(self, address: str, key: str) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str, **query: Any) -> Any:
        """Raises HeldError."""
        said = {name: value for name, value in query.items() if value not in (None, False)}
        return self._ask("GET", path, params=said)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Raises HeldError."""
        return self._ask(
            "POST", path, json={name: value for name, value in body.items() if value is not None}
        )

    def _ask(self, method: str, path: str, **values: Any) -> Any:
        try:
            answer = httpx.request(
                method, self._address + path, headers=self._headers, timeout=TIMEOUT, **values
            )
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise HeldError(f"{self._address} does not answer as a node: {type(error).__name__}") from error
        if answer.is_success:
            return found
        raise HeldError(f"{answer.status_code} {_problem(found)}")


def _problem(found: Any) -> str:
    """A problem (RFC 9457) in one line."""
    if not isinstance(found, dict):
        return "without a reason"
    fields = [
        f"{each.get('field')}: {each.get('problem')} ({each.get('expected') or 'see the documents'})"
        for each in found.get("errors", ())
    ]
    return "; ".join(fields) or str(found.get("detail") or found.get("title"))


# From a ledger on this machine, whether a node runs or not.


def read_list(settings: Settings, code: str, which: Which, limit: int) -> dict[str, Any]:
    """As GET /v1/held. Raises InspectionError."""
    with open_ledger(settings, code) as (ledger, _):
        held: list[Any] = msgspec.to_builtins(find(ledger, which, limit))
        return {"held": held, "next": None}


def read_quarantine(settings: Settings, code: str, limit: int) -> dict[str, Any]:
    """As GET /v1/quarantine. Raises InspectionError."""
    with open_ledger(settings, code) as (ledger, _):
        return {"quarantined": [msgspec.to_builtins(each) for each, _ in quarantined(ledger, limit)]}


def read_one(settings: Settings, code: str, row: int) -> dict[str, Any]:
    """As GET /v1/held/ROW. Raises InspectionError, HeldError."""
    with open_ledger(settings, code) as (ledger, records):
        found = explain(ledger, records, load_catalogue(), row)
        if found is None:
            raise HeldError(f"row {row} of {code} is not held, or no longer")
        shown: dict[str, Any] = msgspec.to_builtins(found)
        return shown


# Dead letters.


def export(settings: Settings, code: str, which: Which, limit: int, *, topic: str, file: Path | None) -> int:
    """Write what is held, and what was kept of quarantined records, to a topic or a file; gives how many records.

    Nothing is changed, and every export writes them anew: `ce_id` and `kuayu.row` tell copies apart. Quarantined
    records are left out where a filter says what is meant.

    Raises:
        InspectionError: no such ledger.
        HeldError: the topic or the file can't be written.
    """
    with open_ledger(settings, code) as (ledger, _):
        letters: Iterator[DeadLetter] = dead_letters.held_letters(ledger, which, limit)
        if which == Which():
            letters = _both(letters, dead_letters.quarantined_letters(ledger, limit))
        if file is not None:
            return _to_file(file, letters)
        return _to_topic(settings, topic, letters)


def _both(first: Iterator[DeadLetter], second: Iterator[DeadLetter]) -> Iterator[DeadLetter]:
    yield from first
    yield from second


def _to_file(file: Path, letters: Iterator[DeadLetter]) -> int:
    """One JSON object a line, bytes in base64. For its owner's eyes only: bodies may be personal."""
    count = 0
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            for letter in letters:
                record = {
                    "key": _text(letter.key),
                    "headers": [[name, _text(value)] for name, value in letter.headers],
                    "value": _text(letter.value),
                }
                out.write(msgspec.json.encode(record) + b"\n")
                count += 1
    except OSError as error:
        raise HeldError(f"{file}: {error.strerror}") from error
    return count


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _to_topic(settings: Settings, topic: str, letters: Iterator[DeadLetter]) -> int:
    try:
        settings.check_broker()
        transport = open_transport(settings.driver, settings.bootstrap_servers)
    except (ValueError, TransportError) as error:
        raise HeldError(str(error)) from error
    try:
        partitions = _partitions(transport, topic)
        return _send(transport, topic, partitions, letters)
    except TransportError as error:
        raise HeldError(f"{topic}: {error}") from error
    finally:
        transport.close()


def _partitions(transport: Transport, topic: str) -> int:
    """Those that the topic has; where there is none, it is made with one."""
    found = transport.topics().get(topic)
    if found is None:
        transport.ensure_topics([TopicSpec(topic, 1)])
    return found or 1


def _send(transport: Transport, topic: str, partitions: int, letters: Iterator[DeadLetter]) -> int:
    failed: list[TransportError] = []
    producer = transport.producer("kuayu.held-export")
    count = 0

    def done(error: TransportError | None) -> None:
        if error is not None:
            failed.append(error)

    try:
        for letter in letters:
            partition = partition_of(letter.key.decode(), partitions)
            record = Outbound(topic, partition, letter.key, letter.value, letter.headers)
            while not _taken(producer.send, record, done):
                if not producer.flush(FLUSH_SECONDS):
                    raise RetriableError("the broker does not take more")
            count += 1
        if not producer.flush(FLUSH_SECONDS):
            raise RetriableError("not all was acknowledged; export again")
    finally:
        producer.close()
    if failed:
        raise failed[0]
    return count


def _taken(send: Any, record: Outbound, done: Any) -> bool:
    """False if the buffer is full."""
    try:
        send(record, done)
    except PermanentError:
        raise
    except RetriableError:
        return False
    return True


# For people.


def lines_of_list(answer: Mapping[str, Any]) -> Iterator[str]:
    """A line an event."""
    for each in answer["held"]:
        behind = f"  +{each['behind']} behind" if each["behind"] else ""
        awaits = f"  awaits {each['awaits']}" if each["awaits"] else ""
        yield (
            f"{each['row']:>8}  {each['since']}  {each['stream']}  {each['case']}  {each['type']}  "
            f"{each['status']} {each['code']}: {each['reason']}{awaits}  tries {each['tries']}{behind}"
        )
    yield f"{len(answer['held'])} held" + ("; there are more (--limit)" if answer["next"] else "")


def lines_of_quarantine(answer: Mapping[str, Any]) -> Iterator[str]:
    """A line a record."""
    for each in answer["quarantined"]:
        place = f"{each['topic']}/{each['partition']}@{each['offset']}"
        yield f"{each['seen_at']}  {place}  {each['size']} bytes  {each['reason']}"
    yield f"{len(answer['quarantined'])} quarantined"


def lines_of_one(found: Mapping[str, Any]) -> Iterator[str]:
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


def lines_of_outcome(outcome: Mapping[str, Any]) -> Iterator[str]:
    """What became of each, or would."""
    for each in outcome["tried"]:
        why = f" {each['code']}: {each['reason']}" if each["code"] or each["reason"] else ""
        yield f"{each['row']:>8}  {each['case']}  {each['type']}  {each['outcome']}{why}"
    would = "; nothing was changed (dry run)" if outcome["dry_run"] else ""
    yield f"{outcome['cases']} cases, {outcome['settled']} events settled{would}"
