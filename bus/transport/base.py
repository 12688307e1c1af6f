"""What the bus asks of a transport: move bytes in order, tell what was acknowledged, and say clearly what failed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

import msgspec

MAX_RECORD_BYTES = 1_000_000
"""The largest record a producer takes, key, value and headers together; Kafka's brokers take a little more."""

MAX_IN_FLIGHT_RECORDS = 20_000
MAX_IN_FLIGHT_BYTES = 32 << 20
"""What one producer holds at most until it is acknowledged; beyond, `send` raises RetriableError."""


class TopicPartition(NamedTuple):
    topic: str
    partition: int


_place = lru_cache(maxsize=4096)(TopicPartition)
"""There are few, and every record names one."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it was read: bytes only, nothing decoded."""

    topic: str
    partition: int
    offset: int
    appended_ms: int
    """The broker's own time (inbox topics use LogAppendTime), milliseconds since 1970-01-01 UTC."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    """In the order they were written. Empty when a name among them is not UTF-8: such a record is garbage, but
    must reach the reader, who counts it and goes on."""

    @property
    def place(self) -> TopicPartition:
        """Where it was read."""
        return _place(self.topic, self.partition)


class Outbound(msgspec.Struct, frozen=True, gc=False):
    """One record to be written."""

    topic: str
    partition: int
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]
    """A list, because that is what both clients take without copying it."""


class TransportError(Exception):
    """The transport could not do what it was asked; the subclass says whether asking again can help."""


class RetriableError(TransportError):
    """Ask again later: broker away, leader election, time-out, full buffer, missing topic, missing permission."""


class PermanentError(TransportError):
    """Asking again cannot help: the record itself is refused (too large, invalid)."""


class OutOfRangeError(TransportError):
    """The position asked for is not in the partition: records expired, or the topic was made anew."""

    def __init__(self, place: TopicPartition, asked: int, earliest: int, end: int) -> None:
        super().__init__(
            f"{place.topic}/{place.partition}: offset {asked} is not within {earliest}..{end}",
        )
        self.place = place
        self.asked = asked
        self.earliest = earliest
        self.end = end


Done = Callable[[TransportError | None], None]
"""Called exactly once for each send that returned: None when acknowledged, else why not.

It comes from a thread of the driver's own, or from within `poll`, `flush` or `close` of the producer's owner:
it must be short, must not raise, and must not call the producer. After an error the record may still have been
written, or may yet be.
"""


class TopicSpec(NamedTuple):
    name: str
    partitions: int
    config: Mapping[str, str] = {}


class Producer(Protocol):
    """Writes records; per partition in the order of the calls (idempotent, acks=all). Owned by one thread.

    After a failure, what was sent behind it may have been written without it.
    """

    def send(self, record: Outbound, done: Done) -> None:
        """Hand a record over; never blocks longer than about a second.

        `done` is called exactly once for each send that returned.

        Raises:
            RetriableError: the buffer is full, the topic's metadata cannot be had now, or the driver has lost
                its broker; this record was not sent.
            PermanentError: the record is larger than MAX_RECORD_BYTES.
        """

    def poll(self, timeout: float) -> None:
        """Give the driver a turn (seconds) to call `done`; drivers with a thread of their own return at once."""

    def flush(self, timeout: float) -> bool:
        """Wait until everything sent is acknowledged or failed; False when `timeout` seconds were not enough."""

    def close(self) -> None:
        """Wait a few seconds for acknowledgements, then give up: every `done` has been called when this returns."""


class Consumer(Protocol):
    """Reads partitions assigned by hand. Owned by one thread. Never joins a group, never resets by itself."""

    def assign(self, positions: Mapping[TopicPartition, int | None]) -> None:
        """Read these partitions, and no others, from these offsets (None: from the earliest record there is)."""

    def seek(self, place: TopicPartition, offset: int) -> None:
        """Go on at `offset`, which need not exist yet; `place` must be assigned."""

    def poll(self, timeout: float, limit: int) -> Sequence[Record]:
        """Up to `limit` records, waiting at most `timeout` seconds for the first; order kept per partition.

        Raises:
            OutOfRangeError: a position is not in its partition; the caller decides where to go on (`seek`). It
                is raised again until then; no record of another partition is lost by it.
            RetriableError: the driver reports a failure. A driver may also stay silent when the broker is away
                and return nothing: `ends` tells.
        """

    def pause(self, places: Iterable[TopicPartition]) -> None: ...

    def resume(self, places: Iterable[TopicPartition]) -> None: ...

    def ends(self, timeout: float) -> Mapping[TopicPartition, int]:
        """The offset after the last record of each assigned partition (what lag is counted against).

        Raises:
            RetriableError: the broker cannot be reached now.
        """

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Tell the broker where we are, so that lag tools can see it. Best effort: never raises, never waits.

        One that is lost is made good by the next; more than one a second costs more than it shows.
        """

    def close(self) -> None: ...


class Transport(Protocol):
    """One way to a broker, which need not be there yet: who asks for something is told."""

    name: str

    def producer(self, client: str) -> Producer:
        """`client` names the writer.

        Raises:
            RetriableError: the broker cannot be reached now (some drivers find out only when they send).
        """

    def consumer(self, client: str) -> Consumer:
        """`client` names the reader; it is also the group id under which offsets are shown to lag tools.

        Raises:
            RetriableError: the broker cannot be reached now (some drivers find out only when they read).
        """

    def ensure_topics(self, topics: Sequence[TopicSpec]) -> Sequence[str]:
        """Create those of the topics that do not exist, and return their names.

        Raises:
            PermanentError: a topic exists with another number of partitions (it never changes after creation),
                or the broker refuses the name or the configuration. Other topics may have been created.
            RetriableError: the broker cannot be reached now.
        """

    def topics(self) -> Mapping[str, int]:
        """Every topic that may be seen, with its number of partitions; the broker's internal ones are left out.

        Raises:
            RetriableError: the broker cannot be reached now.
        """

    def reconnect(self) -> None:
        """From any thread: what the transport itself holds open is made anew, as certificates were renewed.

        Raises:
            RetriableError: the new ones can't be used.
        """

    def close(self) -> None:
        """Close what the transport itself holds; producers and consumers are closed by their owners, before."""
