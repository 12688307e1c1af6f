"""Receipts, nothing vanishes, stored decisions, terms."""

from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select

from bus.ledger import tables
from bus.transport import MemoryTransport, Outbound
from bus.verification import rebuild

TOPIC = "kuayu.answer.2"


def open_numbers(node: Any, case: str) -> int:
    lane = node.lane(outward=True, case=case)
    return int(lane.number - lane.mark)


def test_law_4_a_broker_acknowledgement_is_not_delivery(pair: Any) -> None:
    pair.ask.act("1-a")
    for _ in range(4):
        pair.ask.step()
    lane = pair.ask.lane(outward=True, case="1-a")
    assert (lane.cursor, lane.mark) == (1, 0)
    pair.settle()
    assert pair.ask.lane(outward=True, case="1-a").mark == 1


def test_law_4_a_lost_receipt_is_made_good_by_a_probe(pair: Any) -> None:
    pair.broker.refuse(1, "kuayu.receipts.1")
    pair.ask.act("1-a")
    pair.settle()
    assert open_numbers(pair.ask, "1-a") == 1
    pair.clock.move(seconds=25)  # the sender probes with its oldest open row; the duplicate is answered
    pair.settle()
    assert open_numbers(pair.ask, "1-a") == 0
    assert pair.answer.notes("1-a") == ("0",)


def test_law_4_receipts_are_restated(pair: Any) -> None:
    pair.broker.refuse(1, "kuayu.receipts.1")
    pair.ask.act("1-a")
    pair.settle()
    pair.broker.refuse(5, TOPIC)  # no probe gets through
    pair.clock.move(seconds=61)
    pair.answer.engine.writer.step(0)
    pair.settle()
    assert open_numbers(pair.ask, "1-a") == 0


def test_law_4_a_receipt_beyond_the_mark_closes_nothing(pair: Any) -> None:
    pair.broker.refuse(1, "kuayu.receipts.1")
    pair.ask.act("1-a")
    pair.settle()
    pair.ask.act("1-a")
    pair.settle()
    assert open_numbers(pair.ask, "1-a") == 2
    pair.clock.move(seconds=25)
    pair.settle()
    assert open_numbers(pair.ask, "1-a") == 0


def test_law_4_a_refusal_is_told_to_the_case_once(pair: Any, said: Any) -> None:
    pair.answer.stage.rule = lambda _state, _message: said(
        "refused", "no_such_matter", "没有此事 / no such matter"
    )
    pair.ask.act("1-a")
    pair.settle()
    assert pair.ask.notes("1-a") == ("send", "told:HandOverRefused")
    assert open_numbers(pair.ask, "1-a") == 0
    pair.clock.move(minutes=2)
    pair.settle()
    assert pair.ask.notes("1-a") == ("send", "told:HandOverRefused")


def test_law_4_parked_is_receipted_and_still_open(pair: Any) -> None:
    def broken(_state: Any, message: Any) -> Any:
        if message.kind == "event":
            raise ZeroDivisionError
        return None

    pair.answer.stage.rule = broken
    pair.ask.act("1-a")
    pair.settle()
    lane = pair.ask.lane(outward=True, case="1-a")
    exceptions = pair.ask.engine.books.exceptions(lane, 1, 1)
    assert exceptions[1].status == "parked"
    pair.answer.stage.rule = lambda _state, _message: None  # mended
    released = pair.answer.engine.mending.release("2/answer", "1-a")
    pair.settle()
    assert [tried.outcome for tried in released.result(timeout=0)] == ["applied"]
    assert pair.ask.engine.books.exceptions(lane, 1, 1) == {}
    assert pair.answer.notes("1-a") == ("0",)


def test_law_5_one_bad_case_parks_alone_and_its_events_wait_in_order(pair: Any) -> None:
    def bad_first(_state: Any, message: Any) -> Any:
        if message.case == "1-a" and message.kind == "event" and "bad" in (message.data.reason or ""):
            raise ValueError("cannot be")
        return None

    pair.answer.stage.rule = bad_first
    send = pair.ask.stage.command_type.__args__[0]
    pair.ask.act("1-a", send(note="bad"))
    pair.ask.act("1-b", send(note="good"))
    pair.ask.act("1-a", send(note="later"))
    pair.settle()
    assert pair.answer.notes("1-b") == ("good0",)
    assert pair.answer.notes("1-a") == ()
    assert sorted(pair.answer.observed.outcomes) == ["applied", "parked", "waiting"]
    refused = pair.answer.engine.mending.refuse("2/answer", "1-a", "operator", "wrong", "不可 / wrong")
    pair.settle()
    refused.result(timeout=0)
    assert pair.answer.notes("1-a") == ("later0",)
    assert pair.ask.notes("1-a") == ("send", "send", "told:HandOverRefused")


def test_law_5_garbage_is_quarantined_and_hurts_nobody(pair: Any) -> None:
    producer = _producer(pair)
    for value, headers in (
        (b"\xff\xfe garbage", []),
        (b"", [("ce_id", b"1")]),
        (b"x" * 100, [("ce_type", b"\xff")]),
    ):
        for partition in (0, 1):
            producer.send(Outbound(TOPIC, partition, b"1-a", value, headers), lambda _: None)
    pair.ask.act("1-a")
    pair.settle()
    assert sorted(pair.answer.observed.outcomes) == ["applied", *["quarantined"] * 6]
    assert pair.answer.notes("1-a") == ("0",)
    with pair.answer.ledger.read() as connection:
        kept = connection.execute(select(tables.quarantine)).all()
    assert len(kept) == 6
    assert all(row.reason for row in kept)


def test_law_5_a_forged_event_takes_no_number(pair: Any) -> None:
    pair.ask.act("1-a")
    pair.settle()
    [record] = [r for p in (0, 1) for r in pair.broker.records(TOPIC, p)]
    headers = [(n, b"2" if n == "ce_sequence" else v) for n, v in record.headers]
    _producer(pair).send(Outbound(TOPIC, record.partition, record.key, record.value, headers), lambda _: None)
    pair.settle()
    assert pair.answer.observed.outcomes == ["applied", "quarantined"]
    pair.ask.act("1-a")
    pair.settle()
    assert pair.answer.notes("1-a") == ("0", "0")


def test_law_5_an_event_that_cannot_be_decoded_takes_its_number_and_is_parked(pair: Any) -> None:
    codec = pair.ask.engine.records.codec
    encode = codec.encode
    codec.encode = lambda data: (encode(data)[0][:5] + b"\xff\xff\xff", encode(data)[1])
    pair.ask.act("1-a")
    codec.encode = encode
    pair.ask.act("1-b")
    pair.settle()
    assert sorted(pair.answer.observed.outcomes) == ["applied", "parked"]
    assert pair.answer.notes("1-b") == ("0",)
    assert pair.ask.lane(outward=True, case="1-a").mark == 2


def test_law_6_a_rebuild_folds_stored_results_and_never_decides(pair: Any, wake: Any) -> None:
    for case in ("1-a", "1-b"):
        pair.ask.act(case)
        pair.ask.act(case, wake(at=pair.clock.now() + timedelta(days=1)))
    pair.settle()

    def no(*_: Any) -> Any:
        raise AssertionError("decided again")

    for node in (pair.ask, pair.answer):
        before = _projections(node)
        node.stage.rule = no
        with node.ledger.engine.begin() as connection:
            connection.execute(delete(tables.case))
            connection.execute(delete(tables.timer))
        assert rebuild(node.ledger, node.engine.records, []) > 0
        assert _projections(node) == before
        assert before[0]


def test_law_7_what_waits_for_another_event_lets_it_overtake_by_another_lane(pair: Any, said: Any) -> None:
    """A higher term waits for the transfer, and the transfer comes by another lane: it must not queue behind."""

    def needs_transfer(state: Any, message: Any) -> Any:
        if message.kind == "event" and message.source == "1/ask" and state is None:
            return said("waiting", "waits", "等待转办 / waits for the transfer", awaits="term:2")
        return None

    pair.answer.stage.rule = needs_transfer
    send = pair.ask.stage.command_type.__args__[0]
    pair.ask.act("1-a", send(note="first"))
    pair.ask.act("1-a", send(note="second"))
    pair.settle()
    assert pair.answer.observed.outcomes == ["waiting", "waiting"]
    lane = pair.ask.lane(outward=True, case="1-a")
    assert {row.status for row in pair.ask.engine.books.exceptions(lane, 1, 2).values()} == {"waiting"}
    former = pair.add("ask", "2")
    former.act("1-a", send(note="transfer"))
    for _ in range(3):
        former.step()
        pair.settle()
    assert pair.answer.notes("1-a") == ("transfer0", "first0", "second0")
    assert pair.ask.engine.books.exceptions(lane, 1, 2) == {}


def _producer(pair: Any) -> Any:
    return MemoryTransport(pair.broker).producer("forger")


def _projections(node: Any) -> tuple[Any, ...]:
    with node.ledger.read() as connection:
        cases = connection.execute(select(tables.case).order_by(tables.case.c.subject)).all()
        timers = connection.execute(select(tables.timer).order_by(tables.timer.c.subject)).all()
    return cases, timers
