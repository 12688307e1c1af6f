"""The ledger on SQLite (by default) or PostgreSQL: claim it, read it, and commit batches that fence off others."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Dialect,
    Engine,
    Select,
    bindparam,
    create_engine,
    event,
    insert,
    select,
    update,
)

from bus.errors import Fenced
from bus.ledger import locks, merkle
from bus.ledger.checkpoints import Checkpoints
from bus.ledger.entry import Entry, Kind, decode, encode
from bus.ledger.statements import among, driver_cursor, insert_rows
from bus.ledger.tables import batch, case, head, lane, log, metadata

_OUT = Kind.OUT


class Head(NamedTuple):
    """The one row that every commit compares and sets."""

    epoch: int
    """Who owns the ledger: one more for each process that claimed it."""
    next_row: int
    batch: int
    chain: bytes
    incarnation: int
    """One more for each time the ledger was restored from a backup (law 11)."""


class CaseRow(NamedTuple):
    """What is kept beside the log of a case as one stream sees it; its state is what its rows make (`Records.cases`)."""

    stream: str
    subject: str
    version: int
    status: str
    open: bool


@lru_cache(maxsize=1024)
def milliseconds(instant: datetime) -> int:
    """Since 1970, UTC."""
    return round(instant.timestamp() * 1000)


def instant(since_1970: int) -> datetime:
    """The inverse of `milliseconds`."""
    return datetime.fromtimestamp(since_1970 / 1000, UTC)


class Ledger:
    """One append-only log with its projections, for one or more streams."""

    def __init__(self, url: str, *, synchronous: str = "FULL") -> None:
        """`url` is SQLAlchemy's (sqlite:///path or postgresql+psycopg://…).

        `synchronous` is SQLite's pragma; NORMAL may lose the last commits at a power cut and is for labelled
        benchmark runs only.
        """
        self.engine = _engine(url, synchronous)
        self._let_go: Callable[[], None] | None = None
        self._own: Connection | None = None
        self.checkpoints = Checkpoints(self.engine) if self.folder else None
        """To be stepped by a thread beside the owner's; None where the database sees to that itself."""

    @property
    def folder(self) -> Path | None:
        """Where its file is; None where it is a server's, or in memory."""
        file = self.engine.url.database if self.engine.dialect.name == "sqlite" else None
        return Path(file).parent if file and file != ":memory:" else None

    def create(self) -> None:
        """Make the tables that are not there, as the newest migration would (tests, throw-away ledgers)."""
        with self.engine.begin() as connection:
            if self.engine.dialect.name == "sqlite":  # whose driver would commit after each statement
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            metadata.create_all(connection)

    def claim(self) -> Head:
        """Become the owner; whoever was it fails at its next commit.

        Raises:
            Fenced: another process claimed it at the same moment.
            BlockingIOError: it is being restored.
        """
        if self._let_go is None:
            self._let_go = locks.share(self.engine)
        with self.engine.begin() as connection:
            row = connection.execute(select(head)).one_or_none()
            if row is None:
                first = Head(1, 1, 0, merkle.NOTHING, 1)
                connection.execute(insert(head), [{"id": 1, **first._asdict()}])
                return first
            old = Head(*row[1:])
            new = old._replace(epoch=old.epoch + 1)
            _compare_and_set(connection, old, new)
            return new

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A short look: every statement sees the newest commit, nothing is locked."""
        connection = self.engine.connect()
        if self.engine.dialect.name != "sqlite":  # where Python's driver begins nothing before a write
            connection.execution_options(isolation_level="AUTOCOMMIT")
        with connection:
            yield connection

    @contextmanager
    def own(self) -> Iterator[Connection]:
        """The owner's connection, for its one thread.

        It is kept from commit to commit, as to get one from the pool and to give it back costs as much as the
        statements of a small commit; after any error there is another one.
        """
        connection = self._own = self._own or self.engine.connect()
        try:
            with connection.begin():
                yield connection
        except BaseException:
            self._own = None
            connection.close()
            raise

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A long look: all statements see the same commit, while the owner goes on writing."""
        if self.engine.dialect.name == "sqlite":
            with self.engine.connect() as connection:
                connection.exec_driver_sql("BEGIN")
                yield connection
        else:
            with self.engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
                yield connection

    def commit(
        self,
        old: Head,
        entries: Sequence[Entry],
        lanes: Mapping[tuple[bool, str], int],
        committed_at: datetime,
        write: Callable[[Connection], None],
    ) -> Head:
        """Append a batch and whatever `write` writes beside it, in one transaction.

        `entries` are numbered from `old.next_row`; `lanes` gives the ids of the lanes they name, by
        direction (True: outward) and name.

        Raises:
            Fenced: the head is not the one we left; nothing was written.
            sqlalchemy.exc.DBAPIError: the database can't or won't; nothing was written.
        """
        new = old
        if entries:
            encoded = [encode(entry) for entry in entries]
            last = old.next_row + len(entries) - 1
            batch_root = merkle.root(encoded)
            chain = merkle.chain(old.chain, old.batch + 1, old.next_row, last, batch_root)
            new = old._replace(next_row=last + 1, batch=old.batch + 1, chain=chain)
        with self.own() as connection:
            _compare_and_set(connection, old, new)
            if entries:
                ends = old.next_row, last, batch_root, chain
                at = milliseconds(committed_at)
                insert_rows(connection, batch, [(new.batch, *ends, new.epoch, at, None, None)])
                insert_rows(
                    connection,
                    log,
                    [
                        (entry.row, entry.subject, lanes[entry.kind is _OUT, entry.lane], entry.number, blob)
                        if entry.number
                        else (entry.row, entry.subject, None, None, blob)
                        for entry, blob in zip(entries, encoded, strict=True)
                    ],
                )
            write(connection)
        if self.checkpoints:
            self.checkpoints.committed(connection, len(entries))
        return new

    def close(self) -> None:
        if self._let_go is not None:
            self._let_go()
            self._let_go = None
        if self._own is not None:
            self._own.close()
            self._own = None
        self.engine.dispose()

    # Reads that several parts share.

    def head(self) -> Head | None:
        with self.read() as connection:
            row = connection.execute(select(head)).one_or_none()
            return Head(*row[1:]) if row else None

    def case(self, stream: str, subject: str) -> CaseRow | None:
        with self.read() as connection:
            row = connection.execute(
                select(case).where(case.c.stream == stream, case.c.subject == subject),
            ).one_or_none()
        return CaseRow(*row) if row else None

    def entries(self, query: Select[Any]) -> list[Entry]:
        """Log entries by a query over `log.c.entry`."""
        with self.read() as connection:
            return [decode(blob) for blob in connection.execute(query).scalars()]

    def history(self, subject: str) -> list[Entry]:
        """Every row of a case, in row order."""
        return self.entries(select(log.c.entry).where(log.c.subject == subject).order_by(log.c.row))

    def lane_entries(self, lane_id: int, first: int, last: int) -> list[Entry]:
        """The rows of a lane with numbers from `first` to `last`, in order."""
        numbers = log.c.number.between(first, last)
        return self.entries(select(log.c.entry).where(log.c.lane == lane_id, numbers).order_by(log.c.number))

    def lanes(self, *, outward: bool) -> list[Any]:
        with self.read() as connection:
            return list(connection.execute(select(lane).where(lane.c.outward == outward).order_by(lane.c.id)))


def answers(connection: Connection, caller: str, keys: Sequence[str]) -> Sequence[Any]:
    """The rows of what was answered to these idempotency keys of a caller (a few thousand at most)."""
    query = "SELECT caller, key, digest, stream, subject, version FROM answer WHERE caller = {mark} AND key IN ({marks})"
    return among(connection, query, (caller,), keys)


def histories(connection: Connection, subjects: Sequence[str]) -> list[Entry]:
    """Every row of these cases (a few thousand at most), each case's in order."""
    query = "SELECT entry FROM log WHERE subject IN ({marks}) ORDER BY subject, row"
    return [decode(blob) for (blob,) in among(connection, query, (), subjects)]


def _compare_and_set(connection: Connection, old: Head, new: Head) -> None:
    with driver_cursor(connection) as cursor:
        cursor.execute(_set_head(connection.dialect), (*new, old.epoch, old.next_row, old.chain))
        found: int = cursor.rowcount
    if found != 1:
        raise Fenced(f"another process owns this ledger (we were epoch {old.epoch})")


@lru_cache(maxsize=4)
def _set_head(dialect: Dialect) -> str:
    """Every commit begins with it: as text, so that it is not made up and compiled each time."""
    statement = (
        update(head)
        .values({name: bindparam(f"new_{name}") for name in Head._fields})
        .where(*(head.c[name] == bindparam(f"old_{name}") for name in ("epoch", "next_row", "chain")))
    )
    return str(statement.compile(dialect=dialect))


PAGE_BYTES = 8_192
"""Rows have a kilobyte or two: on SQLite's own 4 KiB pages they cost more to write in large commits; with 16 KiB a small
commit, which touches some thirty pages, writes a third more to the disk."""
CACHE_KIB = 1_024
"""Of each connection, and a node has several: SQLite's own 2 MiB cost memory, and commits are no faster with 32."""
CHECKPOINT_PAGES = 4_000
"""32 MiB: a page that is written in many commits goes to the file once. `Checkpoints` comes before it where it is stepped."""


def _engine(url: str, synchronous: str) -> Engine:
    # Rows are sequences: the drivers read them faster than mappings.
    engine = create_engine(url, paramstyle="qmark" if url.startswith("sqlite") else "format")
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def pragmas(connection: Any, _record: Any) -> None:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA page_size={PAGE_BYTES}")  # counts for a new file only
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute(f"PRAGMA cache_size={-CACHE_KIB}")
            cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            cursor.execute(f"PRAGMA synchronous={synchronous}")
            cursor.execute("PRAGMA busy_timeout=5000")
            cursor.close()

    return engine
