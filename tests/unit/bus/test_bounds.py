"""Bounds: what waits for a broker, a ledger or a reader is not kept in memory, and a start does not read the history."""
# ruff: noqa: S608 - statements of our own words

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import event, text

from bus import Entry, Ledger
from bus.books import LATELY
from bus.relay import HELD_ROWS, READ_ROWS
from bus.telling import TOLD_ROWS
from bus.transport import MemoryTransport, Outbound, TopicSpec
from bus.writer import QUEUE_BYTES

HISTORY = 1_000_000
STEPS = 100
"""SQLite says every so many instructions that it still works."""


@contextmanager
def counted(node: Any) -> Iterator[Callable[[], int]]:
    """Counts what SQLite does for the node's ledgers while entered, in hundreds of its instructions."""
    count = 0

    def count_one() -> int:
        nonlocal count
        count += 1
        return 0

    def reach() -> Ledger:
        ledger = Ledger(node.url, synchronous="OFF")
        event.listen(
            ledger.engine, "connect", lambda connection, _: connection.set_progress_handler(count_one, STEPS)
        )
        return ledger

    plain, node.reach_ledger = node.reach_ledger, reach
    try:
        yield lambda: count
    finally:
        node.reach_ledger = plain


def add_history(node: Any) -> None:
    """A million events more, of which nothing is open: they are never read, so what they say does not matter."""
    numbers = f"WITH RECURSIVE past(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM past WHERE n < {HISTORY})"
    with node.ledger.engine.begin() as connection:
        lane = connection.execute(text("SELECT max(id) FROM lane WHERE outward")).scalar()
        for table, columns, values in (
            ("log", "row, subject, lane, number, entry", f"n + 1000, 'past-' || (n / 4), {lane} + 1000, n, x'00'"),
            ("batch", "batch, first_row, last_row, root, chain, epoch, committed_at", "n + 1000, n, n, x'', x'', 1, n"),
            ("case_state", "stream, subject, version, status, open", "'1/ask', 'past-' || n, n, 'noted', 0"),
            ("answer", "caller, key, digest, stream, subject, version", "'hall', n, x'', '1/ask', 'past-' || n, n"),
            ("exception", "lane, number, status, code, reason, row", f"{lane}, n, 'refused', 'no', '', n"),
        ):  # fmt: skip
            some = {"log": 1, "batch": 4, "case_state": 4, "answer": 4, "exception": 20}[table]
            condition = f"n % {some} = 0"
            connection.execute(
                text(f"INSERT INTO {table} ({columns}) {numbers} SELECT {values} FROM past WHERE {condition}")
            )
        connection.execute(text(f"UPDATE head SET next_row = {HISTORY + 2000}, batch = {HISTORY + 2000}"))


def test_a_start_does_not_grow_with_history(pair: Any) -> None:
    pair.ask.tampered = True  # a history that was made up proves nothing
    pair.ask.act("case-1")
    pair.settle()

    def start() -> int:
        with counted(pair.ask) as count:
            pair.ask.restart()
            pair.ask.act("case-1")
            pair.settle()
            pair.clock.move(minutes=20)  # idle lanes are probed, receipts restated
            pair.settle()
            return count()

    start()
    young = start()
    add_history(pair.ask)
    last_rows = LATELY * 5 / STEPS  # which a start does read, for the receipts that are owed
    assert start() <= young * 1.5 + 10 + last_rows
    assert len(pair.answer.notes("case-1")) == 4


def test_a_case_is_kept_in_memory_until_it_has_ended(pair: Any, wake: Any) -> None:
    later = pair.clock.now() + timedelta(days=1)
    pair.ask.act("case-1")  # over at once
    pair.ask.act("case-2", wake(at=later))
    kept = pair.ask.engine.books.cases
    assert [case for _, case in kept] == ["case-2"]
    pair.ask.act("case-1", wake(at=later))  # goes on after all, from what its rows say
    assert pair.ask.notes("case-1") == ("send", "wake")
    assert {case: seen.state.notes for (_, case), seen in kept.items()} == {
        "case-1": ("send", "wake"),
        "case-2": ("wake",),
    }


def sent(pair: Any) -> int:
    """Records that have reached the answering node's inbox."""
    return sum(len(pair.broker.records("kuayu.answer.2", partition)) for partition in (0, 1))


def test_a_broker_that_is_away_for_an_hour_of_load_costs_no_memory(pair: Any, send: Any) -> None:
    pair.broker.stop()
    rows = HELD_ROWS + 3 * READ_ROWS
    for number in range(rows // 500):
        pair.ask.act(f"case-{number}", send(times=500))
    relay = pair.ask.engine.relay
    assert sum(behind for behind, _ in relay.backlog().values()) == rows
    assert relay.in_memory[0] == HELD_ROWS
    pair.broker.start()
    most = 0
    while sent(pair) < rows:
        relay.step(0)
        pair.clock.move(seconds=1)
        most = max(most, relay.in_memory[0])
    assert most <= HELD_ROWS + READ_ROWS
    assert relay.in_memory[0] == 0


def test_after_a_start_a_backlog_is_read_in_slices(pair: Any, send: Any) -> None:
    rows = 6 * READ_ROWS
    for number in range(rows // 500):
        pair.ask.act(f"case-{number}", send(times=500))
    pair.ask.restart()
    relay = pair.ask.engine.relay
    kept: list[int] = []
    lane_entries = pair.ask.ledger.lane_entries

    def read(*which: int) -> list[Entry]:
        entries: list[Entry] = lane_entries(*which)
        kept.append(relay.in_memory[0] + len(entries))
        return entries

    pair.ask.ledger.lane_entries = read
    while sent(pair) < rows:
        relay.step(0)
    assert 0 < max(kept) <= 2 * READ_ROWS, "of each of the two lanes one slice"
    for partition in (0, 1):
        records = pair.broker.records("kuayu.answer.2", partition)
        numbers = [int(dict(record.headers)["ce_sequence"]) for record in records]
        assert numbers == list(range(1, len(records) + 1))


def test_receipts_for_a_broker_that_is_away_are_bounded(pair: Any) -> None:
    relay = pair.ask.engine.relay
    message = Outbound("kuayu.receipts.2", 0, b"lane", b"", [])
    for _ in range(3):
        relay.tell([message] * TOLD_ROWS)
    assert relay.in_memory[1] == TOLD_ROWS


def test_what_is_told_to_topics_that_do_not_exist_holds_up_nothing(pair: Any) -> None:
    relay = pair.ask.engine.relay
    absent = [Outbound(f"kuayu.receipts.9{n:05}", 0, b"lane", b"", []) for n in range(100)]
    there = Outbound("kuayu.receipts.2", 0, b"lane", b"", [])
    relay.tell([there, *absent, there])
    for _ in range(3):
        relay.step(0)
    assert len(pair.broker.records("kuayu.receipts.2")) == 2
    assert relay.in_memory[1] == 0


def test_what_is_told_waits_for_a_broker_that_has_not_named_its_topics_yet(pair: Any) -> None:
    relay = pair.ask.engine.relay
    pair.broker.start()
    relay.step(0)
    pair.broker.stop()
    relay.tell([Outbound("kuayu.receipts.2", 0, b"lane", b"", [])])
    relay.step(0)
    assert relay.in_memory[1] == 1
    pair.broker.start()
    pair.clock.move(seconds=1)
    relay.step(0)
    assert relay.in_memory[1] == 0
    assert len(pair.broker.records("kuayu.receipts.2")) == 1


def test_a_topic_that_comes_late_or_goes_and_returns_is_told_what_is_said_then(pair: Any) -> None:
    relay, topic = pair.ask.engine.relay, "kuayu.receipts.3"
    message = Outbound(topic, 0, b"lane", b"", [])

    def told() -> int:
        relay.tell([message])
        relay.step(0)
        pair.clock.move(seconds=1)
        return len(pair.broker.records(topic)) if topic in pair.broker.topics() else 0

    assert told() == 0
    for _ in range(2):
        MemoryTransport(pair.broker).ensure_topics([TopicSpec(topic, 1, {})])
        assert told() == 1
        pair.broker.delete_topic(topic)
        assert told() == 0
    assert relay.in_memory[1] == 0


def test_few_of_the_largest_records_fill_the_queue(pair: Any) -> None:
    producer = MemoryTransport(pair.broker).producer("far away")
    body = bytes(900_000)
    for _ in range(QUEUE_BYTES // len(body) * 2):
        producer.send(Outbound("kuayu.answer.2", 0, b"key", body, []), lambda _error: None)
        producer.poll(0)
    inbox, writer = pair.answer.engine.inbox, pair.answer.engine.writer
    inbox.step(0)
    assert writer.full
    before = writer.waiting
    assert inbox.step(0) is False
    assert writer.waiting == before
    while writer.step(0):
        pass
    assert not writer.full
