"""Law 11: a sender, a receiver or both restored from a backup agree on what was said; nothing is lost or doubled."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from bus import Change, Ledger, Message, Unavailable
from bus import envelope as env
from bus.archive import archive
from bus.incarnation import abandon, declare_offline
from tests.unit.bus.toys import Decided, Node, Noted, Out, Pair, Send, State, Topology, Wake

TOPIC, BACK = "kuayu.answer.2", "kuayu.ask.1"


def backed_up(pair: Pair, *nodes: Node, lost: int) -> list[Path]:
    """Backups of these after a first event, "before0"; so many more follow, "lost0", "lost1" …, of which they know nothing."""
    pair.ask.act("1-a", Send(note="before"))
    pair.settle()
    backups = [node.back_up() for node in nodes]
    pair.ask.act("1-a", Send(times=lost, note="lost"))
    pair.settle()
    return backups


def agree(pair: Pair, rounds: int = 4) -> None:
    """Let both talk until nothing is left to be said."""
    for _ in range(rounds):
        pair.settle()
        pair.clock.move(seconds=6)
    pair.clock.move(minutes=16)  # lanes without news are probed
    pair.settle()
    pair.settle()


def same(pair: Pair, case: str = "1-a") -> list[str]:
    """What both hold of the lane of a case, which must be the same; its events' bodies."""
    out = pair.ask.lane(outward=True, case=case)
    taken = pair.answer.engine.books.lanes[False, out.name]
    said = pair.ask.ledger.lane_entries(out.id, 1, out.number)
    held = pair.answer.ledger.lane_entries(taken.id, 1, taken.number)
    assert [(e.number, e.lane_hash, e.id) for e in said] == [(e.number, e.lane_hash, e.id) for e in held]
    assert (out.number, out.hash, out.mark, out.opening) == (taken.number, taken.hash, taken.number, "")
    return [pair.answer.engine.records.event(e, env.read(e.head)).reason for e in held]


def reply(_state: State | None, message: Message) -> Decided | None:
    """Of the answering stage: say back what was said."""
    if message.kind != "event":
        return None
    event = message.data
    return Decided("applied", facts=(Noted(event.reason),), out=(Out(("ask", "1"), event, 1),))


def broken(_state: State | None, message: Message) -> Decided | None:
    if message.kind == "event":
        raise ZeroDivisionError
    return None


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
    pair.broker._fates.clear()
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
    pair.broker._fates.clear()
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


def abandoned(pair: Pair) -> list[str]:
    """A person ends the wait of the asking node, while it is stopped."""
    pair.ask.kill()
    ledger = pair.ask.reach_ledger()
    lanes = abandon(ledger, "2", "its node is gone")
    ledger.close()
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
    pair.broker._fates.clear()
    pair.answer.restore(backup)
    for _ in range(4):
        agree(pair)
        for _ in range(5):
            other.step()
    assert pair.ask.notes("1-a") == ("send", "n0")
    assert other.notes("1-a") == ("n0",)
    other.kill()


def test_a_restored_receiver_reads_again_and_doubles_nothing(pair: Pair) -> None:
    [backup] = backed_up(pair, pair.answer, lost=3)
    pair.answer.restore(backup)
    agree(pair)
    assert same(pair) == ["before0", "lost0", "lost1", "lost2"]
    assert pair.answer.notes("1-a") == ("before0", "lost0", "lost1", "lost2")


def test_a_restored_receiver_is_sent_again_what_expired_meanwhile(pair: Pair) -> None:
    [backup] = backed_up(pair, pair.answer, lost=3)
    expire(pair)
    pair.answer.restore(backup)
    pair.answer.step()
    pair.answer.step()
    pair.ask.step()
    assert pair.ask.lane(outward=True, case="1-a").mark == 0  # open again, at once
    agree(pair)
    assert same(pair) == ["before0", "lost0", "lost1", "lost2"]


def test_what_a_restored_receiver_holds_parked_again_is_open_again_at_its_sender(pair: Pair) -> None:
    """It asks only for what it lacks; of what it has, it may have told what it no longer knows."""
    first, second = mates(2)
    pair.answer.stage.rule = broken
    pair.ask.act(first)
    pair.settle()
    backup = pair.answer.back_up()
    pair.answer.stage.rule = lambda _state, _message: None
    pair.answer.engine.mending.release(pair.answer.stream, first)
    pair.ask.act(second)  # the last of the lane, which alone is probed where nothing is open
    pair.settle()
    lane = pair.ask.lane(outward=True, case=first)
    assert (lane.mark, pair.ask.engine.books.exceptions(lane, 1, 2)) == (2, {})
    pair.answer.restore(backup)
    agree(pair)
    assert pair.ask.engine.books.exceptions(lane, 1, 2)[1].status == "parked"
    pair.broker.refuse(1_000, "kuayu.receipts.1")
    pair.answer.engine.mending.refuse(pair.answer.stream, first, "operator", "lost", "原件已失 / lost")
    for _ in range(3):
        pair.settle()
        pair.clock.move(seconds=61)
    pair.broker._fates.clear()
    agree(pair)
    assert pair.ask.notes(first) == ("send", "told:HandOverRefused")


def test_both_restored_keep_what_kafka_still_has(pair: Pair) -> None:
    backups = backed_up(pair, pair.ask, pair.answer, lost=2)
    pair.ask.restore(backups[0])
    pair.answer.restore(backups[1])
    agree(pair)
    assert same(pair) == ["before0", "lost0", "lost1"]
    assert pair.ask.notes("1-a") == ("send", "adopted:lost0", "adopted:lost1")


def test_both_restored_agree_that_what_nobody_has_was_never_said(pair: Pair) -> None:
    backups = backed_up(pair, pair.ask, pair.answer, lost=2)
    expire(pair)
    pair.ask.restore(backups[0])
    pair.answer.restore(backups[1])
    agree(pair)
    pair.ask.act("1-a", Send(note="after"))
    agree(pair)
    assert same(pair) == ["before0", "after0"]


def test_a_receiver_restored_further_back_than_the_opening_names_is_sent_the_rest_first(pair: Pair) -> None:
    pair.ask.act("1-a", Send(note="a"))
    pair.settle()
    receiver = pair.answer.back_up()
    pair.ask.act("1-a", Send(note="b"))
    pair.settle()
    sender = pair.ask.back_up()
    pair.ask.act("1-a", Send(note="c"))
    pair.settle()
    expire(pair)
    pair.ask.restore(sender)
    pair.answer.restore(receiver)
    agree(pair)
    assert same(pair) == ["a0", "b0"]


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


def test_a_receiver_that_ended_an_incarnation_and_went_back_behind_it_is_told_all_again(pair: Pair) -> None:
    pair.ask.act("1-a", Send(times=2, note="before"))
    pair.settle()
    receiver, sender = pair.answer.back_up(), pair.ask.back_up()
    pair.ask.act("1-a", Send(note="lost"))
    pair.settle()
    pair.ask.restore(sender)
    agree(pair)
    pair.ask.act("1-a", Send(note="after"))
    agree(pair)
    expire(pair)
    pair.answer.restore(receiver)
    agree(pair)
    assert same(pair) == ["before0", "before1", "lost0", "after0"]


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


# Found out without being told.


def put_back_silently(node: Node, backup: Path) -> None:
    """As somebody does who copies the file himself: no incarnation is declared."""
    node.kill()
    place = Path(node.url.removeprefix("sqlite:///"))
    for suffix in ("-wal", "-shm"):
        place.with_name(place.name + suffix).unlink(missing_ok=True)
    place.unlink()  # what still has it open keeps the old one
    place.write_bytes(backup.read_bytes())
    node.open()


def declared(node: Node) -> None:
    """As `kuayu ledger declare` does it, while no node runs."""
    node.kill()
    ledger = Ledger(node.url)
    declare_offline(ledger, node.clock.now(), "found out")
    ledger.close()
    node.open()


def test_a_receipt_for_a_number_that_we_do_not_know_is_told_and_harms_nobody_else(pair: Pair) -> None:
    [backup] = backed_up(pair, pair.ask, lost=2)
    put_back_silently(pair.ask, backup)
    agree(pair)
    assert "receipt_contradicts" in pair.ask.observed.kinds()
    assert pair.ask.engine.books.head.incarnation == 1
    pair.ask.act("1-b")  # it is not refused
    declared(pair.ask)
    agree(pair)
    agree(pair)
    assert same(pair) == ["before0", "lost0", "lost1", "0"]
    assert pair.ask.notes("1-a") == ("send", "adopted:lost0", "adopted:lost1")


def test_a_ledger_that_went_on_before_it_found_out_says_the_new_behind_the_old(pair: Pair) -> None:
    [backup] = backed_up(pair, pair.ask, lost=2)
    put_back_silently(pair.ask, backup)
    pair.clock.move(seconds=1)
    pair.ask.act("1-a", Send(times=3, note="new"))
    declared(pair.ask)
    agree(pair)
    agree(pair)
    assert same(pair) == ["before0", "lost0", "lost1", "new0", "new1", "new2"]
    assert pair.answer.notes("1-a") == ("before0", "lost0", "lost1", "new0", "new1", "new2")
    assert not any(lane.stopped for lane in pair.answer.engine.books.lanes.values())


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


def expire(pair: Pair) -> None:
    for topic in (TOPIC, BACK):
        for partition in (0, 1):
            pair.broker.delete_records(topic, partition, len(pair.broker.records(topic, partition)))


def put_away(node: Node, *, cases: int, days: int) -> None:
    """Archive what is so old, while the node is stopped."""
    node.kill()
    ledger = node.reach_ledger()
    before = node.clock.now() - timedelta(days=days)
    assert archive(ledger, node.folder / f"{node.stage.code}.archive", before).cases == cases
    ledger.close()
    node.open()


def mates(count: int) -> list[str]:
    """Cases of one lane."""
    return [case for n in range(100) if env.partition_of(case := f"1-{n}", 2) == 0][:count]


def test_a_receiver_restored_from_before_an_archive_is_an_alarm(pair: Pair) -> None:
    old, young = mates(2)
    backup = pair.answer.back_up()
    pair.ask.act(old, Send(times=2, note="old"))
    pair.settle()
    pair.ask.act(young, Send(note="young"))
    pair.settle()
    pair.clock.move(days=500)
    put_away(pair.ask, cases=1, days=400)
    pair.broker.delete_records(TOPIC, 0, 100)
    pair.answer.restore(backup)
    agree(pair)
    assert any("up to 2 the lane is in archives" in detail for _, detail in pair.ask.observed.alarms)
    assert pair.answer.notes(old) == pair.answer.notes(young) == ()  # nothing passes what is missing


def test_a_restored_receiver_is_sent_again_what_is_not_archived(pair: Pair) -> None:
    first, second, young = mates(3)
    pair.ask.act(first, Send(note="old"))
    pair.ask.act(second, Send(note="old"))
    pair.settle()
    pair.clock.move(days=500)
    backup = pair.answer.back_up()
    pair.ask.act(young, Send(note="young"))
    pair.settle()
    put_away(pair.ask, cases=2, days=400)
    pair.broker.delete_records(TOPIC, 0, 100)
    pair.answer.restore(backup)
    agree(pair)
    assert pair.answer.notes(young) == ("young0",)
    assert not any("in archives" in detail for _, detail in pair.ask.observed.alarms)
