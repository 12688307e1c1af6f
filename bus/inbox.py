"""The inbox thread: reads partitions assigned by hand, checks and decodes, and hands over to the writer.

Where it reads on is what the ledger says (law 1); offsets are also told to the broker, only so that lag tools
work. A position that is no longer there (expired records, a topic made anew) is an alarm, not a reset: reading
goes on where there is something, and the lanes find out what is missing.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta

from bus.books import Books
from bus.clock import BrokerClock, ahead
from bus.ledger import milliseconds
from bus.protocols import Clock, Observer
from bus.receiving import Reader
from bus.transport import Consumer, OutOfRangeError, Record, RetriableError, TopicPartition
from bus.writer import Writer

READ_AT_MOST = 1_000
"""Records of one poll."""
TELL_EVERY = timedelta(seconds=5)
TELL_AGAIN = timedelta(seconds=1)
"""After a look that got no answer."""


class Inbox:
    """Reads what is sent to this ledger's streams, one poll at a time (`step`)."""

    def __init__(
        self,
        connect: Callable[[], Consumer],
        places: Sequence[TopicPartition],
        intakes: Collection[str],
        books: Books,
        reader: Reader,
        writer: Writer,
        observer: Observer,
        clock: Clock,
    ) -> None:
        """`connect` opens the way to the broker, and raises RetriableError while there is none."""
        self._connect = connect
        self._consumer: Consumer | None = None
        self._reader = reader
        self._writer = writer
        self._observer = observer
        self._clock = clock
        self._places = places
        self._intakes = [place for place in places if place.topic in intakes]
        self._paused = False
        self._books = books
        self._unread: Sequence[Record] = ()
        """Polled, and not yet read: reading a submission may need the ledger, which may be away."""
        self._tell_at = clock.now()
        self._next: dict[TopicPartition, int | None] = {
            place: books.positions[place].next if place in books.positions else None for place in places
        }
        """Behind what was read, applied or not: where a new consumer goes on."""
        self.lag: Mapping[TopicPartition, int] = {}
        """Records not yet applied, for each partition, as of the last look."""
        self.behind: Mapping[TopicPartition, int] = {}
        """Where reading stood then in the partitions that ended elsewhere and are to be read."""
        self._reconnect = False
        self._at_end = False
        """Whether nothing was left to read: what comes next was appended only just now."""
        self.broker_clock = BrokerClock()
        self.looked_at: datetime | None = None
        """When the broker last told its ends; None before it was ever heard of."""

    def step(self, timeout: float) -> bool:
        """One poll, at most `timeout` seconds; False if nothing was read.

        Raises:
            RetriableError: the broker can't be reached now.
            DBAPIError: the ledger can't be read now; what was polled is kept.
        """
        if self._reconnect:
            self._reconnect = False
            self.close()
        consumer = self._consumer or self._open()
        now = self._clock.now()
        if not ahead(self._tell_at, now, TELL_EVERY):
            self._tell_at = now + TELL_EVERY
            self._look(consumer, now)
        if self._books.restoring is not self._paused:  # what was taken and lost must not open a case again
            self._paused = not self._paused
            (consumer.pause if self._paused else consumer.resume)(self._intakes)
        if self._writer.full:
            return False  # reading waits for the ledger; the broker keeps the rest
        try:
            self._unread = self._unread or consumer.poll(timeout, READ_AT_MOST)
        except OutOfRangeError as lost:
            self._observer.alarm("position_lost", str(lost))
            consumer.seek(lost.place, lost.earliest)
            self._next[lost.place] = lost.earliest
            return True
        if not self._unread:
            self._at_end = not any(self.lag.values())
            return False
        if self._at_end:
            self._at_end = False
            self.broker_clock.heard(milliseconds(self._clock.now()), self._unread[0].appended_ms)
        self._writer.offer(
            [read for record in self._unread if (read := self._reader.read(record)) is not None],
            sum(len(record.value or b"") for record in self._unread),
        )
        self._next.update((record.place, record.offset + 1) for record in self._unread)
        self._unread = ()
        return True

    def _open(self) -> Consumer:
        consumer = self._connect()
        consumer.assign(self._next)
        self._paused = False
        self._consumer = consumer
        return consumer

    def reconnect(self) -> None:
        """From any thread: go on with a new consumer."""
        self._reconnect = True

    def close(self) -> None:
        """Read no more, until the next step."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
            self._unread = ()

    def _look(self, consumer: Consumer, now: datetime) -> None:
        """Count the lag, and tell the broker where we are."""
        applied = {place: at.next for place in self._places if (at := self._books.positions.get(place))}
        consumer.commit(applied)
        try:
            ends = consumer.ends(timeout=1.0)
        except RetriableError:
            self._tell_at = now + TELL_AGAIN
            return
        self.lag = {place: end - applied.get(place, 0) for place, end in ends.items()}
        left_alone = self._intakes if self._paused else ()
        self.behind = {
            place: stands
            for place, end in ends.items()
            if (stands := self._next[place] or 0) != end and place not in left_alone
        }
        self.looked_at = now
