"""Archiving: what ended long ago goes to a file; of each of its rows a stub stays in the log, with the row's leaf.

A stub has the row's place, lane number and lane hash, and nothing of its content. So the ledger is proven as before, the
archive by the roots of its batches, and each by the other. An archive is an SQLite file with the ledger's tables `log` and
`batch`: the batches that archived rows stand in, each whole, its other rows as stubs.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, delete, exists, func, insert, select, update

from bus.backup import sync
from bus.books import Lane
from bus.envelope import LaneName
from bus.holding import ADOPTED
from bus.ledger import Entry, Kind, Ledger, merkle, milliseconds, tables, upsert
from bus.ledger.entry import decode
from bus.ledger.locks import alone
from bus.ledger.stubs import HEAD, is_stub, last_archived, leaf, stub
from bus.receipts import UNSETTLED
from bus.sending import UNRECEIPTED

AT_ONCE = 500
"""Cases, or rows, of one statement."""

Lanes = Mapping[tuple[bool, str], Lane]


class Archived(NamedTuple):
    cases: int
    rows: int


def archive(ledger: Ledger, file: Path, before: datetime, beside: Sequence[Column[str]] = ()) -> Archived:
    """Move the cases whose last row was committed before an instant to a new file.

    Only cases that have ended, and of which everything is receipted, nothing is held and no timer runs. The last row of
    each lane stays, and so do cases that a restore has touched. The rows of these cases in the tables of `beside` (each
    named by the column with the case) and their idempotency keys are deleted.

    Raises:
        BlockingIOError: a node has the ledger open.
        FileExistsError: an archive is never overwritten.
    """
    if file.exists():
        raise FileExistsError(file)
    with alone(ledger.engine):
        with ledger.snapshot() as connection:
            cases = list(_ended(connection, before))
            if not cases:
                return Archived(0, 0)
            _write(connection, file, cases)
        with ledger.engine.begin() as connection:
            rows = sum(_replace(connection, some, beside) for some in _parts(cases))
    return Archived(len(cases), rows)


def _ended(connection: Connection, before: datetime) -> Iterator[str]:
    batch, case = tables.batch, tables.case
    old = select(func.max(batch.c.last_row)).where(batch.c.committed_at < milliseconds(before))
    last_row = connection.execute(old).scalar() or 0
    lanes = {(row.outward, row.name): Lane(*row) for row in connection.execute(select(tables.lane))}
    excepted = tables.exception
    query = select(excepted.c.lane, excepted.c.number).where(excepted.c.status.in_(UNSETTLED))
    unsettled = {(row.lane, row.number) for row in connection.execute(query)}
    unended, held, timer = case.alias(), tables.held, tables.timer
    query = (
        select(case.c.subject)
        .where(
            case.c.version <= last_row,
            ~exists().where(unended.c.subject == case.c.subject, unended.c.open),
            ~exists().where(held.c.subject == case.c.subject),
            ~exists().where(timer.c.subject == case.c.subject),
        )
        .distinct()
    )
    for subject in connection.execute(query.order_by(case.c.subject)).scalars().all():
        log = tables.log
        rows = connection.execute(select(log).where(log.c.subject == subject).order_by(log.c.row)).all()
        entries = [(decode(row.entry), row.number) for row in rows]
        if rows[-1].row <= last_row and all(_done(*each, lanes, unsettled) for each in entries):
            yield subject


def _done(entry: Entry, number: int | None, lanes: Lanes, unsettled: set[tuple[int, int]]) -> bool:
    """Whether nobody may ask for a row again."""
    outward = entry.kind is Kind.OUT
    if entry.outcome == ADOPTED or (outward and entry.cause) or number != (entry.number or None):
        return False  # a restore touched it
    if not entry.number:
        return True
    lane = lanes[outward, entry.lane]
    if lane.opening or lane.stopped or entry.number >= lane.number:
        return False
    unreceipted = outward and LaneName.parse(lane.name).topic.split(".")[1] in UNRECEIPTED
    mark = lane.number if not outward else lane.cursor if unreceipted else lane.mark
    return entry.number <= mark and (lane.id, entry.number) not in unsettled


def _write(connection: Connection, file: Path, cases: Sequence[str]) -> None:
    """The archive, complete and on the disk before anything leaves the ledger."""
    partial = file.with_name(file.name + ".partial")
    partial.unlink(missing_ok=True)
    partial.touch(0o600)
    log, batch, subjects = tables.log, tables.batch, frozenset(cases)
    copy = Ledger(f"sqlite:///{partial}", synchronous="OFF")
    with closing(copy):
        tables.metadata.create_all(copy.engine, tables=[log, batch])
        with copy.engine.begin() as target:
            for one in connection.execute(select(batch).order_by(batch.c.batch)).all():
                of_batch = log.c.row.between(one.first_row, one.last_row)
                rows = connection.execute(select(log).where(of_batch).order_by(log.c.row)).mappings().all()
                if not any(row["subject"] in subjects for row in rows):
                    continue
                target.execute(insert(batch), [dict(one._mapping)])  # noqa: SLF001 - SQLAlchemy's public name for it
                target.execute(
                    insert(log),
                    [
                        dict(row) if row["subject"] in subjects else dict(row) | {"entry": stub(row["entry"])}
                        for row in rows
                    ],
                )
        with copy.engine.connect() as connection_:
            connection_.exec_driver_sql("PRAGMA journal_mode=DELETE")
    if problems := verify_archive(partial):
        raise ValueError(f"the archive could not be proven: {problems[0]}")
    sync(partial)
    partial.rename(file)
    sync(file.parent)


def _replace(connection: Connection, cases: Sequence[str], beside: Sequence[Column[str]]) -> int:
    log = tables.log
    rows = connection.execute(select(log).where(log.c.subject.in_(cases))).all()
    floors: dict[int, int] = {}
    for row in rows:
        connection.execute(update(log).where(log.c.row == row.row).values(entry=stub(row.entry)))
        if row.lane is not None:
            floors[row.lane] = max(floors.get(row.lane, 0), row.number)
    upsert(
        connection,
        tables.archived,
        [(lane, max(number, last_archived(connection, lane))) for lane, number in floors.items()],
    )
    for column in (tables.case.c.subject, tables.answer.c.subject, *beside):
        connection.execute(delete(column.table).where(column.in_(cases)))
    return len(rows)


def verify_archive(file: Path, ledger: Ledger | None = None) -> list[str]:
    """What is wrong with an archive by itself, and as a part of its ledger if that is given; empty if it is sound."""
    problems: list[str] = []
    with closing(Ledger(f"sqlite:///{file}")) as copy, copy.snapshot() as connection:
        log, batch = tables.log, tables.batch
        chains: dict[int, bytes] = {}
        for one in connection.execute(select(batch).order_by(batch.c.batch)).all():
            of_batch = log.c.row.between(one.first_row, one.last_row)
            blobs = (
                connection.execute(select(log.c.entry).where(of_batch).order_by(log.c.row)).scalars().all()
            )
            before = merkle.NOTHING if one.batch == 1 else chains.get(one.batch - 1)
            if not blobs or merkle.root_of_leaves([leaf(blob) for blob in blobs]) != one.root:
                problems.append(f"batch {one.batch}: its rows are not those that were committed")
            place = (one.batch, one.first_row, one.last_row, one.root)
            if before is not None and merkle.chain(before, *place) != one.chain:
                problems.append(f"batch {one.batch} does not continue the chain")
            chains[one.batch] = one.chain
            if ledger is not None:
                problems += _against(ledger, one, [leaf(blob) for blob in blobs])
    return problems


def _against(ledger: Ledger, one: Any, leaves: Sequence[bytes]) -> list[str]:
    """Whether the ledger has this batch, with these leaves."""
    log, batch = tables.log, tables.batch
    with ledger.read() as connection:
        found = connection.execute(select(batch).where(batch.c.batch == one.batch)).one_or_none()
        of_batch = log.c.row.between(one.first_row, one.last_row)
        blobs = connection.execute(select(log.c.entry).where(of_batch).order_by(log.c.row)).scalars().all()
    if found is None or tuple(found) != tuple(one) or [leaf(blob) for blob in blobs] != list(leaves):
        return [f"batch {one.batch} is not the ledger's"]
    return []


def history(file: Path, subject: str) -> list[Entry]:
    """Every row of a case that an archive has, in row order."""
    with closing(Ledger(f"sqlite:///{file}")) as copy:
        return [entry for entry in copy.history(subject) if not is_stub(entry)]


def count_stubs(ledger: Ledger) -> int:
    """How many rows of a ledger are in archives."""
    query = select(tables.log.c.entry).execution_options(yield_per=AT_ONCE)
    with ledger.snapshot() as connection:
        return sum(HEAD in blob and is_stub(decode(blob)) for blob in connection.execute(query).scalars())


def _parts(cases: Iterable[str]) -> Iterator[list[str]]:
    left = iter(cases)
    while some := list(islice(left, AT_ONCE)):
        yield some
