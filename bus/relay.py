"""The relay sends committed out rows, each lane in order, and never passes an unacknowledged row (law 2).

Its memory is bounded: it is handed rows as they are committed and reads the ledger where it fell behind. A
retriable failure stops that lane only, with doubling pauses; a permanent one sends a tombstone in the row's
place. What stays without a receipt is probed: the oldest open row and the last, at doubling intervals (law 4).
"""

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property, partial
from itertools import islice

from msgspec.structs import replace
from sqlalchemy import func, select

from bus.books import Lane
from bus.clock import ahead
from bus.lane_sender import PAUSE_FIRST, PROBE_FIRST, LaneSender
from bus.ledger import Entry, Ledger, tables
from bus.ledger.stubs import is_stub
from bus.protocols import Clock, Observer
from bus.receipts import UNSETTLED
from bus.telling import Telling
from bus.transport import Outbound, PermanentError, Producer, TransportError
from schemas import Codec

IN_FLIGHT = 1_000
"""Rows of one lane that were sent and are not yet acknowledged."""
HELD_ROWS = 20_000
"""Committed rows kept in memory over all lanes; what is beyond is read from the ledger when its turn comes."""
READ_ROWS = 500
PAUSE_AT_MOST = timedelta(seconds=30)
PROBE_AT_MOST = timedelta(minutes=10)
PROBE_IDLE = timedelta(minutes=15)
LOOK_EVERY = timedelta(seconds=1)
ACK_WAIT = 0.01
"""Seconds between two looks at acknowledgements while some are outstanding."""


class Relay:
    """Sends what was committed, one round at a time (`step`)."""

    def __init__(
        self,
        ledger: Ledger,
        connect: Callable[[], Producer],
        topics: Callable[[], Collection[str]],
        lanes: Sequence[Lane],
        codec: Codec,
        observer: Observer,
        clock: Clock,
    ) -> None:
        """`connect` opens the way to the broker, `topics` names what it has; RetriableError while there is none."""
        self._ledger = ledger
        self._connect = connect
        self._codec = codec
        self._observer = observer
        self._clock = clock
        now = clock.now()
        self._senders = {lane.name: LaneSender(lane, now) for lane in lanes}
        self._telling = Telling(topics, observer, clock)
        self._lock = threading.Condition()
        self._rows = 0
        self._active = dict.fromkeys(self._senders)
        """Names of lanes with something to send or to settle, in order (a dict, used as an ordered set)."""
        self._look_at = now
        self._reconnect = False

    @cached_property
    def _producer(self) -> Producer:
        return self._connect()

    def reconnect(self) -> None:
        """From any thread: go on with a new producer."""
        self._reconnect = True

    def close(self) -> None:
        """Wait a few seconds for acknowledgements; the next step, if there is one, opens a new way to the broker."""
        if "_producer" in vars(self):
            self._producer.close()
            del self._producer

    # From the writer's thread.

    def offer(self, entries: Sequence[Entry], lanes: Mapping[str, Lane]) -> None:
        """Rows that were just committed, in row order, with the lanes they stand in."""
        with self._lock:
            for entry in entries:
                sender = self._senders.get(entry.lane) or self._begin(lanes[entry.lane])
                if sender.mark == sender.last:  # nothing was open until now
                    sender.probe_at, sender.probe_pause = self._clock.now() + PROBE_FIRST, PROBE_FIRST
                sender.last = entry.number
                self._active[entry.lane] = None
                expected = sender.next + len(sender.queue)
                if entry.number == expected and sender.until is None and self._rows < HELD_ROWS:
                    sender.queue.append(entry)
                    self._rows += 1
            self._lock.notify()

    def _begin(self, lane: Lane) -> LaneSender:
        fresh = replace(lane, number=0, cursor=0, mark=0)
        sender = self._senders[lane.name] = LaneSender(fresh, self._clock.now())
        return sender

    def reset(self, lane: Lane) -> None:
        """A lane that is being opened anew, or was agreed: what was under way there counts no more."""
        with self._lock:
            old = self._senders.get(lane.name)
            if old:
                self._rows -= len(old.queue)
                old.queue.clear()
            sender = self._senders[lane.name] = LaneSender(lane, self._clock.now())
            sender.probe_at = self._clock.now()
            self._active[lane.name] = None
            self._lock.notify()

    def tell(self, messages: Sequence[Outbound]) -> None:
        """What is said once and in no lane (see `Telling`)."""
        with self._lock:
            self._telling.tell(messages)
            self._lock.notify()

    def rewind(self, lane: str, number: int) -> None:
        """The receiver asks for everything from this number again."""
        with self._lock:
            sender = self._senders[lane]
            if number < sender.next:
                self._restart(sender, number)
                self._active[lane] = None
            self._lock.notify()

    def closed(self, lane: str, mark: int) -> None:
        """Receipted up to here."""
        with self._lock:
            sender = self._senders.get(lane)
            if sender is None:
                return
            if mark > sender.mark or mark == sender.last:
                sender.probe_pause = PROBE_FIRST
                sender.probe_at = self._clock.now() + (PROBE_IDLE if mark == sender.last else PROBE_FIRST)
            elif mark < sender.mark:  # its receiver was restored: it is asked how far it is
                sender.probe_at = self._clock.now()
            sender.mark = mark
            sender.acknowledged = max(sender.acknowledged, mark)  # receipted is more than acknowledged

    def acknowledged(self) -> Mapping[str, int]:
        """Up to where each lane is acknowledged by the broker."""
        with self._lock:
            return {name: sender.acknowledged for name, sender in self._senders.items()}

    # For those who watch.

    def backlog(self) -> Mapping[str, tuple[int, int]]:
        """For each lane: rows not acknowledged, and rows not receipted."""
        with self._lock:
            return {
                name: (sender.behind, sender.last - sender.mark if sender.receipted else 0)
                for name, sender in self._senders.items()
            }

    @property
    def in_memory(self) -> tuple[int, int]:
        """Committed rows, and what is said in no lane, that are kept in memory until they are sent."""
        return self._rows, len(self._telling)

    # The one thread.

    def step(self, timeout: float) -> bool:
        """One round over the lanes with work; waits at most `timeout` seconds if there was none.

        Raises:
            RetriableError: there is no way to the broker now.
        """
        now = self._clock.now()
        if self._reconnect:
            self._reconnect = False
            self.close()
            self._give_up(now)
        producer = self._producer
        worked = self._telling.send(producer)
        with self._lock:
            senders = [self._senders[name] for name in self._active]
        waiting = False
        for sender in senders:
            self._settle(sender, now)
            worked |= self._send(sender, now)
            waiting |= sender.outstanding > 0
            if sender.idle:
                with self._lock:
                    if sender.idle:
                        self._active.pop(sender.lane.name, None)
        if not ahead(self._look_at, now, LOOK_EVERY):
            self._look_at = now + LOOK_EVERY
            self._probe_all(now)
        producer.poll(0)
        if not worked:
            with self._lock:
                self._lock.wait(min(timeout, ACK_WAIT) if waiting else timeout)
        return worked

    def _give_up(self, now: datetime) -> None:
        """What a producer that is gone never told of may have been written or not: it is sent again."""
        with self._lock:
            senders = list(self._senders.values())
        for sender in senders:
            self._settle(sender, now)
            if sender.outstanding:
                sender.results, sender.outstanding = deque(), 0
                with self._lock:
                    self._restart(sender, min(sender.acknowledged + 1, sender.next))

    def _settle(self, sender: LaneSender, now: datetime) -> None:
        """Move the cursor over what is acknowledged in order; after a failure, go back to the first that is not."""
        while sender.results:
            number, error = sender.results.popleft()
            sender.outstanding -= 1
            if error is not None:
                if number > sender.mark or isinstance(error, PermanentError):
                    sender.failures[number] = error  # else it is receipted, and need not be sent again
            elif number > sender.acknowledged:
                sender.early.add(number)
        with self._lock:
            while sender.acknowledged + 1 in sender.early:
                sender.acknowledged += 1
                sender.early.discard(sender.acknowledged)
                sender.pause = PAUSE_FIRST
        if not sender.failures or sender.outstanding:
            return  # only when all are settled is it known where to go on
        number = min(sender.failures)  # perhaps below the cursor: what the receiver asked for again
        failure = sender.failures[number]
        sender.failures.clear()
        if isinstance(failure, PermanentError):
            sender.tombstones.add(number)
            self._observer.alarm("tombstone", f"{sender.lane.name} number {number}: {failure}")
        else:
            self._wait(sender, failure, now)
        with self._lock:
            self._restart(sender, min(number, sender.next))  # asked to go back meanwhile, perhaps further

    def _wait(self, sender: LaneSender, failure: TransportError, now: datetime) -> None:
        self._observer.alarm("lane_waits", f"{sender.lane.name}: {failure}")
        sender.not_before = now + sender.pause
        sender.pause = min(sender.pause * 2, PAUSE_AT_MOST)

    def _restart(self, sender: LaneSender, number: int) -> None:
        self._rows -= len(sender.queue)
        sender.queue.clear()
        sender.early = {early for early in sender.early if early < number}
        sender.next = number

    def _send(self, sender: LaneSender, now: datetime) -> bool:
        sent: list[str] = []
        try:
            self._send_all(sender, now, sent)
        finally:  # the ledger may fail while more is read from it
            if sent:
                self._observer.sent(sender.lane.name, sent)
        return bool(sent)

    def _send_all(self, sender: LaneSender, now: datetime, sent: list[str]) -> None:
        while not ahead(sender.not_before, now, PAUSE_AT_MOST) and not sender.failures:
            rows = self._ready(sender, IN_FLIGHT - sender.outstanding)
            handed_over = self._hand_over(sender, rows, now)
            sent += [entry.type for entry in rows[:handed_over]]
            if rows:
                self._advance(sender, rows, handed_over)
            if not rows or handed_over < len(rows):
                return

    def _ready(self, sender: LaneSender, at_most: int) -> list[Entry]:
        """The rows whose turn it is; they stay where they are until they are handed over."""
        with self._lock:
            if sender.queue or not at_most:
                return list(islice(sender.queue, at_most))
            rows = READ_ROWS if self._rows < HELD_ROWS else 1  # of each of many lanes, so that they stay few
            end = sender.last if sender.until is None else sender.until
            first, last = sender.next, min(end, sender.next + rows - 1)
        if first > last:
            return []
        read = self._ledger.lane_entries(sender.lane.id, first, last)
        with self._lock:
            if sender.next == first and not sender.queue:
                sender.queue.extend(read)
                self._rows += len(read)
            return list(islice(sender.queue, at_most))

    def _hand_over(self, sender: LaneSender, rows: Sequence[Entry], now: datetime) -> int:
        """Give rows to the producer until it takes no more now; how many it took, or refused for good."""
        send, results, codec = self._producer.send, sender.results, self._codec
        for count, entry in enumerate(rows):
            try:
                send(sender.outbound(entry, codec), partial(_done, results, entry.number))
            except PermanentError as error:
                results.append((entry.number, error))
            except TransportError as error:
                self._wait(sender, error, now)
                return count
            sender.outstanding += 1
        return len(rows)

    def _advance(self, sender: LaneSender, rows: Sequence[Entry], count: int) -> None:
        """The first rows were handed over: the lane goes on behind them."""
        with self._lock:
            if sender.next != rows[0].number:
                return  # asked to go back meanwhile
            sender.next += count
            if sender.queue and sender.queue[0] is rows[0]:  # else it is being opened anew
                for _ in range(count):
                    sender.queue.popleft()
                self._rows -= count

    def _probe_all(self, now: datetime) -> None:
        with self._lock:
            due = [
                sender
                for sender in self._senders.values()
                if sender.receipted and sender.until is None and not ahead(sender.probe_at, now, PROBE_IDLE)
            ]
        for sender in due:
            self._probe(sender, now)

    def _probe(self, sender: LaneSender, now: datetime) -> None:
        """Nothing heard for too long: send the oldest open row and the last one again, and only those.

        What is parked or waiting is open too: that it was mended may have been told, and not heard.
        """
        if sender.behind:  # not even acknowledged: the broker, not the receiver, is what we wait for
            sender.probe_at = now + PROBE_FIRST
            return
        overdue = sender.mark < sender.last
        sender.probe_at = now + (sender.probe_pause if overdue else PROBE_IDLE)
        sender.probe_pause = min(sender.probe_pause * 2, PROBE_AT_MOST)
        oldest = min(sender.mark + 1, self._first_unsettled(sender.lane.id) or sender.last)
        for number in sorted({oldest, sender.last}):
            for entry in self._ledger.lane_entries(sender.lane.id, number, number):
                if is_stub(entry):
                    continue  # a restored receiver holds what is in an archive here; it will tell by itself
                self._send_again(sender, entry)

    def _first_unsettled(self, lane: int) -> int | None:
        table = tables.exception
        query = select(func.min(table.c.number)).where(table.c.lane == lane, table.c.status.in_(UNSETTLED))
        with self._ledger.read() as connection:
            return connection.execute(query).scalar()

    def _send_again(self, sender: LaneSender, entry: Entry) -> None:
        heard = partial(sender.probed, entry.number)
        try:
            try:
                self._producer.send(sender.outbound(entry, self._codec), heard)
            except PermanentError as error:
                heard(error)
                self._producer.send(sender.outbound(entry, self._codec), heard)
        except TransportError as error:
            self._observer.alarm("probe_not_sent", f"{sender.lane.name}: {error}")


def _done(
    results: deque[tuple[int, TransportError | None]], number: int, error: TransportError | None
) -> None:
    results.append((number, error))
