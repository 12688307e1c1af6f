"""The checker on ledgers that were restored from a backup or compacted: sound ones, and each damage in them."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, delete, select, update

from bus import Entry
from bus.holding import ADOPTED
from bus.ledger import Kind as RowKind
from bus.ledger import tables
from bus.ledger.entry import decode
from bus.transport import MemoryBroker, MemoryTransport
from kuayu.audit import Kind
from kuayu.ledgers import back_up_and_prove, compact, restore_backup
from kuayu.settings import Settings
from tests.integration.ledgers_to_audit import CODES, Damage, Found, Ledgers, Nodes, nothing, rewrite

RESTORED, OTHER, HEARS = "430100", "430200", "430300"
EACH = 30
"""Cases in each part of the story."""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Ledgers:
    """One of three nodes was restored: what it had said since was given back, said again, or is lost for good."""
    folder = tmp_path_factory.mktemp("ledgers")
    backup = folder / "backup"
    broker = MemoryBroker()
    with Nodes(folder, MemoryTransport(broker)) as nodes:
        nodes.hand_in(nodes.new_cases(EACH))
        nodes.settle()
        broker.hold(10_000, f"kuayu.review.{OTHER}")
        nodes.hand_in(nodes.new_cases(EACH))
        assert back_up_and_prove(nodes.settings, RESTORED, backup)[0] == []
        lost = nodes.new_cases(EACH)
        nodes.hand_in(lost)
        taken = nodes.nodes[HEARS].ledger
        nodes.until(lambda: any(taken.case(f"{HEARS}/review", nodes.cases[key]) for key in lost))
        nodes.stop(RESTORED)
        broker.behave()
        restore_backup(nodes.settings, RESTORED, backup)
        nodes.start(RESTORED)
        books = nodes.nodes[RESTORED].engine.books
        nodes.until(lambda: not books.restoring)
        broker.release()  # what the lost history had still under way
        nodes.hand_in(lost)
        nodes.settle()
    return Ledgers(folder, list(nodes.cases.values()))


@pytest.fixture
def ledgers(filled: Ledgers, tmp_path: Path) -> Ledgers:
    """A copy to be damaged."""
    return filled.copy(tmp_path)


def entries(connection: Connection) -> Iterator[Entry]:
    return map(decode, connection.execute(select(tables.log.c.entry).order_by(tables.log.c.row)).scalars())


def given_back(connection: Connection) -> Iterator[Entry]:
    """Events that a receiver gave back, and the rows in which they took effect."""
    return (entry for entry in entries(connection) if entry.outcome == ADOPTED and not entry.cause)


def issued_again(connection: Connection) -> Entry:
    return next(entry for entry in entries(connection) if entry.kind is RowKind.OUT and entry.cause)


def test_nothing_is_said_of_a_ledger_that_was_restored(ledgers: Ledgers) -> None:
    report = ledgers.report()
    assert report.problems == []
    assert report.counts["cases"] == 3 * EACH
    ledger = ledgers.ledger(RESTORED)
    with ledger.snapshot() as connection:
        assert len(list(given_back(connection))) > 0
        assert issued_again(connection)
    ledger.close()


def what_was_given_back_is_forgotten(connection: Connection) -> Found:
    """The row in which it took effect says nothing any more."""
    adopted = next(entry for entry in given_back(connection) if settled(connection, entry))
    rewrite(connection, {row.row: nothing(row) for row in settled(connection, adopted)})
    return Found(Kind.LOST, "was given back by its receiver, is held no longer", place_of(adopted))


def what_was_given_back_takes_effect_twice(connection: Connection) -> Found:
    adopted = next(entry for entry in given_back(connection) if settled(connection, entry))
    [once] = settled(connection, adopted)
    free = max(entry.row for entry in entries(connection) if entry.kind is RowKind.LOCAL)
    rewrite(connection, {free: once})
    return Found(Kind.DOUBLED, "was given back, and took effect in several rows", place_of(adopted))


def what_was_given_back_is_not_in_its_lane(connection: Connection) -> Found:
    adopted = next(given_back(connection))
    rewrite(connection, {adopted.row: nothing(adopted)})
    return Found(Kind.LOST, f"numbers {adopted.number} to", {"lane": adopted.lane})


def what_was_issued_again_loses_its_number(connection: Connection) -> Found:
    again = issued_again(connection)
    mine = tables.log.c.row == again.row
    connection.execute(update(tables.log).where(mine).values(lane=None, number=None))
    place = {"row": again.cause, "case": again.subject}
    return Found(Kind.LOST, "does not stand under another one", place)


def an_event_of_a_lane_that_was_never_opened_loses_its_number(connection: Connection) -> Found:
    log, lane = tables.log, tables.lane
    mine = (
        select(log.c.row).join(lane, lane.c.id == log.c.lane).where(lane.c.outward, lane.c.incarnation == 1)
    )
    row = connection.execute(mine.order_by(log.c.row)).scalars().first()
    connection.execute(update(log).where(log.c.row == row).values(lane=None, number=None))
    return Found(Kind.DAMAGED, "its lane was never opened anew", {"row": row})


def what_was_displaced_is_not_issued_again(connection: Connection) -> Found:
    again = issued_again(connection)
    rewrite(connection, {again.row: nothing(again)})
    return Found(Kind.LOST, "does not stand under another one", {"row": again.cause, "case": again.subject})


def what_was_displaced_keeps_its_number(connection: Connection) -> Found:
    """As if it had been issued twice."""
    again = issued_again(connection)
    first = next(entry for entry in entries(connection) if entry.row == again.cause)
    lane = select(tables.log.c.lane).where(tables.log.c.row == again.row).scalar_subquery()
    mine = tables.log.c.row == first.row
    connection.execute(update(tables.log).where(mine).values(lane=lane, number=first.number))
    return Found(Kind.DOUBLED, "the number comes again", {"lane": again.lane})


def what_was_issued_again_says_something_else(connection: Connection) -> Found:
    again = issued_again(connection)
    rewrite(connection, {again.row: msgspec.structs.replace(again, value=again.value[:-1] + b"\1")})
    return Found(Kind.CONTRADICTION, "says something else", {"row": again.row})


def the_declaration_is_gone(connection: Connection) -> Found:
    connection.execute(delete(tables.incarnation))
    return Found(Kind.DAMAGED, "was never declared", {})


def the_declaration_is_another(connection: Connection) -> Found:
    connection.execute(update(tables.incarnation).values(number=tables.incarnation.c.number - 1))
    return Found(Kind.DAMAGED, "the last declared is", {})


def the_restore_is_not_finished(connection: Connection) -> Found:
    connection.execute(update(tables.incarnation).values(settled=False))
    return Found(Kind.WITHOUT_RECEIPT, "is not agreed with all counterparts", {})


def a_lane_is_not_agreed_on(connection: Connection) -> Found:
    lane = next(given_back(connection)).lane
    mine = (tables.lane.c.name == lane) & tables.lane.c.outward
    connection.execute(update(tables.lane).where(mine).values(opening="restored"))
    return Found(Kind.WITHOUT_RECEIPT, "not yet agreed on with its receiver", {"lane": lane})


def a_lane_goes_on_in_the_old_incarnation(connection: Connection) -> Found:
    lane = next(given_back(connection)).lane
    mine = (tables.lane.c.name == lane) & tables.lane.c.outward
    connection.execute(update(tables.lane).where(mine).values(incarnation=1))
    return Found(Kind.CONTRADICTION, "which its sender never declared", {"lane": lane})


def a_mark_says_more_than_was_taken(connection: Connection) -> Found:
    adopted = next(given_back(connection))
    mine = (tables.lane.c.name == adopted.lane) & tables.lane.c.outward
    connection.execute(update(tables.lane).where(mine).values(mark=adopted.number - 1))
    return Found(Kind.WITHOUT_RECEIPT, "unreceipted", place_of(adopted))


def an_event_given_back_is_not_what_was_said(connection: Connection) -> Found:
    adopted = next(given_back(connection))
    rewrite(connection, {adopted.row: msgspec.structs.replace(adopted, value=adopted.value[:-1] + b"\1")})
    return Found(Kind.DAMAGED, "not what the lane's hash was taken over", place_of(adopted))


def place_of(entry: Entry) -> dict[str, object]:
    return {"row": entry.row, "lane": entry.lane, "number": entry.number, "case": entry.subject}


def settled(connection: Connection, adopted: Entry) -> list[Entry]:
    """The rows in which it took effect."""
    local = (entry for entry in entries(connection) if entry.kind is RowKind.LOCAL)
    return [entry for entry in local if entry.cause == adopted.row]


DAMAGES: list[Damage] = [
    what_was_given_back_is_forgotten,
    what_was_given_back_takes_effect_twice,
    what_was_given_back_is_not_in_its_lane,
    what_was_issued_again_loses_its_number,
    what_was_displaced_is_not_issued_again,
    what_was_displaced_keeps_its_number,
    what_was_issued_again_says_something_else,
    the_declaration_is_gone,
    the_declaration_is_another,
    the_restore_is_not_finished,
    a_lane_is_not_agreed_on,
    a_lane_goes_on_in_the_old_incarnation,
    a_mark_says_more_than_was_taken,
    an_event_given_back_is_not_what_was_said,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=[damage.__name__ for damage in DAMAGES])
def test_each_damage_in_a_restored_ledger_is_found_and_named(ledgers: Ledgers, damage: Damage) -> None:
    found = ledgers.damage(RESTORED, damage)
    problems = ledgers.problems()
    assert found.is_in(problems), "\n".join(map(str, problems))


def test_a_number_that_is_gone_without_any_restore_is_found(ledgers: Ledgers) -> None:
    found = ledgers.damage(OTHER, an_event_of_a_lane_that_was_never_opened_loses_its_number)
    problems = ledgers.problems()
    assert found.is_in(problems), "\n".join(map(str, problems))


def test_a_backup_that_was_put_back_and_not_declared_is_found(ledgers: Ledgers, filled: Ledgers) -> None:
    """Somebody copied the file and went on."""
    (ledgers.folder / f"{RESTORED}.db").write_bytes((filled.folder / "backup").read_bytes())
    problems = ledgers.problems()
    never = "which its sender never declared"
    assert any(problem.kind is Kind.CONTRADICTION and never in problem.what for problem in problems)
    assert any(problem.kind is Kind.LOST for problem in problems)


def test_a_case_that_its_restored_node_lost_is_named(ledgers: Ledgers) -> None:
    gone = f"{RESTORED}-01KAUDIT00000000000000000A"
    [problem] = ledgers.problems([*ledgers.cases, gone])
    assert (problem.kind, problem.case) == (Kind.LOST, gone)


# Compaction.


@pytest.fixture
def compacted(ledgers: Ledgers) -> Ledgers:
    """All are compacted, as if everything had happened long ago."""
    for code in CODES:
        ledger = ledgers.ledger(code)
        with ledger.engine.begin() as connection:
            connection.execute(update(tables.batch).values(committed_at=0))
        ledger.close()
        assert compact(Settings(data=ledgers.folder), code, 1).answers > 0
    return ledgers


def test_nothing_is_said_of_compacted_ledgers(compacted: Ledgers) -> None:
    report = compacted.report()
    assert report.problems == []
    assert report.counts["cases"] == 3 * EACH


@pytest.mark.parametrize(
    "damage",
    [what_was_given_back_is_forgotten, what_was_displaced_is_not_issued_again],
    ids=["given back", "displaced"],
)
def test_a_damage_in_a_compacted_ledger_is_found_all_the_same(compacted: Ledgers, damage: Damage) -> None:
    found = compacted.damage(RESTORED, damage)
    problems = compacted.problems()
    assert found.is_in(problems), "\n".join(map(str, problems))
