"""Receipts and what their sender makes of them: what once went wrong, each by itself."""

import pytest

from bus import Message, receipts
from bus import envelope as env
from bus.transport import MemoryTransport
from schemas.models import Receipt, ReceiptException, ReceiptStatus, ResendRequested
from tests.unit.bus.toys import ALWAYS, CONTROL, Decided, Pair, Send, State, broken, exceptions, types, well

SAME_LANE = next(
    case for case in map("1-{}".format, range(99)) if env.partition_of(case, 2) == env.partition_of("1-a", 2)
)


def take(pair: Pair, case: str) -> None:
    """One more hand-over is committed by its receiver, who finds no time for anything else."""
    pair.ask.act(case)
    while not pair.answer.engine.inbox.step(0):
        pair.ask.engine.relay.step(0)
    assert pair.answer.engine.writer.step(0)
    pair.answer.engine.relay.step(0)


def test_under_load_one_receipt_speaks_for_many_commits(pair: Pair) -> None:
    for case in ("1-a", SAME_LANE):
        take(pair, case)
    assert pair.broker.records(CONTROL) == []
    pair.settle()
    assert len(pair.broker.records(CONTROL)) == 1
    assert pair.ask.lane(outward=True, case="1-a").mark == 2


def test_receipts_wait_no_longer_than_they_may_for_work_to_pause(pair: Pair) -> None:
    take(pair, "1-a")
    pair.clock.move(milliseconds=100)
    take(pair, "1-a")
    pair.clock.move(milliseconds=100)
    take(pair, "1-a")
    assert len(pair.broker.records(CONTROL)) == 1
    pair.clock.move(seconds=-3600)
    take(pair, "1-a")
    assert len(pair.broker.records(CONTROL)) > 1  # set back, the clock keeps nobody waiting


def test_a_node_that_is_stopped_in_order_owes_no_receipts(pair: Pair) -> None:
    take(pair, "1-a")
    pair.answer.engine.stop()
    assert len(pair.broker.records(CONTROL)) == 1


def test_a_node_that_was_killed_says_at_its_start_what_it_had_no_time_to_say(pair: Pair) -> None:
    take(pair, "1-a")
    pair.answer.restart()
    pair.settle()
    assert pair.ask.lane(outward=True, case="1-a").mark == 1


def test_two_receipts_in_one_commit_leave_what_the_later_one_says(pair: Pair) -> None:
    pair.answer.stage.rule = broken
    pair.ask.act("1-a")
    for _ in range(3):
        pair.ask.engine.relay.step(0)
        pair.answer.step()
    pair.answer.stage.rule = well
    pair.answer.engine.mending.release("2/answer", "1-a")
    for _ in range(3):
        pair.answer.step()
    assert len(pair.broker.records(CONTROL)) == 2
    pair.settle()
    assert pair.answer.notes("1-a") == ("0",)
    assert exceptions(pair.ask, "1-a") == {}


def test_a_refusal_that_is_receipted_twice_in_one_commit_is_told_once(pair: Pair) -> None:
    pair.answer.stage.rule = lambda _s, m: Decided("refused", "no", "不 / no") if m.kind == "event" else None
    pair.broker.duplicate(1, CONTROL)
    pair.ask.act("1-a")
    pair.settle()
    assert pair.ask.notes("1-a") == ("send", "told:HandOverRefused")


def test_that_a_case_was_mended_is_asked_for_when_it_was_not_heard(pair: Pair) -> None:
    pair.answer.stage.rule = lambda s, m: broken(s, m) if m.case == "1-a" else None
    pair.ask.act("1-a")
    pair.ask.act(SAME_LANE)
    pair.settle()
    pair.answer.stage.rule = well
    pair.broker.refuse(ALWAYS, CONTROL)
    pair.answer.engine.mending.release("2/answer", "1-a")
    for _ in range(3):
        pair.settle()
        pair.clock.move(seconds=61)
    pair.broker.behave()
    assert exceptions(pair.ask, "1-a") == {1: "parked"}
    pair.clock.move(minutes=15)  # nothing is overdue: only the probe of an idle lane finds it
    pair.settle()
    assert exceptions(pair.ask, "1-a") == {}


def test_a_range_with_more_exceptions_than_a_receipt_takes_is_told_in_several(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receipts, "EXCEPTIONS_AT_MOST", 3)
    pair.answer.stage.rule = broken
    pair.ask.act("1-a", Send(times=8))
    pair.settle()
    assert pair.ask.lane(outward=True, case="1-a").mark == 8
    assert sorted(exceptions(pair.ask, "1-a")) == [1, 2, 3, 4, 5, 6, 7, 8]
    pair.answer.stage.rule = well
    pair.answer.engine.mending.release("2/answer", "1-a")
    pair.settle()
    assert exceptions(pair.ask, "1-a") == {}


def test_long_reasons_do_not_make_a_receipt_too_large(pair: Pair) -> None:
    long = Decided("refused", "no", "不" * 400_000)
    pair.answer.stage.rule = lambda _s, m: long if m.kind == "event" else None
    pair.ask.act("1-a")
    pair.settle()
    assert pair.ask.lane(outward=True, case="1-a").mark == 1
    assert exceptions(pair.ask, "1-a") == {1: "refused"}


def test_a_case_that_cannot_be_told_stops_neither_its_lane_nor_is_it_forgotten(pair: Pair) -> None:
    def cannot(_state: State | None, message: Message) -> Decided | None:
        if message.kind == "told":
            raise ZeroDivisionError
        return None

    pair.ask.stage.rule = cannot
    pair.answer.stage.rule = lambda _s, m: Decided("refused", "no", "不") if m.kind == "event" else None
    pair.ask.act("1-a")
    pair.settle()
    assert pair.ask.lane(outward=True, case="1-a").mark == 1
    assert exceptions(pair.ask, "1-a") == {1: "waiting"}  # open until it is told
    pair.ask.stage.rule = well
    pair.clock.move(minutes=16)
    pair.settle()
    assert pair.ask.notes("1-a") == ("send", "told:HandOverRefused")
    assert exceptions(pair.ask, "1-a") == {1: "refused"}


@pytest.mark.parametrize("number", [-1, 0])
def test_a_request_for_numbers_that_never_were_is_an_alarm(pair: Pair, number: int) -> None:
    pair.ask.act("1-a")
    pair.settle()
    lane = pair.ask.lane(outward=True, case="1-a")
    asked = ResendRequested(
        lane=lane.name, incarnation=1, from_number=number, receiver_incarnation=1, issued_at=pair.clock.now()
    )
    before = types(pair)
    say(pair, asked)
    pair.settle()
    assert "receipt_contradicts" in pair.ask.observed.kinds()
    assert types(pair) == before


def test_a_receipt_that_speaks_of_numbers_outside_its_range_closes_nothing(pair: Pair) -> None:
    pair.ask.act("1-a", Send(times=2))
    pair.ask.step()
    lane = pair.ask.lane(outward=True, case="1-a")
    [first] = pair.ask.ledger.lane_entries(lane.id, 1, 1)
    wrong = ReceiptException(number=2, status=ReceiptStatus.REFUSED, code="no", reason="不 / no")
    say(
        pair,
        Receipt(
            lane=lane.name,
            incarnation=1,
            from_number=1,
            to_number=1,
            hash_at_to=first.lane_hash,
            exceptions=(wrong,),
            receiver_incarnation=1,
            receiver_row=1,
            issued_at=pair.clock.now(),
        ),
    )
    pair.ask.step()
    assert "receipt_contradicts" in pair.ask.observed.kinds()
    assert pair.ask.lane(outward=True, case="1-a").mark == 0


def say(pair: Pair, data: Receipt | ResendRequested) -> None:
    message = receipts.control(data, pair.answer.engine.records.codec, pair.clock.now())
    MemoryTransport(pair.broker).producer("answer").send(message, lambda _error: None)
