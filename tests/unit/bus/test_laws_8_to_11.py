"""Time from a clock, what is newer waits, killed at any instant."""

from datetime import timedelta
from typing import Any

import pytest

from bus import CaseHeld, Command, CommandRefused, KeyReused, VersionConflict
from bus.ledger import Entry
from bus.transport import MemoryTransport, TopicSpec
from schemas import NewerContract, UnknownSchema


def test_law_8_a_timer_takes_effect_at_its_due_instant_also_after_an_outage(pair: Any, wake: Any) -> None:
    due = pair.clock.now() + timedelta(days=1)
    pair.ask.act("1-a", wake(at=due))
    messages: list[Any] = []
    pair.ask.stage.rule = lambda _state, message: messages.append(message)
    pair.settle()
    assert messages == []
    pair.ask.kill()
    pair.clock.move(days=3)
    pair.ask.open()
    pair.settle()
    assert [(m.kind, m.type, m.acted_at) for m in messages] == [("timer", "wake", due)]
    assert pair.ask.notes("1-a") == ("wake", "timer:wake")
    pair.settle()
    assert len(messages) == 1


def test_law_8_due_timers_go_before_commands(pair: Any, wake: Any) -> None:
    pair.ask.act("1-a", wake(at=pair.clock.now() + timedelta(hours=1)))
    pair.clock.move(hours=2)
    pair.ask.act("1-a")
    assert pair.ask.notes("1-a") == ("wake", "timer:wake", "send")


def test_law_8_a_timer_waits_while_its_case_is_held(pair: Any, wake: Any, said: Any) -> None:
    """What was done in time and waits must take effect before the timer does."""
    pair.answer.act("1-a", wake(at=pair.clock.now() + timedelta(hours=1)))
    pair.answer.stage.rule = lambda _s, message: (
        said("waiting", "waits", "等 / waits", awaits="directory 2027.1") if message.kind == "event" else None
    )
    pair.ask.act("1-a")
    pair.settle()
    pair.clock.move(hours=2)
    pair.settle()
    assert pair.answer.notes("1-a") == ("wake",)
    with pytest.raises(CaseHeld):
        pair.answer.act("1-a")
    pair.answer.stage.rule = lambda _s, _m: None
    pair.answer.engine.mending.release("2/answer", "1-a")
    pair.settle()
    assert pair.answer.notes("1-a") == ("wake", "0")


def test_law_8_a_timer_whose_handler_fails_is_not_given_up(pair: Any, wake: Any) -> None:
    pair.ask.act("1-a", wake(at=pair.clock.now() + timedelta(hours=1)))
    pair.ask.act("1-b", wake(at=pair.clock.now() + timedelta(hours=1)))

    def broken(_state: Any, message: Any) -> Any:
        if message.kind == "timer" and message.case == "1-a":
            raise ZeroDivisionError

    pair.ask.stage.rule = broken
    pair.clock.move(hours=2)
    pair.settle()
    assert "timer_failed" in pair.ask.observed.kinds()
    assert pair.ask.notes("1-a") == ("wake",)
    assert pair.ask.notes("1-b") == ("wake", "timer:wake")
    pair.ask.stage.rule = lambda _state, _message: None
    pair.clock.move(seconds=30)
    pair.settle()
    assert pair.ask.notes("1-a") == ("wake", "timer:wake")


def test_law_9_what_is_newer_than_known_waits_and_is_fetched(
    pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = pair.answer.engine.retrying._schemas.by_name("kuayu.CaseWithdrawn")

    def unknown(_payload: bytes, _digest: bytes | None = None) -> Any:
        raise UnknownSchema(schema.id, schema.digest)

    monkeypatch.setattr(pair.answer.engine.records.codec, "decode", unknown)
    pair.ask.act("1-a")
    pair.settle()
    assert pair.answer.observed.outcomes == ["waiting"]
    asked: list[tuple[int, bytes, str]] = []

    class Source:
        def fetch(self, schema_id: int, digest: bytes, source: str) -> str | None:
            asked.append((schema_id, digest, source))
            monkeypatch.undo()
            return str(schema.text)

    pair.answer.engine.retrying._source = Source()
    pair.answer.engine.retrying.fetch()
    pair.settle()
    assert asked == [(schema.id, schema.digest, "1/ask")]
    assert pair.answer.notes("1-a") == ("0",)
    assert pair.ask.lane(outward=True, case="1-a").mark == 1


def test_law_9_an_event_type_that_is_not_known_waits(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    may = type(pair.ask.engine.topology).may_send
    monkeypatch.setattr(
        type(pair.answer.engine.topology),
        "may_send",
        lambda self, event, stage, to: None if event == "CaseWithdrawn" else may(self, event, stage, to),
    )
    monkeypatch.setattr(type(pair.answer.engine.records.codec), "decode", _unknown_type)
    pair.ask.engine.topology.may_send = lambda *_: True
    pair.ask.act("1-a")
    pair.settle()
    assert "waiting" in pair.answer.observed.outcomes


def _unknown_type(_self: Any, _payload: bytes, _digest: bytes | None = None) -> Any:
    raise NewerContract("kuayu.CaseWithdrawn", "no such event type here")


CRASH_POINTS = range(12)


@pytest.mark.parametrize("step", CRASH_POINTS)
@pytest.mark.parametrize("who", ["ask", "answer"])
def test_law_11_a_node_can_be_killed_at_any_step(pair: Any, step: int, who: str, send: Any) -> None:
    victim = getattr(pair, who)
    parts = [(node, part) for node in (pair.ask, pair.answer) for part in ("relay", "inbox", "writer")]
    pair.ask.act("1-a", send(times=3, note="n"))
    for number, (node, part) in enumerate(parts * 2):
        if number == step:
            victim.restart()
        getattr(node.engine, part).step(0)
    pair.settle()
    pair.clock.move(seconds=30)
    pair.settle()
    assert pair.answer.notes("1-a") == ("n0", "n1", "n2")
    assert pair.ask.lane(outward=True, case="1-a").mark == 3


def test_an_idempotency_key_answers_again_and_does_nothing_again(pair: Any) -> None:
    first = pair.ask.act("1-a", key="k", caller="hall", digest=b"one")
    again = pair.ask.act("1-b", key="k", caller="hall", digest=b"one")
    assert (again.case, again.version, again.repeated) == ("1-a", first.version, True)
    pair.ask.restart()
    assert pair.ask.act("1-c", key="k", caller="hall", digest=b"one").case == "1-a"
    with pytest.raises(KeyReused):
        pair.ask.act("1-d", key="k", caller="hall", digest=b"two")
    assert pair.ask.act("1-e", key="k", caller="another", digest=b"two").case == "1-e"


def test_a_version_that_is_not_the_newest_is_refused(pair: Any) -> None:
    first = pair.ask.act("1-a")
    pair.ask.act("1-a", expects=first.version)
    with pytest.raises(VersionConflict):
        pair.ask.act("1-a", expects=first.version)


def test_one_failing_command_of_a_batch_fails_alone(pair: Any, said: Any, send: Any) -> None:
    pair.ask.stage.rule = lambda _s, m: said("refused", "no", "不 / no") if m.case == "1-b" else None
    now = pair.clock.now()
    futures = [
        pair.ask.engine.writer.submit(
            Command(stream="1/ask", case=case, data=send(), actor="x", acted_at=now)
        )
        for case in ("1-a", "1-b", "1-c")
    ]
    pair.ask.engine.writer.step(0)
    assert pair.ask.observed.commits == 1
    assert futures[0].result(0).case == "1-a"
    with pytest.raises(CommandRefused):
        futures[1].result(0)
    assert futures[2].result(0).case == "1-c"
    entries: list[Entry] = pair.ask.ledger.history("1-b")
    assert entries == []


def test_expired_records_are_asked_for_again_and_arrive(pair: Any, send: Any) -> None:
    pair.ask.act("1-a")
    pair.settle()
    pair.answer.kill()
    pair.ask.act("1-a", send(times=3, note="n"))
    for _ in range(5):
        pair.ask.step()
    for partition in (0, 1):
        pair.broker.delete_records("kuayu.answer.2", partition, 3)
    pair.answer.open()
    pair.settle()
    pair.clock.move(seconds=30)
    pair.settle()
    assert pair.answer.notes("1-a") == ("0", "n0", "n1", "n2")
    assert pair.ask.lane(outward=True, case="1-a").mark == 4


def test_a_topic_made_anew_loses_nothing(pair: Any) -> None:
    for _ in range(3):
        pair.ask.act("1-a")
    pair.settle()
    pair.ask.act("1-a")
    pair.ask.engine.relay.step(0)
    pair.broker.delete_topic("kuayu.answer.2")
    MemoryTransport(pair.broker).ensure_topics([TopicSpec("kuayu.answer.2", 2, {})])
    pair.settle()
    for _ in range(3):
        pair.clock.move(seconds=60)
        pair.settle()
    assert "position_lost" in pair.answer.observed.kinds()
    assert pair.answer.notes("1-a") == ("0", "0", "0", "0")
