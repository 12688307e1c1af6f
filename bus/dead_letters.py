"""Held and quarantined records as dead letters, for tools that expect a topic of them. Making them changes nothing.

The headers are those of Kafka Connect's dead letter queue (DeadLetterQueueReporter, KIP-298): `__connect.errors.…`,
all as text. Stack traces are not among them: none are kept, as their values may be personal (law 10).
"""

from collections.abc import Iterator
from typing import NamedTuple

from bus import envelope as env
from bus.held import HeldEvent, Quarantined, Which, entry_of, find, quarantined
from bus.ledger import Entry, Ledger

PREFIX = "__connect.errors."
AT_ONCE = 500
_CONVERTING = {"undecodable", "schema", "contract"}
"""Codes of what failed before its case was asked."""
_NAMES_AN_ERROR = {"handler_error", "not_storable"}
"""Codes whose reason begins with the error's class."""


class DeadLetter(NamedTuple):
    """A record for a dead-letter topic: key, headers and body as they came, and headers that say what is wrong."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def held_letters(ledger: Ledger, which: Which, limit: int) -> Iterator[DeadLetter]:
    """What is held, in the order of rows, at most so many."""
    after = 0
    while limit > 0 and (events := find(ledger, which, min(limit, AT_ONCE), after)):
        for event in events:
            yield _of_held(event, entry_of(ledger, event.row))
        after, limit = events[-1].row, limit - len(events)


def quarantined_letters(ledger: Ledger, limit: int) -> Iterator[DeadLetter]:
    """What was kept of quarantined records: the first bytes of their bodies, without key and headers."""
    after: tuple[str, int, int] | None = None
    while limit > 0 and (found := quarantined(ledger, min(limit, AT_ONCE), after)):
        for record, sample in found:
            yield _of_quarantined(record, sample)
            after = (record.topic, record.partition, record.offset)
        limit -= len(found)


def _of_held(event: HeldEvent, entry: Entry) -> DeadLetter:
    topic, partition, offset = entry.place or ("", 0, 0)
    error = event.reason.partition(" at ")[0] if event.code in _NAMES_AN_ERROR else event.code
    said: dict[str, str | int] = {
        "topic": topic,
        "partition": partition,
        "offset": offset,
        "connector.name": event.stream,
        "task.id": partition,
        "stage": "VALUE_CONVERTER" if event.code in _CONVERTING else "TASK_PUT",
        "class.name": "kuayu",
        "exception.class.name": error,
        "exception.message": f"{event.code}: {event.reason}",
    }
    own: dict[str, str | int] = {
        "kuayu.status": event.status,
        "kuayu.code": event.code,
        "kuayu.awaits": event.awaits,
        "kuayu.row": event.row,
    }
    original = [*env.headers_of(entry.head), (env.LANE_HASH, entry.lane_hash.hex().encode())]
    return DeadLetter(entry.subject.encode(), entry.value, [*original, *_headers(said), *_headers(own, "")])


def _of_quarantined(record: Quarantined, sample: bytes) -> DeadLetter:
    said: dict[str, str | int] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "connector.name": env.stream_of_topic(record.topic),
        "task.id": record.partition,
        "stage": "HEADER_CONVERTER",
        "class.name": "kuayu",
        "exception.class.name": "quarantined",
        "exception.message": record.reason,
    }
    own: dict[str, str | int] = {"kuayu.status": "quarantined", "kuayu.size": record.size}
    return DeadLetter(b"", sample, [*_headers(said), *_headers(own, "")])


def _headers(values: dict[str, str | int], prefix: str = PREFIX) -> list[tuple[str, bytes]]:
    return [(prefix + name, str(value).encode()) for name, value in values.items()]
