"""Effects with their positions, lanes in order, events at most once."""

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from bus import Busy, Command, CommandRefused, Fenced, Unavailable
from bus import writer as writer_module
from bus.envelope import partition_of
from bus.ledger import tables
from bus.transport import TopicPartition


def test_law_1_effect_event_and_position_are_one_transaction(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.ask.act("1-a")
    pair.ask.engine.relay.step(0)
    answer = pair.answer
    commit = answer.ledger.commit

    def fails_at_the_end(old: Any, entries: Any, lanes: Any, at: Any, write: Any) -> Any:
        def then_fail(connection: Any) -> None:
            write(connection)
            raise OperationalError("disk", {}, Exception("disk full"))

        return commit(old, entries, lanes, at, then_fail)

    monkeypatch.setattr(answer.ledger, "commit", fails_at_the_end)
    answer.engine.inbox.step(0)
    with pytest.raises(OperationalError):
        answer.engine.writer.step(0)
    with answer.ledger.read() as connection:
        for table in (tables.log, tables.position, tables.case, tables.lane):
            assert connection.execute(select(table)).all() == []
    monkeypatch.undo()
    pair.settle()  # what was read is kept and applied once the ledger can be written again
    assert answer.notes("1-a") == ("0",)


def test_law_1_reading_resumes_where_the_ledger_says(pair: Any) -> None:
    pair.ask.act("1-a")
    pair.settle()
    pair.answer.restart()
    pair.answer.observed.outcomes.clear()
    pair.ask.act("1-a")
    pair.settle()
    assert pair.answer.observed.outcomes == ["applied"]
    assert pair.answer.notes("1-a") == ("0", "0")


def test_law_2_a_lane_is_sent_in_order_and_nothing_passes_an_unacknowledged_row(pair: Any, send: Any) -> None:
    pair.broker.refuse(1)
    pair.ask.act("1-a", send(times=5, note="n"))
    pair.settle()
    lane = pair.ask.lane(outward=True, case="1-a")
    assert (
        lane.cursor == 0
    )  # what came after the refused row may be with the broker; the cursor is not past it
    assert "lane_waits" in pair.ask.observed.kinds()
    pair.clock.move(seconds=31)
    pair.settle()
    assert pair.answer.notes("1-a") == ("n0", "n1", "n2", "n3", "n4")
    assert pair.ask.lane(outward=True, case="1-a").mark == 5


def test_law_2_a_retriable_failure_stops_that_lane_only(pair: Any) -> None:
    one, other = "1-a", "1-d"
    assert partition_of(one, 2) != partition_of(other, 2)
    pair.broker.refuse(1)
    pair.ask.act(one)
    pair.ask.engine.relay.step(0)
    pair.ask.act(other)
    pair.settle()
    assert pair.answer.notes(other) == ("0",)
    assert pair.answer.notes(one) == ()


def test_law_2_a_resend_is_byte_identical(pair: Any) -> None:
    pair.ask.act("1-a")
    pair.broker.lose_acks(1)
    pair.settle()
    pair.clock.move(minutes=1)
    pair.settle()
    sent = [record for p in (0, 1) for record in pair.broker.records("kuayu.answer.2", p)]
    assert len(sent) >= 2
    assert len({(record.key, record.value, tuple(record.headers)) for record in sent}) == 1
    assert pair.answer.notes("1-a") == ("0",)


def test_law_2_size_and_route_are_checked_before_the_commit(pair: Any, send: Any) -> None:
    with pytest.raises(CommandRefused) as refused:
        pair.ask.act("1-a", send(size=2_000_000))
    assert refused.value.code == "too_large"
    pair.ask.stage.to = ("answer", "9")
    with pytest.raises(CommandRefused) as refused:
        pair.ask.act("1-a")
    assert refused.value.code == "no_such_inbox"
    pair.ask.stage.to = ("ask", "2")
    with pytest.raises(CommandRefused) as refused:
        pair.ask.act("1-a")
    assert refused.value.code == "not_in_catalogue"
    with pair.ask.ledger.read() as connection:
        assert connection.execute(select(tables.log)).all() == []


def test_law_2_what_the_broker_refuses_for_good_becomes_a_tombstone(
    pair: Any, send: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("bus.sending.MAX_BODY", 10_000_000)  # as if the broker's limit were lower than ours
    pair.ask.act("1-a", send(size=1_200_000))
    pair.settle()
    pair.ask.act("1-a")
    pair.settle()
    assert pair.ask.observed.kinds() >= {"tombstone"}
    assert pair.answer.notes("1-a") == ()  # the tombstone parks its case; what follows waits behind it
    assert pair.answer.observed.outcomes == ["parked", "waiting"]
    assert pair.ask.lane(outward=True, case="1-a").mark == 2


def test_law_3_a_duplicate_is_dropped_and_answered(pair: Any) -> None:
    pair.broker.duplicate(1, "kuayu.answer.2")
    pair.ask.act("1-a")
    pair.settle()
    assert sorted(pair.answer.observed.outcomes) == ["applied", "duplicate"]
    assert pair.answer.notes("1-a") == ("0",)


def test_law_3_a_gap_is_not_jumped_but_asked_for(pair: Any, send: Any) -> None:
    pair.broker.hold(1, "kuayu.answer.2")
    pair.ask.act("1-a", send(times=3, note="n"))
    pair.settle()
    assert "ahead" in pair.answer.observed.outcomes
    pair.settle()
    assert pair.answer.notes("1-a") == ("n0", "n1", "n2")
    pair.broker.release()
    pair.settle()
    assert pair.answer.notes("1-a") == ("n0", "n1", "n2")


def test_law_3_the_same_number_with_other_contents_stops_the_lane(pair: Any) -> None:
    pair.ask.act("1-a")
    pair.settle()
    lane = pair.ask.lane(outward=True, case="1-a")
    with (
        pair.ask.ledger.engine.begin() as connection
    ):  # the sender forgets that it said anything, and says other things
        connection.execute(update(tables.lane).values(number=0, hash=bytes(32), cursor=0, mark=0))
    pair.ask.restart()
    pair.clock.move(seconds=5)
    pair.ask.act("1-a")
    pair.ask.engine.relay.step(0)
    pair.answer.step()
    stopped = pair.answer.engine.books.lanes[False, lane.name]
    assert stopped.stopped
    assert "lane_stopped" in pair.answer.observed.kinds()
    pair.ask.tampered = True


def test_commands_are_refused_when_too_many_wait(
    pair: Any, send: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "QUEUE_ITEMS", 1)
    command = Command(stream="1/ask", case="1-a", data=send(), actor="x", acted_at=pair.clock.now())
    pair.ask.engine.writer.submit(command)
    with pytest.raises(Busy):
        pair.ask.engine.writer.submit(command)
    pair.settle()


def test_a_frozen_writer_that_returns_is_fenced_off(pair: Any, send: Any) -> None:
    old = pair.ask.engine
    pair.ask.act("1-a")
    new = pair.ask.open()
    assert new is not old
    command = Command(stream="1/ask", case="1-z", data=send(), actor="x", acted_at=pair.clock.now())
    future = old.writer.submit(command)
    with pytest.raises(Fenced):
        old.writer.step(0)
    with pytest.raises(Unavailable):
        future.result(timeout=0)
    old.ledger.close()
    assert pair.ask.notes("1-z") == ()
    pair.settle()
    assert pair.answer.notes("1-a") == ("0",)


def test_positions_count_what_became_of_every_record(pair: Any) -> None:
    pair.broker.duplicate(2, "kuayu.answer.2")
    for case in ("1-a", "1-b", "1-c"):
        pair.ask.act(case)
    pair.settle()
    with pair.answer.ledger.read() as connection:
        for row in connection.execute(select(tables.position)):
            place = TopicPartition(row.topic, row.partition)
            if row.topic == "kuayu.answer.2":
                read = row.taken + row.duplicate + row.ahead + row.quarantined
                assert read == row.next == len(pair.broker.records(*place))
