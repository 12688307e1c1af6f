"""Proves a ledger from itself: the chain is whole, lanes have no gaps, projections equal a rebuild from the log."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, select

from bus import envelope as env
from bus.envelope import Malformed
from bus.holding import ADOPTED
from bus.ledger import Entry, Head, Kind, Ledger, merkle, milliseconds, tables, upsert
from bus.ledger.entry import decode
from bus.ledger.stubs import is_stub, leaf
from bus.protocols import Change, Projection
from bus.records import Records, had_effect

ROWS_AT_ONCE = 1_000

Say = Callable[[str], None]


def verify(ledger: Ledger, records: Records) -> list[str]:
    """Everything that is wrong with a ledger, in words; empty if it is sound. Reads only."""
    problems: list[str] = []
    with ledger.snapshot() as connection:
        _chain(connection, problems.append)
        _lanes(connection, problems.append)
        _cases(connection, records, problems.append)
        _held(connection, problems.append)
    return problems


def rebuild(ledger: Ledger, records: Records, projections: Sequence[Projection]) -> int:
    """Fold the log again into cases, timers and the given projections; returns the number of rows folded.

    Nothing is decided again (law 6). The ledger's owner must not run meanwhile.
    """
    folded = 0
    with ledger.snapshot() as log, ledger.engine.begin() as connection:
        for table in (tables.case, tables.timer):
            connection.execute(delete(table))
        for projection in projections:
            projection.clear(connection)
        for entries in _by_case(log):
            states: dict[str, tuple[int, Any]] = {}
            changes: list[Change] = []
            rows = {entry.row: entry for entry in entries}
            for entry in filter(had_effect, entries):
                _, before = states.get(entry.stream, (0, None))
                state = records.fold(entry, before)
                states[entry.stream] = (entry.row, state)
                message = records.message(entry, rows.get(entry.cause, entry))
                changes.append(Change(entry.row, entry.stream, message, records.facts(entry), before, state))
                folded += 1
            for projection in projections:
                if changes:
                    projection.apply(connection, changes)
            _write(connection, records, entries[0].subject, states)
    return folded


def _write(
    connection: Connection, records: Records, subject: str, states: Mapping[str, tuple[int, Any]]
) -> None:
    for stream, (version, state) in states.items():
        view = records.handlers[stream].view(state)
        upsert(connection, tables.case, [(stream, subject, version, view.status, view.open)])
        timers = [(stream, subject, kind, milliseconds(due)) for kind, due in view.timers]
        upsert(connection, tables.timer, timers)


def _chain(connection: Connection, say: Say) -> None:
    head = Head(*connection.execute(select(tables.head)).one()[1:])
    chain, next_row, number = merkle.NOTHING, 1, 0
    for batch in connection.execute(select(tables.batch).order_by(tables.batch.c.batch)).all():
        number += 1
        rows = connection.execute(
            select(tables.log)
            .where(tables.log.c.row.between(batch.first_row, batch.last_row))
            .order_by(tables.log.c.row),
        ).all()
        if (batch.batch, batch.first_row) != (number, next_row):
            say(
                f"batch {batch.batch} begins at row {batch.first_row}; batch {number} at row {next_row} is due"
            )
            return
        if [row.row for row in rows] != list(range(batch.first_row, batch.last_row + 1)):
            say(f"batch {batch.batch}: rows are missing between {batch.first_row} and {batch.last_row}")
            return
        for row in rows:
            _columns(row, say)
        root = merkle.root_of_leaves([leaf(row.entry) for row in rows])
        chain = merkle.chain(chain, number, batch.first_row, batch.last_row, root)
        if (root, chain) != (batch.root, batch.chain):
            say(f"batch {batch.batch}: its rows are not those that were committed")
            return
        next_row = batch.last_row + 1
    if (head.next_row, head.batch, head.chain) != (next_row, number, chain):
        say(
            f"the head says batch {head.batch}, next row {head.next_row}; the log ends at {number}, {next_row}"
        )


def _columns(row: Any, say: Say) -> None:
    try:
        entry = decode(row.entry)
    except msgspec.DecodeError:
        say(f"row {row.row} can't be read")
        return
    numbers = {entry.number or None}
    if entry.kind is Kind.OUT:  # its number may be another's now, and it issued again (law 11)
        numbers |= {-entry.number, None}
    if (entry.row, entry.subject) != (row.row, row.subject) or row.number not in numbers:
        say(f"row {row.row}: its columns are not its entry's")


def _lanes(connection: Connection, say: Say) -> None:
    for lane in connection.execute(select(tables.lane).order_by(tables.lane.c.id)).all():
        rows = connection.execute(
            select(tables.log.c.entry)
            .where(tables.log.c.lane == lane.id, tables.log.c.number > 0)
            .order_by(tables.log.c.number),
        ).scalars()
        number, running = 0, env.NO_HASH
        for entry in map(decode, rows):
            number += 1
            if entry.number != number:
                say(f"{lane.name}: number {number} is missing or there twice")
                break
            if is_stub(entry):
                running = entry.lane_hash
                continue
            try:
                envelope = env.read(entry.head)
            except Malformed as wrong:
                say(f"{lane.name} number {number}: {wrong}")
            else:
                digest = env.content_digest(entry.head, entry.value)
                if envelope.type != env.TOMBSTONE and env.link(running, digest) != entry.lane_hash:
                    say(f"{lane.name} number {number}: its hash does not continue the lane")
            running = entry.lane_hash
        if (lane.number, lane.hash) != (number, running):
            say(f"{lane.name}: the lane stands at {lane.number}, the log at {number}")
        if not lane.mark <= lane.number or not lane.cursor <= lane.number:
            say(f"{lane.name}: mark {lane.mark} or cursor {lane.cursor} lies beyond number {lane.number}")


def _by_case(connection: Connection) -> Iterator[list[Entry]]:
    query = select(tables.log.c.entry).order_by(tables.log.c.subject, tables.log.c.row)
    entries: list[Entry] = []
    with connection.execute(query.execution_options(yield_per=ROWS_AT_ONCE)) as blobs:
        for entry in map(decode, blobs.scalars()):
            if entries and entries[0].subject != entry.subject:
                yield entries
                entries = []
            entries.append(entry)
    if entries:
        yield entries


def _cases(connection: Connection, records: Records, say: Say) -> None:
    seen = 0
    for entries in _by_case(connection):
        subject = entries[0].subject
        states: dict[str, tuple[int, Any]] = {}
        for entry in filter(had_effect, entries):
            if entry.stream not in records.handlers:
                continue
            _, state = states.get(entry.stream, (0, None))
            try:
                states[entry.stream] = (entry.row, records.fold(entry, state))
            except Exception as error:  # noqa: BLE001 - whatever a damaged history makes of it
                say(f"{entry.stream} {subject}: row {entry.row} can't be folded: {type(error).__name__}")
        seen += len(states)
        for stream, (version, state) in states.items():
            table = tables.case
            row = connection.execute(
                select(table).where(table.c.stream == stream, table.c.subject == subject),
            ).one_or_none()
            view = records.handlers[stream].view(state)
            due = (version, view.status, view.open)
            if row is None or tuple(row[2:]) != due:
                say(f"{stream} {subject}: the case is not what its rows say")
    stored = connection.execute(select(func.count()).select_from(tables.case)).scalar_one()
    if stored != seen:
        say(f"{stored} cases are stored, the log makes {seen}")


def _held(connection: Connection, say: Say) -> None:
    held = set(connection.execute(select(tables.held.c.row)).scalars())
    open_rows: set[int] = set()
    adopted: set[int] = set()
    """Given back after a restore: they wait for their own cause, which settles them without a row of theirs."""
    query = select(tables.log.c.entry).order_by(tables.log.c.row).execution_options(yield_per=ROWS_AT_ONCE)
    for entry in map(decode, connection.execute(query).scalars()):
        if entry.kind is Kind.IN and entry.outcome in ("parked", "waiting"):
            open_rows.add(entry.row)
        if entry.outcome == ADOPTED:
            adopted.add(entry.row)
        if entry.kind is Kind.LOCAL and entry.cause:
            open_rows.discard(entry.cause)
    for row in sorted((held ^ open_rows) - adopted):
        say(f"row {row}: held and log disagree on whether it still waits")
