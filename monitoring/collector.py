"""What a node looks up when it is scraped: backlogs, open work, positions, sizes."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError

from bus import Clock, Engine
from bus.certificates import days_left
from bus.receipts import UNSETTLED
from bus.watch import Readings
from jurisdictions import legal_day
from monitoring import reads
from monitoring._labels import Place, Places
from web import Context

KEEP_SECONDS: Final = 1.0
"""How long a look is good for, whoever asks."""
SHARE: Final = 20
"""A look is kept at least this many times as long as it took, so that looking stays under 5 % of one core."""


class TaskCount(NamedTuple):
    """The work list of one stage."""

    stage: str
    open: int
    overdue: int


TaskCounts = Callable[[], Iterable[TaskCount]]
"""Counts the open tasks of a node; given by who keeps the work list."""


class NodeCollector(Collector):
    """Reads engine and ledger of one node; may be scraped from several threads."""

    def __init__(self, context: Context, places: Places, tasks: TaskCounts, clock: Clock) -> None:
        self._context = context
        self._clock = clock
        self._started = clock.now()
        self._places = places
        self._tasks = tasks
        self._lock = threading.Lock()
        self._families: list[Metric] = []
        self._good_until = 0.0

    def describe(self) -> Iterable[Metric]:
        """Nothing: being registered is no reason to look."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """The families as of at most a moment ago."""
        with self._lock:
            started = time.monotonic()
            if started >= self._good_until:
                self._families = list(self._look())
                now = time.monotonic()
                self._good_until = now + max(KEEP_SECONDS, SHARE * (now - started))
            return self._families

    def _look(self) -> Iterator[Metric]:
        engine = self._context.engine
        yield from self._engine(engine)
        yield from self._lanes(engine)
        yield from self._partitions(engine)
        readable = 1
        try:
            families = [*self._open_handovers(engine), *self._cases(engine), *self._work()]
            families.append(_gauge("ledger_bytes", "Size of the database.", reads.size(engine)))
        except DBAPIError:
            families, readable = [], 0
        yield from families
        yield _gauge("ledger_readable", "1 if the ledger could be read for this answer.", readable)

    def _engine(self, engine: Engine) -> Iterator[Metric]:
        head = engine.books.head
        info = _labelled("node", "The node and the stages it covers; always 1.", ("code", "stages"))
        info.add_metric([self._context.code, ",".join(self._context.stages)], 1)
        yield info
        yield _gauge("engine_alive", "1 while writer, relay and inbox run.", int(engine.alive))
        yield _gauge("ledger_rows", "Rows of the ledger.", head.next_row - 1)
        yield _gauge("ledger_batches", "Batches of the ledger.", head.batch)
        yield _gauge("ledger_epoch", "How often the ledger was claimed by a process.", head.epoch)
        yield _gauge("ledger_incarnation", "One more for each restore from a backup.", head.incarnation)
        yield _gauge("writer_queue", "Records read and not applied yet.", engine.writer.waiting)
        yield from self._watched(engine.watch.readings)
        heard = engine.inbox.looked_at or self._started
        silent = (self._clock.now() - heard).total_seconds()
        yield _gauge("broker_silent_seconds", "Since the broker last told its ends.", max(0.0, silent))

    def _watched(self, seen: Readings) -> Iterator[Metric]:
        silent = _labelled(
            "thread_silent_seconds", "Since a step of the thread last ended well.", ("thread",)
        )
        for thread, seconds in seen.silent.items():
            silent.add_metric([thread], seconds)
        yield silent
        text = "Since the broker acknowledged nothing of a lane that has something to send."
        yield _gauge("relay_stuck_seconds", text, seen.relay_stuck)
        text = "Since nothing was taken from a partition that has something."
        yield _gauge("inbox_stuck_seconds", text, seen.inbox_stuck)
        if seen.disk_free is not None:
            yield _gauge("disk_free_bytes", "Free where the ledger is.", seen.disk_free)
        yield _gauge("disk_full", "1 while nothing is taken in, for want of room.", int(seen.disk_full))
        if seen.clock_offset is not None:
            yield _gauge(
                "clock_offset_seconds", "By how much our clock is ahead of the broker's.", seen.clock_offset
            )
        certificates = _labelled(
            "certificate_days",
            "Days for which a certificate of the way to the broker is good.",
            ("file", "subject"),
        )
        for name, until in seen.certificates.items():
            certificates.add_metric(name, days_left(until, self._clock.now()))
        yield certificates
        today = legal_day(self._clock.now())
        through = self._context.directory.calendar.published_through(today)
        yield _gauge(
            "calendar_days", "Days for which the holiday calendar is published.", (through - today).days
        )

    def _lanes(self, engine: Engine) -> Iterator[Metric]:
        behind: Counter[tuple[str, str, str]] = Counter()
        for name, (rows, _) in engine.relay.backlog().items():
            behind[self._way(name)] += rows
        backlog = _labelled(
            "relay_backlog", "Committed rows the broker has not acknowledged.", ("stage", "to", "counterpart")
        )
        for way, count in behind.items():
            backlog.add_metric(way, count)
        yield backlog
        stopped: Counter[tuple[str, str]] = Counter()
        for lane in reads.lanes(engine):
            source, to = self._places.lane(lane.name)
            direction, code = ("out", to.code) if lane.outward else ("in", source.code)
            stopped[direction, code] += bool(lane.stopped)
        lanes_stopped = _labelled("lanes_stopped", "Lanes that were stopped.", ("direction", "counterpart"))
        for end, count in stopped.items():
            lanes_stopped.add_metric(end, count)
        yield lanes_stopped

    def _way(self, lane: str) -> tuple[str, str, str]:
        source, to = self._places.lane(lane)
        return source.stage, to.stage, to.code

    def _partitions(self, engine: Engine) -> Iterator[Metric]:
        place = ("topic", "partition")
        lag = _labelled("consumer_lag", "Records in the partition that are not applied yet.", place)
        for at, records in engine.inbox.lag.items():
            lag.add_metric([at.topic, str(at.partition)], records)
        yield lag
        offset = _labelled("inbox_offset", "Where reading goes on in the partition.", place)
        dealt = CounterMetricFamily(
            "kuayu_inbox_records",
            "What became of the records of a partition, as the ledger has it.",
            labels=[*place, "outcome"],
        )
        quarantined: Counter[Place] = Counter()
        for at, position in reads.positions(engine).items():
            where = [at.topic, str(at.partition)]
            offset.add_metric(where, position.next)
            for outcome in ("taken", "duplicate", "ahead", "quarantined"):
                dealt.add_metric([*where, outcome], getattr(position, outcome))
            quarantined[self._places.topic(at.topic)] += position.quarantined
        yield offset
        yield dealt
        total = CounterMetricFamily(
            "kuayu_quarantined", "Records with no verified sender behind them, ever.", labels=["stage"]
        )
        for where_from, count in quarantined.items():
            total.add_metric([where_from.stage], count)
        yield total

    def _open_handovers(self, engine: Engine) -> Iterator[Metric]:
        labels = ("stage", "to", "counterpart")
        counts: Counter[tuple[str, str, str]] = Counter()
        since: dict[tuple[str, str, str], datetime] = {}
        for name, lane in reads.open_handovers(engine).items():
            way = self._way(name)
            counts[way] += lane.events
            if lane.since is not None:
                since[way] = min(lane.since, since.get(way, lane.since))
        now = self._clock.now()
        number = _labelled("open_handovers", "Sent events that no receipt has closed.", labels)
        age = _labelled("oldest_handover_seconds", "Age of the oldest open hand-over; 0 if none is.", labels)
        for way, count in counts.items():
            number.add_metric(way, count)
            age.add_metric(way, max(0.0, (now - since[way]).total_seconds()) if way in since else 0)
        yield number
        yield age

    def _cases(self, engine: Engine) -> Iterator[Metric]:
        cases = _labelled("cases", "Cases by stage and status.", ("stage", "status"))
        for stream, status, count in reads.cases_by_status(engine):
            cases.add_metric([self._places.stream(stream).stage, status], count)
        yield cases
        labels = ("stage", "status")
        held = _labelled("held_cases", "Cases with events that are parked or wait.", labels)
        events = _labelled("held_events", "Events behind which those cases stand.", labels)
        found = {
            (self._places.stream(stream).stage, status): (count, rows)
            for stream, status, count, rows in reads.held_cases(engine)
        }
        for key in ((stage, status) for stage in self._context.stages for status in UNSETTLED):
            count, rows = found.get(key, (0, 0))
            held.add_metric(key, count)
            events.add_metric(key, rows)
        yield held
        yield events

    def _work(self) -> Iterator[Metric]:
        tasks = _labelled("tasks", "Tasks of the work list.", ("stage", "state"))
        for stage, open_, overdue in self._tasks():
            tasks.add_metric([stage, "open"], open_)
            tasks.add_metric([stage, "overdue"], overdue)
        yield tasks


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kuayu_{name}", text, value=value)


def _labelled(name: str, text: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"kuayu_{name}", text, labels=list(labels))
