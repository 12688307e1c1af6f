"""What once went wrong with the writer, with held cases and with odd records; `test_lane_model` looks for more."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select
from sqlalchemy.exc import OperationalError

from bus import Fenced, Message, Unavailable
from bus import envelope as env
from bus.ledger import tables
from bus.transport import MemoryTransport, Outbound
from tests.unit.bus.faults import away
from tests.unit.bus.toys import TOPIC, Decided, Node, Pair, Send, State, Wake, broken, exceptions


def reads_fail(node: Node, monkeypatch: pytest.MonkeyPatch, after: int = 0, how: str = "read") -> None:
    read, left = getattr(node.ledger, how), [after]

    @contextmanager
    def failing() -> Iterator[Connection]:
        left[0] -= 1
        if left[0] < 0:
            raise away()
        with read() as connection:
            yield connection

    monkeypatch.setattr(node.ledger, how, failing)


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
    reads_fail(pair.ask, monkeypatch, how="own")
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
