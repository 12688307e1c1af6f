"""A backup of a ledger is a ledger: an SQLite file with the same tables, whatever database it was taken from."""

import os
import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, insert, inspect, select

from bus.books import Incarnation
from bus.incarnation import declare_offline
from bus.ledger import Ledger, tables
from bus.ledger.locks import alone

ROWS_AT_ONCE = 5_000
REVISION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))
"""The migrations' own table: a backup of an older program is migrated when it is put back."""


def back_up(ledger: Ledger, file: Path) -> None:
    """Write a consistent copy while the node goes on.

    Raises:
        FileExistsError: a backup is never overwritten.
    """
    if file.exists():
        raise FileExistsError(file)
    partial = file.with_name(file.name + ".partial")
    partial.unlink(missing_ok=True)
    if ledger.engine.dialect.name == "sqlite":
        with ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM INTO :file", {"file": str(partial)})
    else:
        copy = Ledger(f"sqlite:///{partial}", synchronous="OFF")
        copy.create()
        with ledger.snapshot() as source, copy.engine.begin() as target:
            _copy(source, target)
        with copy.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        copy.close()
    sync(partial)
    partial.rename(file)


def put_back(
    file: Path, url: str, now: datetime, prepare: Callable[[Ledger], None] = lambda _ledger: None
) -> Incarnation:
    """Put a backup in the place of a ledger, and declare a new incarnation there before anybody commits (law 11).

    What was in its place is lost, save that an SQLite file stays beside it under the name `.replaced`. `prepare`
    brings the tables to the newest form.

    Raises:
        BlockingIOError: a node has the ledger open.
        LookupError: the backup is empty.
    """
    ledger = Ledger(url)
    try:
        with alone(ledger.engine):
            if ledger.engine.dialect.name == "sqlite":
                return _replace(file, ledger, now, prepare)
            return _refill(file, ledger, now, prepare)
    finally:
        ledger.close()


def _replace(file: Path, ledger: Ledger, now: datetime, prepare: Callable[[Ledger], None]) -> Incarnation:
    place = Path(ledger.engine.url.database or "")
    fresh = place.with_name(place.name + ".restoring")
    shutil.copyfile(file, fresh)
    copy = Ledger(f"sqlite:///{fresh}")
    try:
        prepare(copy)
        declared = declare_offline(copy, now, f"restored from {file.name}")
        with copy.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    finally:
        copy.close()
    sync(fresh)
    ledger.engine.dispose()
    for suffix in ("", "-wal", "-shm"):  # together they are what was there
        old = place.with_name(place.name + suffix)
        if old.exists():
            old.rename(place.with_name(f"{place.name}.replaced{suffix}"))
    fresh.rename(place)
    sync(place.parent)
    return declared


def _refill(file: Path, ledger: Ledger, now: datetime, prepare: Callable[[Ledger], None]) -> Incarnation:
    prepare(ledger)
    copy = Ledger(f"sqlite:///{file}")
    try:
        with copy.snapshot() as source, ledger.engine.begin() as target:
            for table in tables.metadata.tables.values():
                target.execute(delete(table))
            _copy(source, target)
    finally:
        copy.close()
    return declare_offline(ledger, now, f"restored from {file.name}")


def _copy(source: Connection, target: Connection) -> None:
    there = set(inspect(source).get_table_names())
    for table in tables.metadata.tables.values():
        if table.name in there:
            _copy_table(source, target, table)
    if REVISION.name in there:
        REVISION.create(target, checkfirst=True)
        target.execute(delete(REVISION))
        _copy_table(source, target, REVISION)


def _copy_table(source: Connection, target: Connection, table: Table) -> None:
    rows = source.execution_options(yield_per=ROWS_AT_ONCE).execute(select(table)).mappings()
    for some in rows.partitions(ROWS_AT_ONCE):
        target.execute(insert(table), [dict(row) for row in some])


def sync(path: Path) -> None:
    """Bring a file, or a folder's names, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
