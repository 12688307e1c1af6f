"""Writing a unit down: in one transaction with its log rows, and then into the books."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import astuple
from sqlalchemy import Connection, delete, tuple_, update

from bus.ledger import Kind, milliseconds, tables, upsert
from bus.protocols import Projection
from bus.unit import Unit

CASES_CACHED = 6_000
"""Those that were last looked at and have not ended: a case is asked for again within seconds, or only after days. At 2 to
4 kB each; with 4,000 under way, a cache of 2,500 costs up to a tenth of all CPU."""
HASHES_CACHED = 20_000


def commit(unit: Unit, projections: Sequence[Projection]) -> None:
    """Make it durable, then let the books know. Raises what `Ledger.commit` raises."""
    books = unit.books
    ids = {key: lane.id for key, lane in unit.lanes.items()}
    books.head = books.ledger.commit(
        books.head, unit.entries, ids, unit.now, lambda connection: _write(unit, connection, projections)
    )
    _follow_incarnation(unit)
    _follow_cases(unit)
    books.lanes.update(unit.lanes)
    books.positions.update(unit.positions)
    for lane_id, number in unit.changed_exceptions:
        books.excepted[lane_id] = max(number, books.excepted.get(lane_id, 0))
    books.quarantined += len(unit.quarantine)
    out = Kind.OUT
    books.recent_hashes.update(
        {(ids[True, e.lane], e.number): e.lane_hash for e in unit.entries if e.kind is out}
    )
    while len(books.recent_hashes) > HASHES_CACHED:
        books.recent_hashes.popitem(last=False)


def _follow_cases(unit: Unit) -> None:
    books = unit.books
    for key, rows in unit.held.items():
        if rows:
            books.held[key] = rows
        else:
            books.held.pop(key, None)
    for case_key, case in unit.cases.items():
        if case.view.open:
            books.cases[case_key] = case
            books.cases.move_to_end(case_key)
        else:
            books.cases.pop(case_key, None)
        for _, due in case.view.timers:
            if books.next_due is None or due < books.next_due:
                books.next_due = due
    while len(books.cases) > CASES_CACHED:
        books.cases.popitem(last=False)


def _follow_incarnation(unit: Unit) -> None:
    books = unit.books
    for number, declared in unit.declared.items():
        books.head = books.head._replace(incarnation=number)
        books.declared = declared
    for name in unit.opened:
        (books.opening.add if unit.lanes[True, name].opening else books.opening.discard)(name)
    for lane_id, of_lane in unit.renumbered.values():
        books.recent_hashes.pop((lane_id or 0, -(of_lane or 0)), None)


def _write(unit: Unit, connection: Connection, projections: Sequence[Projection]) -> None:
    upsert(connection, tables.lane, [astuple(lane) for lane in unit.lanes.values()])
    upsert(connection, tables.position, [(*place, *astuple(at)) for place, at in unit.positions.items()])
    _write_cases(unit, connection)
    _write_held(unit, connection)
    upsert(connection, tables.answer, [(*key, *answered) for key, answered in unit.answers.items()])
    upsert(connection, tables.quarantine, unit.quarantine)
    if unit.declared or unit.renumbered:
        _write_incarnation(unit, connection)
    if unit.changes:
        for projection in projections:
            projection.apply(connection, unit.changes)


def _write_incarnation(unit: Unit, connection: Connection) -> None:
    rows = [
        (number, told.first_row, told.reason, milliseconds(told.at), told.settled)
        for number, told in unit.declared.items()
    ]
    upsert(connection, tables.incarnation, rows)
    if unit.declared:
        connection.execute(update(tables.head).values(incarnation=unit.incarnation))
    log = tables.log
    for row, (lane, number) in unit.renumbered.items():
        connection.execute(update(log).where(log.c.row == row).values(lane=lane, number=number))


def _write_cases(unit: Unit, connection: Connection) -> None:
    rows, stale, timers = [], [], []
    for (stream, subject), case in unit.cases.items():
        view = case.view
        rows.append((stream, subject, case.version, view.status, view.open))
        before = unit.books.cases.get((stream, subject))
        rang = before.view.timers if before else ()
        if view.timers != rang:
            if rang:
                stale.append((stream, subject))
            timers += [(stream, subject, kind, milliseconds(due)) for kind, due in view.timers]
    upsert(connection, tables.case, rows)
    timer = tables.timer
    for chunk in _chunks(stale):
        connection.execute(delete(timer).where(tuple_(timer.c.stream, timer.c.subject).in_(chunk)))
    upsert(connection, timer, timers)
    for done in _chunks(list(unit.timers_done)):
        connection.execute(
            delete(timer).where(tuple_(timer.c.stream, timer.c.subject, timer.c.kind).in_(done)),
        )


def _write_held(unit: Unit, connection: Connection) -> None:
    gone, rows = [], []
    for (stream, subject), held in unit.held.items():
        kept = {row.row for row in held}
        gone += [row.row for row in unit.books.held.get((stream, subject), ()) if row.row not in kept]
        rows += [(row.row, stream, subject, *row[1:]) for row in held]
    for chunk in _chunks(gone):
        connection.execute(delete(tables.held).where(tables.held.c.row.in_(chunk)))
    upsert(connection, tables.held, rows)
    settled = [key for key, row in unit.changed_exceptions.items() if row is None]
    exception = tables.exception
    for chunk in _chunks(settled):
        connection.execute(delete(exception).where(tuple_(exception.c.lane, exception.c.number).in_(chunk)))
    upsert(
        connection,
        exception,
        [(*key, *row) for key, row in unit.changed_exceptions.items() if row is not None],
    )


def _chunks(items: list[Any]) -> Iterable[list[Any]]:
    """Databases bound the number of parameters of a statement."""
    return (items[start : start + 500] for start in range(0, len(items), 500))
