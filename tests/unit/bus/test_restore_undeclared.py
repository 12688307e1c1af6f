"""Law 11: a ledger that was put back by hand finds out that it is older than what it said."""

from pathlib import Path

from bus import Ledger
from bus.incarnation import declare_offline
from tests.unit.bus.restoring import agree, backed_up, same
from tests.unit.bus.toys import Node, Pair, Send


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
