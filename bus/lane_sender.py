"""One lane's place in the relay: how far it was sent, what was acknowledged, and what its rows are on the wire."""

from collections import deque
from datetime import datetime, timedelta

from bus import envelope as env
from bus.books import Lane
from bus.envelope import LaneName
from bus.ledger import Entry
from bus.sending import UNRECEIPTED
from bus.transport import Outbound, PermanentError, TransportError
from schemas import Codec
from schemas.models import Tombstone

PAUSE_FIRST = timedelta(milliseconds=200)
PROBE_FIRST = timedelta(seconds=20)


class LaneSender:
    """One lane's place in the relay."""

    def __init__(self, lane: Lane, now: datetime) -> None:
        self.lane = lane
        self.name = LaneName.parse(lane.name)
        self.until = lane.number if lane.opening else None
        """While the lane is being opened (law 11), nothing beyond this number is sent, and below only what is asked for."""
        self.receipted = self.name.topic.split(".")[1] not in UNRECEIPTED
        self.last = lane.number
        """The last number committed."""
        self.acknowledged = lane.cursor
        self.mark = lane.mark
        self.queue: deque[Entry] = deque()
        self.next = lane.cursor + 1 if self.until is None else lane.number + 1
        """The next number to be sent; the queue, if there is one, begins with it."""
        self.results: deque[tuple[int, TransportError | None]] = deque()
        """What became of sends, put here by the transport's threads."""
        self.outstanding = 0
        self.early: set[int] = set()
        """Acknowledged out of turn: what follows a failed row, or what was sent again."""
        self.failures: dict[int, TransportError] = {}
        """Numbers that were not acknowledged, and why."""
        self.tombstones: set[int] = set()
        self.pause = PAUSE_FIRST
        self.not_before = now
        self.probe_pause = PROBE_FIRST
        self.probe_at = now + PROBE_FIRST

    @property
    def behind(self) -> int:
        """Rows that are committed and not acknowledged."""
        return self.last - self.acknowledged

    @property
    def idle(self) -> bool:
        end = self.last if self.until is None else self.until
        return not (self.outstanding or self.results or self.failures) and self.next > end

    def outbound(self, entry: Entry, codec: Codec) -> Outbound:
        """The record of a row, or the tombstone in its place (law 2)."""
        name = self.name
        headers, value = env.headers_of(entry.head), entry.value
        if entry.number in self.tombstones:
            headers, value = _tombstone(entry, codec)
        headers.append((env.LANE_HASH, entry.lane_hash.hex().encode()))
        return Outbound(name.topic, name.partition, entry.subject.encode(), value, headers)

    def probed(self, number: int, error: TransportError | None) -> None:
        """A row that was a tombstone before this process began must be one again; all else is probed again anyway."""
        if isinstance(error, PermanentError):
            self.tombstones.add(number)


def _tombstone(entry: Entry, codec: Codec) -> tuple[list[tuple[str, bytes]], bytes]:
    digest = env.content_digest(entry.head, entry.value)
    told = Tombstone(
        original_type=entry.type, original_digest=digest, reason="the broker refused the original"
    )
    body, schema = codec.encode(told)
    changed = {
        env.TYPE: (env.TYPE_PREFIX + env.TOMBSTONE).encode(),
        env.DATASCHEMA: (env.SCHEMA_PREFIX + schema.digest.hex()).encode(),
    }
    return [(name, changed.get(name, value)) for name, value in env.headers_of(entry.head)], body
