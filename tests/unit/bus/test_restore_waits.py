"""Law 11: a restored ledger decides nothing before its receivers have answered, or a person has ended the wait."""

from contextlib import closing

import pytest

from bus import Unavailable
from bus import envelope as env
from bus.incarnation import abandon
from tests.unit.bus.restoring import agree, backed_up, reply, same
from tests.unit.bus.toys import TOPIC, Pair, Send, Topology


def test_nothing_is_decided_before_everything_is_known(pair: Pair) -> None:
    [backup] = backed_up(pair, pair.ask, lost=1)
    pair.ask.restore(backup)
    for _ in range(3):  # its receiver is away
        pair.ask.step()
        pair.clock.move(seconds=10)
    with pytest.raises(Unavailable):
        pair.ask.act("1-a", Send(note="hasty"))
    agree(pair)
    pair.ask.act("1-a", Send(note="after"))
    agree(pair)
    assert same(pair) == ["before0", "lost0", "after0"]


def abandoned(pair: Pair) -> list[str]:
    """A person ends the wait of the asking node, while it is stopped."""
    pair.ask.kill()
    with closing(pair.ask.reach_ledger()) as ledger:
        lanes = abandon(ledger, "2", "its node is gone")
    pair.ask.open()
    return lanes


def wait(pair: Pair) -> None:
    """The receiver is away."""
    for _ in range(20):
        pair.ask.step()
        pair.clock.move(seconds=10)


def test_a_person_ends_the_wait_for_a_receiver_that_never_answers(pair: Pair) -> None:
    pair.ask.act("1-a", Send(note="before"))
    pair.settle()
    pair.ask.restore(pair.ask.back_up())
    wait(pair)
    told = [detail for kind, detail in pair.ask.observed.alarms if kind == "restore_waits"]
    assert TOPIC in told[0]
    assert len(told) < 5
    [lane] = abandoned(pair)
    assert lane.endswith(f">{TOPIC}/{env.partition_of('1-a', 2)}")
    wait(pair)
    assert not pair.ask.engine.books.restoring
    assert "its node is gone" in pair.ask.engine.books.declared.reason  # type: ignore[union-attr]
    assert ("restore_ended_early", f"not agreed: {lane}") in pair.ask.observed.alarms
    pair.ask.act("1-a", Send(note="after"))
    pair.ask.step()
    agree(pair)  # it is back after all
    assert same(pair) == ["before0", "after0"]
    assert pair.answer.notes("1-a") == ("before0", "after0")


def test_what_a_receiver_gives_back_after_all_is_adopted(pair: Pair) -> None:
    pair.ask.act("1-a", Send(note="before"))
    pair.settle()
    backup = pair.ask.back_up()
    pair.ask.act("1-a", Send(note="lost"))
    pair.settle()
    pair.ask.restore(backup)
    abandoned(pair)
    wait(pair)
    pair.ask.act("1-a", Send(note="after"))
    agree(pair)
    assert same(pair) == ["before0", "lost0", "after0"]
    assert pair.ask.notes("1-a") == ("send", "send", "adopted:lost0")
    assert pair.answer.notes("1-a") == ("before0", "lost0", "after0")


def test_what_is_given_back_after_its_cause_was_decided_anew_waits_for_nothing(pair: Pair) -> None:
    backup = pair.answer.back_up()  # it knows no lane: how long should it wait, and for whom?
    pair.answer.stage.rule = reply
    pair.ask.act("1-a", Send(note="n"))
    pair.settle()
    pair.answer.restore(backup)
    pair.answer.stage.rule = lambda _state, _message: None
    for _ in range(5):  # the other is away
        pair.answer.step()
        pair.clock.move(seconds=10)
    assert pair.answer.notes("1-a") == ("n0",)
    agree(pair)
    assert pair.answer.notes("1-a") == ("n0", "adopted:n0")
    assert pair.answer.engine.books.held == {}


def test_only_what_is_waited_for_is_abandoned(pair: Pair) -> None:
    pair.ask.act("1-a", Send(note="before"))
    pair.settle()
    with pytest.raises(LookupError, match="2: no answer is waited for"):
        abandoned(pair)


def test_nothing_is_decided_before_every_receiver_could_be_asked(pair: Pair) -> None:
    backup = pair.ask.back_up()  # it knows no lane
    pair.ask.act("1-a", Send(note="lost"))
    pair.settle()
    pair.broker.stop()
    pair.ask.restore(backup)
    for _ in range(20):
        pair.ask.engine.writer.step(0)
        pair.clock.move(seconds=6)
    with pytest.raises(Unavailable):
        pair.ask.act("1-a", Send(note="hasty"))
    pair.broker.start()
    pair.clock.move(minutes=1)
    agree(pair)
    assert same(pair) == ["lost0"]
    assert pair.ask.notes("1-a") == ("adopted:lost0",)


def test_topics_that_nobody_made_hold_up_no_other(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    backup = pair.ask.back_up()
    pair.ask.act("1-a", Send(note="lost"))
    pair.settle()
    reachable = Topology.reachable
    members = {f"kuayu.answer.{code}": 2 for code in range(100, 200)}  # of the directory, and never there
    monkeypatch.setattr(Topology, "reachable", lambda self, stage: members | reachable(self, stage))
    pair.ask.restore(backup)
    agree(pair)
    assert same(pair) == ["lost0"]
    assert "receipt_not_sent" not in pair.ask.observed.kinds()
