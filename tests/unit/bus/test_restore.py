"""Law 11: a sender restored from a backup takes back what its receivers hold; nothing is lost or doubled."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from bus import Change, Message
from tests.unit.bus.restoring import agree, backed_up, reply, same
from tests.unit.bus.toys import TOPIC, Decided, Noted, Out, Pair, Send, State, Wake


def test_a_restored_sender_takes_back_what_its_receiver_holds(pair: Pair) -> None:
    [backup] = backed_up(pair, pair.ask, lost=2)
    pair.ask.restore(backup)
    assert pair.ask.notes("1-a") == ("send",)
    agree(pair)
    assert same(pair) == ["before0", "lost0", "lost1"]
    assert pair.ask.notes("1-a") == ("send", "adopted:lost0", "adopted:lost1")
    pair.ask.act("1-a", Send(note="after"))
    agree(pair)
    assert pair.answer.notes("1-a") == ("before0", "lost0", "lost1", "after0")
    assert same(pair)[-1] == "after0"


def test_two_restores_within_a_second_begin_two_histories(pair: Pair) -> None:
    [backup] = backed_up(pair, pair.ask, lost=1)
    begun = []
    for _ in range(2):
        pair.clock.move(milliseconds=10)
        pair.ask.restore(backup)
        begun.append(pair.ask.engine.books.head.incarnation)
    assert begun[0] < begun[1]


def test_what_its_receiver_does_not_hold_is_issued_again_under_the_same_ids(pair: Pair) -> None:
    pair.ask.act("1-a", Send(note="taken"))
    pair.settle()
    pair.broker.hold(100, TOPIC)
    pair.ask.act("1-a", Send(times=2, note="on.its.way"))
    pair.ask.step()
    backup = pair.ask.back_up()
    lane = pair.ask.lane(outward=True, case="1-a")
    ids = [entry.id for entry in pair.ask.ledger.lane_entries(lane.id, 2, 3)]
    pair.ask.restore(backup)
    pair.broker.behave()
    agree(pair)
    pair.broker.release()  # what the lost history had sent arrives, and counts no more
    agree(pair)
    assert same(pair) == ["taken0", "on.its.way0", "on.its.way1"]
    assert [entry.id for entry in pair.ask.ledger.lane_entries(lane.id, 2, 3)] == ids
    assert pair.answer.notes("1-a") == ("taken0", "on.its.way0", "on.its.way1")


def test_what_arrives_late_of_a_lost_history_is_dropped(pair: Pair) -> None:
    pair.ask.act("1-a", Send(note="before"))
    pair.settle()
    backup = pair.ask.back_up()
    pair.broker.hold(100, TOPIC)
    pair.ask.act("1-a", Send(note="never.arrived"))
    pair.ask.step()
    pair.ask.restore(backup)
    pair.broker.behave()
    agree(pair)
    pair.ask.act("1-a", Send(note="after"))
    pair.settle()
    pair.broker.release()
    agree(pair)
    assert same(pair) == ["before0", "after0"]
    assert pair.answer.engine.books.lanes[False, pair.ask.lane(outward=True, case="1-a").name].stopped == ""


def test_a_lane_that_the_backup_does_not_know_is_given_back_too(pair: Pair) -> None:
    pair.ask.act("1-d", Send(note="elsewhere"))
    pair.settle()
    backup = pair.ask.back_up()
    pair.ask.act("1-a", Send(note="lost"))
    pair.settle()
    pair.ask.restore(backup)
    agree(pair)
    assert same(pair) == ["lost0"]
    assert pair.ask.notes("1-a") == ("adopted:lost0",)


def test_an_input_whose_outputs_were_adopted_produces_none(pair: Pair) -> None:
    pair.answer.stage.rule = reply
    [backup] = backed_up(pair, pair.answer, lost=2)
    assert pair.ask.notes("1-a") == ("send", "before0", "send", "lost0", "lost1")
    pair.answer.restore(backup)
    agree(pair)
    assert same(pair) == ["before0", "lost0", "lost1"]
    assert pair.ask.notes("1-a") == ("send", "before0", "send", "lost0", "lost1")
    assert pair.answer.engine.books.held == {}
    pair.ask.act("1-a", Send(note="after"))
    agree(pair)
    assert pair.ask.notes("1-a")[-2:] == ("send", "after0")


def test_an_act_that_is_repeated_with_its_key_after_a_restore_is_not_done_again(pair: Pair) -> None:
    backup = pair.ask.back_up()
    pair.ask.act("1-a", Send(note="lost"), key="k", caller="hall", digest=b"d")
    pair.settle()
    pair.ask.restore(backup)
    agree(pair)
    answer = pair.ask.act("1-x", Send(note="lost"), key="k", caller="hall", digest=b"d")
    assert (answer.case, answer.repeated) == ("1-a", True)
    agree(pair)
    assert same(pair) == ["lost0"]


def fits_after(note: str) -> Callable[[State | None, Message], Decided | None]:
    """What is given back does not fit its case before this was noted there."""

    def rule(state: State | None, message: Message) -> Decided | None:
        if message.kind != "adopted" or (state and note in state.notes):
            return None
        return Decided("waiting", awaits="event:")

    return rule


def test_an_act_that_nobody_else_knew_of_is_done_again_although_what_followed_it_waits(pair: Pair) -> None:
    pair.ask.stage.rule = fits_after("wake")
    lose(pair, "1-a")
    agree(pair)
    assert pair.ask.notes("1-a") == ("send",)
    pair.ask.act("1-a", Wake(at=pair.clock.now() + timedelta(days=1)))
    assert pair.ask.notes("1-a") == ("send", "wake", "adopted:lost0")
    agree(pair)
    assert same(pair) == ["before0", "lost0"]
    assert pair.ask.engine.books.held == {}


def test_a_timer_rings_although_what_was_given_back_waits(pair: Pair) -> None:
    pair.ask.stage.rule = fits_after("timer:wake")
    pair.ask.act("1-a", Wake(at=pair.clock.now() + timedelta(days=1)))
    backup = pair.ask.back_up()
    pair.ask.act("1-a", Send(note="lost"))
    pair.settle()
    pair.ask.restore(backup)
    agree(pair)
    assert pair.ask.notes("1-a") == ("wake",)
    pair.clock.move(days=2)
    agree(pair)
    assert pair.ask.notes("1-a") == ("wake", "timer:wake", "adopted:lost0")
    assert pair.ask.engine.books.held == {}


def test_an_act_that_is_done_again_says_nothing_twice(pair: Pair) -> None:
    pair.ask.stage.rule = fits_after("never")
    lose(pair, "1-a")
    agree(pair)
    pair.ask.act("1-a", Send(note="again"))
    agree(pair)
    assert same(pair) == ["before0", "lost0"]
    assert pair.ask.notes("1-a") == ("send", "send")
    assert pair.ask.engine.books.held == {}


def test_of_an_input_only_what_was_not_said_before_is_sent(pair: Pair) -> None:
    """It caused two events on two lanes; one of them had left before the ledger was lost."""
    other = pair.add("ask", "2")

    def both(_state: State | None, message: Message) -> Decided | None:
        if message.kind != "event":
            return None
        outs = (Out(("ask", "1"), message.data, 1), Out(("ask", "2"), message.data, 1))
        return Decided("applied", facts=(Noted(message.data.reason),), out=outs)

    backup = pair.answer.back_up()
    pair.answer.stage.rule = both
    pair.broker.refuse(100, "kuayu.ask.2")
    pair.ask.act("1-a", Send(note="n"))
    pair.settle()
    pair.broker.behave()
    pair.answer.restore(backup)
    for _ in range(4):
        agree(pair)
        for _ in range(5):
            other.step()
    assert pair.ask.notes("1-a") == ("send", "n0")
    assert other.notes("1-a") == ("n0",)
    other.kill()


def test_a_cause_is_named_by_source_and_id(pair: Pair) -> None:
    """Two senders number their rows alike; what was said because of the one does not wait for the other's event."""
    other = pair.add("ask", "2")

    def back_to_who_spoke(_state: State | None, message: Message) -> Decided | None:
        if message.kind != "event":
            return None
        to = ("ask", message.source.partition("/")[0])
        return Decided("applied", facts=(Noted(message.data.reason),), out=(Out(to, message.data, 1),))

    backup = pair.answer.back_up()
    pair.answer.stage.rule = back_to_who_spoke
    pair.ask.act("1-a", Send(note="one"))
    other.act("1-a", Send(note="two"))
    for _ in range(3):
        pair.settle()
        other.step()
    one, two = (node.lane(outward=True, case="1-a") for node in (pair.ask, other))
    ids = [node.ledger.lane_entries(lane.id, 1, 1)[0].id for node, lane in ((pair.ask, one), (other, two))]
    assert ids[0] == ids[1]
    pair.answer.restore(backup)
    for _ in range(40):
        pair.settle()
        other.step()
        pair.clock.move(seconds=1)
    assert sorted(pair.answer.notes("1-a")) == ["one0", "two0"]
    assert pair.ask.notes("1-a") == ("send", "one0")
    assert other.notes("1-a") == ("send", "two0")
    assert pair.answer.engine.books.held == {}
    other.kill()


def test_restored_twice_from_the_same_backup(pair: Pair) -> None:
    pair.ask.act("1-a", Send(note="before"))
    pair.settle()
    backup = pair.ask.back_up()
    pair.ask.act("1-a", Send(note="first"))
    pair.settle()
    pair.ask.restore(backup)
    agree(pair)
    pair.ask.act("1-a", Send(note="second"))
    pair.settle()
    first = pair.ask.engine.books.head.incarnation
    pair.ask.restore(backup)
    assert pair.ask.engine.books.head.incarnation > first
    agree(pair)
    assert same(pair) == ["before0", "first0", "second0"]
    assert pair.ask.notes("1-a") == ("send", "adopted:first0", "adopted:second0")


def test_many_lost_events_come_back_in_several_answers(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.adoption.RETURN_EVENTS", 3)
    [backup] = backed_up(pair, pair.ask, lost=8)
    pair.ask.restore(backup)
    agree(pair)
    assert same(pair) == ["before0", *(f"lost{i}" for i in range(8))]


def test_a_crash_while_events_come_back_changes_nothing(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.adoption.RETURN_EVENTS", 1)
    [backup] = backed_up(pair, pair.ask, lost=4)
    pair.ask.restore(backup)
    for _ in range(8):
        pair.ask.step()
        pair.answer.step()
        pair.ask.restart()
        pair.clock.move(seconds=1)
    agree(pair)
    assert same(pair) == ["before0", *(f"lost{i}" for i in range(4))]
    assert pair.ask.notes("1-a") == ("send", *(f"adopted:lost{i}" for i in range(4)))


def second_after_first(state: State | None, message: Message) -> Decided | None:
    """A case that takes what one sender says only after what the other does."""
    if (
        message.kind == "event"
        and message.data.reason == "second0"
        and not (state and "first0" in state.notes)
    ):
        return Decided("waiting", "waits", "not yet", awaits="event:first")
    return None


def test_what_came_in_another_order_during_a_restore_finds_its_own(pair: Pair) -> None:
    """Each lane is read again by itself: what an event waits for may be held behind it."""
    pair.answer.stage.rule = second_after_first
    first = pair.add("ask", "2")
    backup = pair.answer.back_up()
    pair.answer.restore(backup)
    pair.ask.act("1-a", Send(note="second"))
    pair.settle()
    first.act("1-a", Send(note="first"))
    first.act("1-a", Send(note="third"))
    for _ in range(3):
        first.step()
        agree(pair)
    assert pair.answer.notes("1-a") == ("first0", "second0", "third0")
    assert pair.answer.engine.books.held == {}


class Fails:
    """A projection that can't take what was given back to one case."""

    def __init__(self, case: str, *errors: Exception) -> None:
        self.case = case
        self.errors = list(errors)

    def apply(self, _connection: Connection, changes: Sequence[Change]) -> None:
        adopted = {change.message.case for change in changes if change.message.kind == "adopted"}
        if self.case in adopted and self.errors:
            raise self.errors.pop()

    def clear(self, _connection: Connection) -> None: ...


def lose(pair: Pair, *cases: str) -> None:
    """Each case says something before a backup, and something that is lost with the ledger."""
    for case in cases:
        pair.ask.act(case, Send(note="before"))
    pair.settle()
    backup = pair.ask.back_up()
    for case in cases:
        pair.ask.act(case, Send(note="lost"))
    pair.settle()
    pair.ask.restore(backup)


def test_a_case_that_cannot_go_on_after_a_restore_holds_up_no_other(pair: Pair) -> None:
    pair.ask.projections.append(Fails("1-b", *[RuntimeError("wrong")] * 9))
    lose(pair, "1-a", "1-b", "1-d")
    agree(pair)
    assert [pair.ask.notes(case) for case in ("1-a", "1-b", "1-d")] == [
        ("send", "adopted:lost0"),
        ("send",),
        ("send", "adopted:lost0"),
    ]
    [(_, detail)] = [alarm for alarm in pair.ask.observed.alarms if alarm[0] == "release_failed"]
    assert "1-b" in detail


def test_cases_go_on_after_a_restore_although_the_database_was_away_just_then(pair: Pair) -> None:
    away = OperationalError("INSERT", None, Exception("database is locked"))
    pair.ask.projections.append(Fails("1-a", away))
    lose(pair, "1-a", "1-d")
    with pytest.raises(OperationalError):
        agree(pair)
    agree(pair)
    assert [pair.ask.notes(case) for case in ("1-a", "1-d")] == [("send", "adopted:lost0")] * 2
