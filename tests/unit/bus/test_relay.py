"""The relay: tombstones, going back, and what is beyond its memory: what once went wrong, each by itself."""

import pytest

from bus import relay
from tests.unit.bus.toys import ALWAYS, CONTROL, TOPIC, Pair, Send, types


@pytest.fixture
def large_bodies(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the broker's limit were lower than ours: what is larger than it is refused for good."""
    monkeypatch.setattr("bus.sending.MAX_BODY", 10_000_000)


@pytest.mark.usefixtures("large_bodies")
def test_only_the_row_that_is_refused_for_good_becomes_a_tombstone(pair: Pair) -> None:
    pair.broker.let_pass(topic=TOPIC)  # number 1
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
    pair.broker.behave()
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
