"""What once went wrong between two ledgers, each by itself; `test_lane_model` looks for more."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from bus import Fenced, Message, Unavailable, receipts, relay
from bus import envelope as env
from bus.ledger import tables
from bus.transport import MemoryTransport, Outbound
from schemas.models import Receipt, ReceiptException, ReceiptStatus, ResendRequested
from tests.unit.bus.faults import away
from tests.unit.bus.toys import Decided, Node, Pair, Send, State, Wake

TOPIC, CONTROL = "kuayu.answer.2", "kuayu.receipts.1"
ALWAYS = 1_000
SAME_LANE = next(
    case for case in map("1-{}".format, range(99)) if env.partition_of(case, 2) == env.partition_of("1-a", 2)
)


def broken(_state: State | None, message: Message) -> Decided | None:
    if message.kind == "event":
        raise ZeroDivisionError
    return None


def well(_state: State | None, _message: Message) -> Decided | None:
    return None


def types(pair: Pair) -> list[tuple[str, bytes]]:
    """Number and type of everything that was sent to the answering stage."""
    records = [record for p in (0, 1) for record in pair.broker.records(TOPIC, p)]
    headers = [dict(record.headers) for record in records]
    return [((h[env.SEQUENCE] or b"").decode(), h[env.TYPE] or b"") for h in headers]


def exceptions(node: Node, case: str) -> dict[int, str]:
    lane = node.lane(outward=True, case=case)
    return {n: row.status for n, row in node.engine.books.exceptions(lane, 1, lane.number).items()}


def reads_fail(node: Node, monkeypatch: pytest.MonkeyPatch, after: int = 0) -> None:
    read, left = node.ledger.read, [after]

    @contextmanager
    def failing() -> Iterator[Connection]:
        left[0] -= 1
        if left[0] < 0:
            raise away()
        with read() as connection:
            yield connection

    monkeypatch.setattr(node.ledger, "read", failing)


# Receipts.


def test_two_receipts_in_one_commit_leave_what_the_later_one_says(pair: Pair) -> None:
    pair.answer.stage.rule = broken
    pair.ask.act("1-a")
    for _ in range(3):
        pair.ask.engine.relay.step(0)
        pair.answer.step()
    pair.answer.stage.rule = well
    pair.answer.engine.mending.release("2/answer", "1-a")
    pair.answer.step()
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
    pair.broker._fates.clear()
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


# The relay.


@pytest.fixture
def large_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the broker's limit were lower than ours: what is larger than it is refused for good."""
    monkeypatch.setattr("bus.sending.MAX_BODY", 10_000_000)


@pytest.mark.usefixtures("large_bodies")
def test_only_the_row_that_is_refused_for_good_becomes_a_tombstone(pair: Pair) -> None:
    pair.broker._fates.append((None, TOPIC))  # type: ignore[arg-type] # number 1 goes well
    pair.broker.refuse(1, TOPIC)  # number 2 may be tried again, number 3 may not
    pair.ask.act("1-a")
    pair.ask.act("1-a")
    pair.ask.act("1-a", Send(size=1_200_000))
    pair.settle()
    pair.clock.move(seconds=31)
    pair.settle()
    assert {number for number, kind in types(pair) if kind.endswith(b"Tombstone")} == {"3"}
    assert pair.answer.notes("1-a") == ("0", "0")


@pytest.mark.usefixtures("large_bodies")
def test_a_tombstone_is_one_again_after_a_restart_when_it_is_asked_for(pair: Pair) -> None:
    pair.ask.act("1-a", Send(size=1_200_000))
    pair.ask.act("1-a")
    pair.settle()
    pair.ask.restart()
    pair.ask.engine.relay.rewind(pair.ask.lane(outward=True, case="1-a").name, 1)
    pair.settle()
    assert types(pair)[-2:] == [("1", b"kuayu.Tombstone"), ("2", b"kuayu.CaseWithdrawn")]
    pair.ask.act("1-a")
    pair.settle()
    assert types(pair)[-1] == ("3", b"kuayu.CaseWithdrawn")


@pytest.mark.usefixtures("large_bodies")
def test_a_tombstone_is_probed_as_one_after_a_restart(pair: Pair) -> None:
    pair.broker.refuse(ALWAYS, CONTROL)
    pair.ask.act("1-a", Send(size=1_200_000))
    pair.settle()
    pair.broker._fates.clear()
    pair.ask.restart()
    pair.answer.restart()  # so that nothing is restated
    pair.clock.move(seconds=25)
    pair.settle()
    assert pair.ask.lane(outward=True, case="1-a").mark == 1


def test_going_back_forgets_no_acknowledgement_below(pair: Pair) -> None:
    pair.broker.hold(1, TOPIC)
    pair.ask.act("1-a", Send(times=3))
    pair.ask.engine.relay.step(0)
    pair.ask.engine.relay.step(0)
    name = pair.ask.lane(outward=True, case="1-a").name
    pair.ask.engine.relay.rewind(name, 3)
    pair.broker.release()
    for _ in range(3):
        pair.ask.engine.relay.step(0)
    assert pair.ask.engine.relay.acknowledged()[name] == 3
    pair.settle()


def test_going_back_outlasts_a_failure_of_what_was_on_its_way(pair: Pair) -> None:
    pair.ask.act("1-a", Send(times=3, note="n"))
    pair.ask.engine.relay.step(0)
    pair.ask.engine.relay.step(0)
    lane = pair.ask.lane(outward=True, case="1-a")
    pair.broker.delete_records(TOPIC, 0, 3)
    pair.broker.delete_records(TOPIC, 1, 3)
    pair.broker.refuse(1, TOPIC)
    pair.ask.act("1-a", Send(note="m"))
    pair.ask.engine.relay.step(0)  # number 4 is on its way, and will fail
    pair.ask.engine.relay.rewind(lane.name, 1)
    pair.ask.engine.relay.step(0)
    pair.clock.move(seconds=1)
    for _ in range(3):
        pair.ask.engine.relay.step(0)
    assert [number for number, _ in types(pair)][:3] == ["1", "2", "3"]
    pair.settle()
    assert pair.answer.notes("1-a") == ("n0", "n1", "n2", "m0")


def test_what_is_beyond_memory_is_read_from_the_ledger(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "HELD_ROWS", 2)
    monkeypatch.setattr(relay, "READ_ROWS", 3)
    for number in range(3):
        pair.ask.act("1-a", Send(times=4, note=f"{number}."))
    pair.settle()
    pair.ask.act("1-a", Send(note="last."))
    pair.settle()
    expected = [f"{number}.{i}" for number in range(3) for i in range(4)]
    assert pair.answer.notes("1-a") == (*expected, "last.0")


# The writer, when the ledger fails.


def test_what_waits_is_kept_when_the_ledger_cannot_be_read(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair.answer.act("1-b", Wake(at=pair.clock.now()))
    pair.clock.move(seconds=1)
    pair.ask.act("1-a")
    pair.ask.engine.relay.step(0)
    pair.answer.engine.inbox.step(0)
    reads_fail(pair.answer, monkeypatch)
    with pytest.raises(OperationalError):
        pair.answer.engine.writer.step(0)
    monkeypatch.undo()
    pair.answer.engine.writer.step(0)
    assert pair.answer.notes("1-a") == ("0",)
    pair.settle()


@pytest.mark.parametrize("after", range(4))
def test_what_is_committed_is_not_done_again_when_reading_fails_behind_it(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    pair.answer.stage.rule = broken
    pair.answer.act("1-b", Wake(at=pair.clock.now() + timedelta(hours=1)))
    pair.ask.act("1-a", Send(times=2))
    pair.settle()
    pair.ask.act("1-a")
    pair.ask.engine.relay.step(0)
    pair.answer.engine.inbox.step(0)
    pair.clock.move(hours=1)
    reads_fail(pair.answer, monkeypatch, after)
    for _ in range(2):
        try:
            pair.answer.engine.writer.step(0)
        except OperationalError:
            monkeypatch.undo()
    monkeypatch.undo()
    pair.answer.engine.writer.step(0)  # alone: an hour later, senders probe
    with pair.answer.ledger.read() as connection:
        rows = connection.execute(select(tables.position)).all()
        assert [row.duplicate for row in rows if row.topic == TOPIC] == [0]
        assert [row.taken for row in rows if row.topic == TOPIC] == [3]


def test_a_commit_that_was_written_although_it_seemed_to_fail_ends_the_process(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = pair.ask.ledger.commit

    def answer_lost(*args: Any) -> Any:
        commit(*args)
        raise away()

    monkeypatch.setattr(pair.ask.ledger, "commit", answer_lost)
    with pytest.raises(OperationalError):
        pair.ask.act("1-a")
    monkeypatch.undo()
    with pytest.raises(Fenced):  # at once, not when there is something to commit: its rows wait to be sent
        pair.ask.engine.writer.step(0)
    pair.ask.restart()
    pair.settle()
    assert pair.answer.notes("1-a") == ("0",)


def test_a_written_commit_without_rows_that_seemed_to_fail_is_noticed_too(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It moved a position and began a lane, and no head shows that."""
    commit = pair.answer.ledger.commit

    def answer_lost(*args: Any) -> Any:
        commit(*args)
        raise away()

    pair.broker.hold(1, TOPIC)
    pair.ask.act("1-a", Send(times=2, note="n"))
    pair.ask.engine.relay.step(0)
    pair.answer.engine.inbox.step(0)  # number 2, ahead of number 1
    monkeypatch.setattr(pair.answer.ledger, "commit", answer_lost)
    with pytest.raises(OperationalError):
        pair.answer.engine.writer.step(0)
    monkeypatch.undo()
    with pytest.raises(Fenced):
        pair.answer.engine.writer.step(0)
    pair.answer.restart()
    pair.broker.release()
    for _ in range(3):
        pair.settle()
        pair.clock.move(seconds=30)
    assert pair.answer.notes("1-a") == ("n0", "n1")


def test_an_act_that_meets_an_unreadable_ledger_may_be_repeated(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads_fail(pair.ask, monkeypatch)
    command = pair.ask.command("1-a", Send())
    future = pair.ask.engine.writer.submit(command)
    with pytest.raises(OperationalError):
        pair.ask.engine.writer.step(0)
    with pytest.raises(Unavailable):
        future.result(timeout=0)
    monkeypatch.undo()
    pair.settle()
    assert pair.ask.notes("1-a") == ()


# Held cases.


def test_what_waited_behind_another_waits_for_its_own_reason_afterwards(pair: Pair) -> None:
    def rule(state: State | None, message: Message) -> Decided | None:
        if message.kind != "event" or message.source != "1/ask":
            return None
        if message.data.reason == "bad0":
            raise ZeroDivisionError
        return None if state else Decided("waiting", "waits", "等 / waits", awaits="term:2")

    pair.answer.stage.rule = rule
    pair.ask.act("1-a", Send(note="bad"))
    pair.ask.act("1-a", Send(note="good"))
    pair.settle()
    pair.answer.engine.mending.refuse("2/answer", "1-a", "operator", "wrong", "不可 / wrong")
    pair.settle()
    former = pair.add("ask", "2")
    former.act("1-a", Send(note="transfer"))
    for _ in range(3):
        former.step()
        pair.settle()
    assert pair.answer.notes("1-a") == ("transfer0", "good0")
    former.kill()


def test_what_waited_behind_another_and_cannot_go_on_is_parked(pair: Pair) -> None:
    pair.answer.stage.rule = broken
    pair.ask.act("1-a", Send(times=2))
    pair.settle()
    assert exceptions(pair.ask, "1-a") == {1: "parked", 2: "waiting"}
    pair.answer.engine.mending.refuse("2/answer", "1-a", "operator", "wrong", "不可 / wrong")
    pair.settle()
    assert exceptions(pair.ask, "1-a") == {1: "refused", 2: "parked"}


# Records that are not what they should be.


@pytest.mark.parametrize(
    ("header", "wrong"),
    [(env.LANE, (b"/0>", b"/00>")), (env.LANE, (b"/1>", b"/ 1>")), (env.TYPE, (b"Case", b"Ca\0se"))],
)
def test_another_spelling_is_quarantined_though_its_hash_is_right(
    pair: Pair, header: str, wrong: tuple[bytes, bytes]
) -> None:
    for case in ("1-a", "1-d"):
        pair.ask.act(case)
        pair.ask.step()
    sent = [record for p in (0, 1) for record in pair.broker.records(TOPIC, p)]
    producer = MemoryTransport(pair.broker).producer("forger")
    changed = 0
    for record in sent:
        headers = [(n, (v or b"").replace(*wrong) if n == header else v or b"") for n, v in record.headers]
        if dict(headers) != dict(record.headers):
            changed += 1
            whole = {name: value for name, value in headers if name != env.LANE_HASH}
            lane_hash = env.link(env.NO_HASH, env.content_digest(env.head_of(whole), record.value or b""))
            headers = [*whole.items(), (env.LANE_HASH, lane_hash.hex().encode())]
            forged = Outbound(record.topic, record.partition, record.key or b"", record.value, headers)
            producer.send(forged, lambda error: None if error is None else pytest.fail(str(error)))
    pair.settle()
    assert changed
    assert pair.answer.observed.outcomes.count("quarantined") == changed
    assert pair.answer.notes("1-a") == pair.answer.notes("1-d") == ("0",)
    with pair.answer.ledger.read() as connection:
        assert not any("\0" in row.reason for row in connection.execute(select(tables.quarantine)))
