"""The watchdog: each thing it watches for is caused, told, and set going again where that is safe."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bus import Unavailable
from bus.receiving import Garbage
from bus.transport import MemoryTransport, Outbound, Record, RetriableError, TopicSpec
from bus.transport.base import Done
from bus.transport.memory import MemoryConsumer, MemoryProducer
from bus.watch import REPAIR_AT_MOST, STUCK, Watch
from tests.running import PATIENCE, eventually
from tests.unit.bus.toys import PARTITIONS


class Watched:
    """A node's engine under a watchdog of the test's own, whose seconds pass when the test says so."""

    def __init__(self, node: Any, *, folder: Path = Path(), total: int = 10**12) -> None:
        self.node = node
        self.passed = 0.0
        self.total = self.free = total
        engine = node.engine
        self.watch = Watch(
            engine.writer,
            engine.relay,
            engine.inbox,
            node.observed,
            node.clock,
            silent=dict,
            folder=folder,
            monotonic=lambda: self.passed,
            disk=self.disk,
        )
        self.watch.step(0)

    def full(self) -> bool:
        return self.watch.readings.disk_full

    def disk(self, folder: Path) -> tuple[int, int, int]:
        folder.stat()
        return self.total, self.total - self.free, self.free

    def wait(self, seconds: float) -> None:
        """Time passes, and the broker answers when it is asked."""
        self.passed += seconds
        self.node.clock.move(seconds=seconds)
        self.node.engine.inbox.step(0)
        self.watch.step(0)

    def alarms(self, kind: str) -> int:
        return [found for found, _ in self.node.observed.alarms].count(kind)


class Mute(MemoryConsumer):
    """Says where the partitions end, and brings nothing: kafka-python has been seen to do so."""

    def poll(self, timeout: float, limit: int) -> Sequence[Record]:
        return [] if self.mute else super().poll(timeout, limit)

    mute = False


class Silencing(MemoryTransport):
    """Remembers its consumers."""

    made: list[Mute]

    def consumer(self, client: str) -> Mute:
        consumer = Mute(self.broker, client)
        self.made.append(consumer)
        return consumer


@pytest.fixture
def silenced(pair: Any) -> Silencing:
    """The transport of the answering node, built anew."""
    transport = Silencing(pair.broker)
    transport.made = []
    pair.answer.reach_broker = lambda: transport
    pair.answer.restart()
    return transport


def test_a_consumer_that_has_fallen_silent_is_replaced(pair: Any, silenced: Silencing) -> None:
    pair.ask.act("case-1")
    pair.settle()
    watched = Watched(pair.answer)
    watched.wait(STUCK)
    [consumer] = silenced.made
    consumer.mute = True
    pair.ask.act("case-1")
    pair.ask.engine.relay.step(0)
    for _ in range(4):
        watched.wait(STUCK / 4)
    assert 0 < watched.watch.readings.inbox_stuck < STUCK
    assert watched.alarms("inbox_stuck") == 0
    watched.wait(STUCK / 2)
    assert watched.watch.readings.inbox_stuck >= STUCK
    assert watched.alarms("inbox_stuck") == 1
    pair.settle()
    assert len(silenced.made) == 2
    assert len(pair.answer.notes("case-1")) == 2
    assert pair.answer.observed.outcomes.count("applied") == 2
    for _ in range(2):  # it is told of the ends again, and all is well
        watched.wait(6)
    assert watched.watch.readings.inbox_stuck == 0


def test_a_writer_that_always_has_something_to_do_hides_no_silent_consumer(
    pair: Any, silenced: Silencing
) -> None:
    watched = Watched(pair.answer)
    watched.wait(STUCK)
    silenced.made[0].mute = True
    pair.ask.act("case-1")
    pair.ask.engine.relay.step(0)
    garbage = Garbage(Record("kuayu.answer.2", 0, 0, 0, b"", b"", ()), "another topic's")
    pair.answer.engine.writer.offer([garbage])
    for _ in range(7):
        watched.wait(STUCK / 4)
        assert pair.answer.engine.writer.waiting
    assert watched.alarms("inbox_stuck") == 1


def test_a_consumer_that_still_reads_a_topic_that_was_made_anew_is_replaced(
    pair: Any, silenced: Silencing
) -> None:
    pair.ask.act("case-1")
    pair.settle()
    watched = Watched(pair.answer)
    watched.wait(STUCK)
    silenced.made[0].mute = True
    pair.broker.delete_topic("kuayu.answer.2")
    MemoryTransport(pair.broker).ensure_topics([TopicSpec("kuayu.answer.2", PARTITIONS)])
    watched.wait(STUCK / 2)
    assert len(silenced.made) == 1  # it may yet find out by itself
    watched.wait(STUCK)
    pair.settle()
    assert len(silenced.made) == 2
    assert watched.alarms("inbox_stuck") == 1
    assert watched.alarms("position_lost") > 0
    for _ in range(4):
        watched.wait(STUCK)
    assert len(silenced.made) == 2


@pytest.mark.usefixtures("silenced")
def test_repairs_that_do_not_help_become_rare(pair: Any) -> None:
    pair.ask.act("case-1")
    pair.settle()
    watched = Watched(pair.answer)
    Mute.mute = True
    try:
        pair.ask.act("case-1")
        pair.ask.engine.relay.step(0)
        for _ in range(400):
            watched.wait(10)
    finally:
        Mute.mute = False
    assert 6 <= watched.alarms("inbox_stuck") <= 6 + 4000 / REPAIR_AT_MOST


def test_a_relay_that_hears_of_nothing_gets_a_new_producer(pair: Any) -> None:
    watched = Watched(pair.ask)
    watched.wait(STUCK)
    pair.broker.hold(topic="kuayu.answer.2")
    pair.ask.act("case-1")
    pair.settle()
    watched.wait(1)
    watched.wait(STUCK - 2)
    assert watched.alarms("relay_stuck") == 0
    watched.wait(2)
    assert watched.watch.readings.relay_stuck >= STUCK
    assert watched.alarms("relay_stuck") == 1
    pair.settle()
    pair.clock.move(seconds=1)  # the lane's own pause after the failure
    pair.settle()
    assert pair.answer.notes("case-1") == ("0",)
    pair.broker.release()  # what was held comes late, and counts no more
    pair.settle()
    assert pair.answer.notes("case-1") == ("0",)
    assert "duplicate" in pair.answer.observed.outcomes
    watched.wait(1)
    assert watched.watch.readings.relay_stuck == 0


class Forgetful(MemoryProducer):
    """Writes nothing: the first record fails, and of the others it never tells."""

    failed = False

    def send(self, record: Outbound, done: Done) -> None:
        if not self.failed:
            self.failed = True
            done(RetriableError(f"{record.topic}: not now"))


class Forgetting(MemoryTransport):
    """Its first producer is a forgetful one."""

    forgot = False

    def producer(self, client: str) -> MemoryProducer:
        if self.forgot:
            return super().producer(client)
        self.forgot = True
        return Forgetful(self.broker)


def test_what_a_producer_never_told_of_is_sent_again_by_the_next(pair: Any) -> None:
    transport = Forgetting(pair.broker)
    pair.ask.reach_broker = lambda: transport
    pair.ask.restart()
    watched = Watched(pair.ask)
    watched.wait(STUCK)
    for _ in range(2):
        pair.ask.act("case-1")
    pair.settle()
    watched.wait(1)
    watched.wait(STUCK)
    assert watched.alarms("relay_stuck") == 1
    assert pair.answer.notes("case-1") == ()
    pair.ask.act("case-1")
    pair.settle()
    pair.clock.move(seconds=1)  # the lane's own pause after the failure
    pair.settle()
    assert pair.answer.notes("case-1") == ("0", "0", "0")
    assert not any(map(any, pair.ask.engine.relay.backlog().values()))


def test_nothing_is_repaired_while_the_broker_is_away(pair: Any) -> None:
    watched = Watched(pair.ask)
    watched.wait(STUCK)
    pair.broker.stop()
    pair.ask.act("case-1")
    for _ in range(20):
        watched.passed += STUCK
        pair.clock.move(seconds=STUCK)
        watched.watch.step(0)
    assert watched.watch.readings.relay_stuck > STUCK
    pair.broker.start()
    watched.wait(1)  # the clients are given time to come back by themselves
    pair.settle()
    assert watched.alarms("relay_stuck") == 0
    assert pair.answer.notes("case-1") == ("0",)


def test_a_writer_that_cannot_write_is_silent(pair: Any, send: type) -> None:
    engine = pair.ask.engine
    pair.settle()
    with closing(sqlite3.connect(pair.ask.url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        engine.start()
        waiting = engine.writer.submit(pair.ask.command("case-1", send()))
        with pytest.raises(Unavailable):
            waiting.result(PATIENCE)
        engine.watch.step(0)
        silent = engine.watch.readings.silent
        assert silent["writer"] == max(silent.values()) > 1
        eventually(lambda: "writer_waits" in pair.ask.observed.kinds(), engine)
        other.execute("ROLLBACK")
    again = engine.writer.submit(pair.ask.command("case-1", send()))
    assert again.result(PATIENCE).case == "case-1"
    engine.watch.step(0)
    assert engine.watch.readings.silent["writer"] < silent["writer"]
    engine.stop()


def test_a_disk_that_fills_stops_intake_before_it_is_full(pair: Any) -> None:
    watched = Watched(pair.answer)
    pair.ask.act("case-1")
    pair.settle()
    watched.free = 50 << 20
    watched.wait(1)
    assert watched.full()
    assert watched.watch.readings.disk_free == 50 << 20
    with pytest.raises(Unavailable):
        pair.answer.engine.writer.submit(pair.answer.command("case-1", None))
    pair.ask.act("case-1")
    pair.settle()
    assert len(pair.answer.notes("case-1")) == 1, "the broker keeps what was not read"
    watched.free = 65 << 20  # not enough yet, or it would stop and go
    watched.wait(1)
    assert watched.full()
    watched.free = 100 << 20
    watched.wait(1)
    assert not watched.full()
    pair.settle()
    assert len(pair.answer.notes("case-1")) == 2
    assert watched.alarms("disk_full") == 1


def test_of_a_small_disk_a_part_is_kept(pair: Any) -> None:
    watched = Watched(pair.ask, total=20 << 20)
    for free, full in ((2 << 20, False), (1 << 19, True)):
        watched.free = free
        watched.wait(1)
        assert watched.full() is full


def test_a_folder_that_is_gone_is_not_the_watchdogs_to_say(pair: Any, tmp_path: Path) -> None:
    watched = Watched(pair.ask, folder=tmp_path / "gone")
    watched.wait(1)
    assert watched.watch.readings.disk_free is None


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_is_told(pair: Any, hours: int) -> None:
    watched = Watched(pair.ask)
    watched.wait(60)
    assert watched.alarms("clock_set") == 0
    pair.clock.move(hours=hours)
    watched.watch.step(0)
    watched.watch.step(0)
    assert watched.alarms("clock_set") == 1


def test_nothing_waits_for_a_clock_that_was_set_back(pair: Any) -> None:
    pair.ask.act("case-1")
    pair.settle()
    pair.broker.refuse(topic="kuayu.answer.2")
    pair.ask.act("case-1")
    pair.ask.engine.relay.step(0)
    pair.ask.engine.relay.step(0)  # hears of the failure: the lane pauses
    looked_at = pair.ask.engine.inbox.looked_at
    pair.clock.move(hours=-1)
    pair.settle()
    assert len(pair.answer.notes("case-1")) == 2
    assert pair.ask.engine.inbox.looked_at < looked_at
    assert set(pair.ask.engine.relay.backlog().values()) == {(0, 0)}


@pytest.mark.parametrize(("ahead", "off"), [(0, 0), (-90, 1), (90, 1)])
def test_a_clock_beside_the_brokers_is_told(pair: Any, ahead: int, off: int) -> None:
    pair.broker._now_ms = lambda: round((pair.clock.now() - timedelta(seconds=ahead)).timestamp() * 1000)
    watched = Watched(pair.answer)
    pair.ask.act("case-0")
    pair.settle()
    for number in range(6):
        watched.wait(6)
        pair.answer.step()
        pair.ask.act(f"case-{number}")
        pair.settle()
    watched.wait(1)
    assert watched.watch.readings.clock_offset == pytest.approx(ahead, abs=1)
    assert watched.alarms("clock_off") == off


def test_old_records_say_nothing_of_the_clock(pair: Any) -> None:
    pair.broker._now_ms = lambda: round(pair.clock.now().timestamp() * 1000)
    for number in range(10):
        pair.ask.act(f"case-{number}")
    pair.ask.engine.relay.step(0)
    pair.clock.move(hours=2)
    watched = Watched(pair.answer)
    for _ in range(10):
        watched.wait(6)
        pair.answer.step()
    assert pair.answer.observed.outcomes.count("applied") == 10
    assert watched.watch.readings.clock_offset is None
    assert watched.alarms("clock_off") == 0
