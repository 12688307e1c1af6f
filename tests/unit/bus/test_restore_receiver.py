"""Law 11: a receiver restored from a backup, or both ends, agree on what was said; nothing is lost or doubled."""

from datetime import timedelta

from bus import envelope as env
from bus.archive import archive
from tests.unit.bus.restoring import agree, backed_up, expire, same
from tests.unit.bus.toys import TOPIC, Node, Pair, Send, broken


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
    pair.broker.behave()
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
