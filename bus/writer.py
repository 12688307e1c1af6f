"""The single writer: it takes whatever waits, applies it in one transaction, commits once, and tells everybody.

Due timers go first, then commands, then what was read from Kafka. One thread owns it; group commit comes for
free; nothing is locked. See `Unit` for how one failing item is taken back alone.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError

from bus.answering import QUIET, Answering, Teller
from bus.application import Application
from bus.books import Books, Lane
from bus.committing import commit
from bus.errors import Busy, CommandRefused, Fenced, Unavailable
from bus.failures import Failure, classify, place_of
from bus.holding import due_timers
from bus.incarnation import settle
from bus.ledger import Entry, Kind
from bus.protocols import Answer, Clock, Command, Observer, Projection
from bus.receiving import (
    Incoming,
    fallbacks,
)
from bus.reopening import Reopening
from bus.taking import Act, Taking, Timer
from bus.unit import Unit

T = TypeVar("T")

BATCH_ITEMS = 1_000
"""Items of one kind in one commit; beyond, the commit costs no less an item."""
QUEUE_BYTES = 64 << 20
"""Of read records that may wait: few of the largest fill the queue."""
QUEUE_ITEMS = 10_000
"""Commands or read records that may wait; beyond, the queue is full."""
TIMER_AGAIN = timedelta(seconds=10)
"""Pause before timers are looked at again when one of them failed."""
TICK = 0.25
"""Seconds after which the writer looks at the clock although nothing came."""


class Sender(Teller, Protocol):
    """What the writer asks of the relay."""

    def offer(self, entries: Sequence[Entry], lanes: Mapping[str, Lane]) -> None: ...
    def rewind(self, lane: str, number: int) -> None: ...
    def closed(self, lane: str, mark: int) -> None: ...
    def reset(self, lane: Lane) -> None: ...
    def acknowledged(self) -> Mapping[str, int]: ...


class Writer:
    """Applies everything that waits, one batch at a time (`step`)."""

    def __init__(
        self,
        books: Books,
        application: Application,
        relay: Sender,
        projections: Sequence[Projection],
        observer: Observer,
        clock: Clock,
    ) -> None:
        self.books = books
        self._application = application
        self._relay = relay
        self._projections = projections
        self._observer = observer
        self._clock = clock
        self._acts: deque[Act] = deque()
        self._records: deque[Incoming] = deque()
        self._bytes = 0
        """Offered since no record waited: at least what waits now, and for less than a look at each."""
        self._closed = False
        self.refuses = False
        """Whether nothing new is taken in, for want of room on the disk; what was taken is still worked off."""
        self._doubtful = False
        """Whether the last commit failed, so that it is not known whether it was written."""
        self._wake = threading.Condition()
        self._taking = Taking(books, application, observer)
        self._answering = Answering(books, application, relay, clock)
        self._reopening = Reopening(books, self._answering, observer, clock)

    # From other threads.

    def submit(self, command: Command) -> "Future[Answer]":
        """Hand in an act; the future is done once the ledger has it durably, or says why not.

        Raises:
            Busy: too many wait already.
            Unavailable: there is no room for it on the ledger's disk.
        """
        if self.refuses:
            raise Unavailable("the ledger's disk is full")
        return self._act(lambda unit: self._application.command(unit, command), command)

    def do(self, apply: Callable[[Unit], T]) -> "Future[T]":
        """Let the writer do something within a commit; the future has its result once that is durable.

        Raises:
            Busy: too many wait already.
        """
        return self._act(apply)

    def _act(self, apply: Callable[[Unit], T], command: Command | None = None) -> "Future[T]":
        act = Act(apply, Future(), command)
        with self._wake:
            if self._closed:
                raise Unavailable("the node is stopping")
            if self.books.restoring:
                raise Unavailable("恢复未完 / restored, and not yet agreed with its counterparts")
            if len(self._acts) >= QUEUE_ITEMS:
                raise Busy(f"{QUEUE_ITEMS} acts wait already")
            self._acts.append(act)
            self._wake.notify()
        return act.done

    def offer(self, records: Sequence[Incoming], size: int = 0) -> None:
        """Hand over what was read, of about so many bytes."""
        with self._wake:
            self._bytes = self._bytes + size if self._records else size
            self._records.extend(records)
            self._wake.notify()

    @property
    def waiting(self) -> int:
        """Records that were read and not yet applied."""
        return len(self._records)

    @property
    def acts_waiting(self) -> int:
        """Acts that wait for their commit."""
        return len(self._acts)

    @property
    def full(self) -> bool:
        """Whether reading should pause."""
        too_large = self._bytes >= QUEUE_BYTES and bool(self._records)
        return self.refuses or too_large or len(self._records) >= QUEUE_ITEMS

    # The one thread.

    def step(self, timeout: float) -> bool:
        """Take what waits, or wait for it at most `timeout` seconds; False if there was nothing.

        Raises:
            Fenced: another process owns the ledger; nothing may be written any more.
            DBAPIError: the ledger can't be written now; what was read is kept, callers were told.
        """
        with self._wake:
            if not (self._acts or self._records):
                self._wake.wait(min(timeout, self._patience()))
            acts = [self._acts.popleft() for _ in range(min(BATCH_ITEMS, len(self._acts)))]
            records = [self._records.popleft() for _ in range(min(BATCH_ITEMS, len(self._records)))]
        try:
            return self._apply(self._clock.now(), acts, records)
        except BaseException:
            self._postpone(acts, records)
            raise

    def receipt(self) -> bool:
        """Hand the receipts that are owed to the relay now; False if there are none."""
        return self._answering.receipt(self._clock.now(), quiet=True)

    def _apply(self, now: datetime, acts: list[Act], records: list[Incoming]) -> bool:
        """Apply these; those that were applied one by one before an error are taken off the lists."""
        self._make_sure()
        timers = self._due(now)
        told = self._answering.receipt(now, quiet=not (acts or records))
        self._answering.restate(now)
        self._restore(now)
        if not (acts or records or timers or self._moved()):
            return told
        if self._batch(now, timers, acts, records) is not None:
            self._one_by_one(now, timers, acts, records)
        return True

    def _restore(self, now: datetime) -> None:
        """Law 11: open lanes; once all are agreed, let everything go on."""
        if self._reopening.agreed(now):
            unit = Unit(self.books, now)
            settle(unit)
            try:
                commit(unit, self._projections)
            except DBAPIError:
                self._doubtful = True
                raise
        if not self._closed and (cases := self._reopening.may_go_on()):
            with self._wake:
                self._acts.extend(map(self._release, cases))

    def _release(self, case: tuple[str, str]) -> Act:
        """Lets a case go on that waited for the end of a restore; one that can't stays held alone."""

        def done(future: "Future[Any]") -> None:
            failure = future.exception()
            if isinstance(failure, Unavailable):
                self._reopening.look_again()
            elif failure is not None:
                self._observer.alarm("release_failed", f"{' '.join(case)}: {place_of(failure)}")

        act = Act(lambda unit: self._application.releasing.release(unit, *case), Future())
        act.done.add_done_callback(done)
        return act

    def _make_sure(self) -> None:
        """A commit that failed may have been written all the same: then we know neither our rows nor our callers."""
        if self._doubtful:
            if not self.books.still_true():
                raise Fenced("a commit that seemed to fail was written, or another process owns this ledger")
            self._doubtful = False

    def _patience(self) -> float:
        due = self.books.next_due
        until_due = max(0.0, (due - self._clock.now()).total_seconds()) if due else TICK
        return min(QUIET if self._answering.owing else TICK, until_due)

    def _due(self, now: datetime) -> list[Timer]:
        if self.books.next_due is None or self.books.next_due > now or self.books.restoring:
            return []
        timers = due_timers(self.books.ledger, now, BATCH_ITEMS)
        if not timers:  # those that are due belong to held cases, or are gone
            self.books.look_at_timers()
            if self.books.next_due and self.books.next_due <= now:
                self.books.next_due = now + timedelta(seconds=1)
        return timers

    def _moved(self) -> bool:
        lanes = self.books.lanes
        return any(cursor > lanes[True, name].cursor for name, cursor in self._relay.acknowledged().items())

    def close(self) -> None:
        """Take nothing more, and let nobody wait for what will not be done."""
        with self._wake:
            self._closed = True
            acts = list(self._acts)
            self._acts.clear()
        for act in acts:
            act.done.set_exception(Unavailable("the node is stopping"))

    def _postpone(self, acts: Sequence[Act], records: Sequence[Incoming]) -> None:
        with self._wake:
            self._records.extendleft(reversed(records))
        for act in acts:
            if not act.done.done():
                act.done.set_exception(Unavailable("the ledger can't be written now"))

    def _one_by_one(
        self,
        now: datetime,
        timers: Sequence[Timer],
        acts: list[Act],
        records: list[Incoming],
    ) -> None:
        """A batch failed for something in it: find the item, let it fail alone."""
        for timer in timers:
            failure = self._batch(now, [timer], [], [])
            if failure is not None:  # it stays, and rings again
                self._taking.timers_failed = True
                self._observer.alarm("timer_failed", f"{' '.join(timer[:3])}: {place_of(failure)}")
        while acts:
            failure = self._batch(now, [], acts[:1], [])
            if failure is not None:
                acts[0].done.set_exception(_refusal(failure))
            del acts[0]
        while records:
            self._set_aside(now, records[0])
            del records[0]
        self._rest_timers(now)

    def _set_aside(self, now: datetime, record: Incoming) -> None:
        """Take a record that a batch may have failed for; if it is the one, the mildest other way that is left.

        Raises:
            Exception: not even that can be written, so it is not the record's fault.
        """
        failure = self._batch(now, [], [], [record])
        if failure is None:
            return
        for other in fallbacks(record, failure):
            if self._batch(now, [], [], [other]) is None:
                return
        raise failure

    def _batch(
        self,
        now: datetime,
        timers: Sequence[Timer],
        acts: Sequence[Act],
        records: Sequence[Incoming],
    ) -> Exception | None:
        """Apply and commit these. Returns why not if that lies in one of them: then nothing was changed."""
        unit = Unit(self.books, now)
        try:
            self._taking.take(unit, timers, acts, records)
            self._cursors(unit)
            if not unit.empty:
                started = time.perf_counter()
                commit(unit, self._projections)
                seconds = time.perf_counter() - started
                self._observer.committed(seconds, len(timers) + len(acts) + len(records), len(unit.entries))
        except Exception as error:
            if classify(error) is Failure.OWN:
                return error
            self._doubtful = self._doubtful or isinstance(error, DBAPIError)
            raise
        self._after(unit)
        try:
            self._answering.answer(unit, now)
            if timers:
                self.books.look_at_timers()
            self._rest_timers(now)
        except DBAPIError as away:  # what is committed is not taken back for that: receipts are restated
            self._observer.alarm("receipts_wait", type(away).__name__)
        return None

    def _rest_timers(self, now: datetime) -> None:
        """Timers that failed ring again after a while, not at once."""
        if self._taking.timers_failed:
            self._taking.timers_failed = False
            self.books.next_due = now + TIMER_AGAIN

    def _cursors(self, unit: Unit) -> None:
        for name, cursor in self._relay.acknowledged().items():
            lane = unit.lane(name, outward=True)
            if cursor > lane.cursor:
                unit.set_lane(replace(lane, cursor=cursor))

    def _after(self, unit: Unit) -> None:
        """Durable now: let the relay, the senders and the callers know."""
        outward = {name: lane for (is_outward, name), lane in unit.lanes.items() if is_outward}
        for name in unit.opened:
            self._relay.reset(outward[name])
        out = [entry for entry in unit.entries if entry.kind is Kind.OUT and entry.lane not in unit.opened]
        if out:
            self._relay.offer(out, outward)
        for lane in outward.values():
            self._relay.closed(lane.name, lane.mark)
        for name, number in unit.rewinds.items():
            self._relay.rewind(name, number)
        if unit.received:
            self._observer.received(unit.received)
        if unit.changes:
            self._observer.changed(unit.changes)
        for done in unit.after:
            done()


def _refusal(failure: Exception) -> Exception:
    """What a caller is told whose act the ledger does not take."""
    if isinstance(failure, DBAPIError):
        return CommandRefused("not_storable", "无法保存 / the ledger can't store this")
    return failure
