"""Statements that every commit runs: as text, by the database driver's own cursor.

For a dozen statements a commit, what SQLAlchemy does around each costs more than what they do; here it only compiles them, once.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any

from sqlalchemy import (
    Boolean,
    Connection,
    Date,
    Dialect,
    Insert,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    insert,
)
from sqlalchemy.exc import DBAPIError


def among(connection: Connection, query: str, first: Sequence[str], last: Sequence[str]) -> Sequence[Any]:
    """The rows of a query with a `{mark}` for each of `first` and `{marks}` for all of `last` (a few thousand at most).

    As text: SQLAlchemy would make up and compile the statement anew for each number of marks.
    """
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    # Up to a power of two the last one is asked for again: so there are few statements for the drivers to prepare and keep.
    last = [*last, *[last[-1]] * ((1 << (len(last) - 1).bit_length()) - len(last))]
    with driver_cursor(connection) as cursor:
        cursor.execute(query.format(mark=mark, marks=",".join([mark] * len(last))), (*first, *last))
        found: Sequence[Any] = cursor.fetchall()
    return found


def rows_of(connection: Connection, query: Select[Any]) -> Sequence[Any]:
    """All rows of a query that has no parameters, as the driver gives them: for what every commit asks."""
    with driver_cursor(connection) as cursor:
        cursor.execute(_query(query, connection.dialect))
        found: Sequence[Any] = cursor.fetchall()
    return found


@lru_cache(maxsize=64)
def _query(query: Select[Any], dialect: Dialect) -> str:
    return str(query.compile(dialect=dialect))


def insert_rows(connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert rows: complete ones, in the order of the table's columns."""
    if rows:
        _many(connection, _insert(table, connection.dialect), rows)


def upsert(
    connection: Connection, table: Table, rows: Sequence[tuple[Any, ...]], keep: tuple[str, ...] = ()
) -> None:
    """Insert rows, or replace those with the same primary key, save the columns to `keep`.

    Complete rows, in the order of the table's columns; dates as text (ISO 8601).
    """
    if rows:
        _many(connection, _upsert(table, connection.dialect, keep), rows)


def _many(connection: Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    with driver_cursor(connection) as cursor:
        cursor.executemany(statement, rows)


@contextmanager
def driver_cursor(connection: Connection) -> Iterator[Any]:
    """The driver's own; errors are SQLAlchemy's."""
    cursor = connection.connection.cursor()
    errors = connection.dialect.loaded_dbapi.Error
    try:
        yield cursor
    except errors as error:
        if connection.dialect.is_disconnect(error, connection.connection, cursor):
            connection.invalidate(error)
        raise DBAPIError.instance(None, None, error, errors, dialect=connection.dialect) from error
    finally:
        cursor.close()


PLAIN = (String, Integer, Boolean, LargeBinary, Date)
"""Types whose values the drivers take as they are, a date as text: the text of a statement is written once and no row is
looked at, which would cost more than the database itself."""


@lru_cache(maxsize=256)
def _insert(table: Table, dialect: Dialect) -> str:
    return _text(insert(table), table, dialect)


@lru_cache(maxsize=256)
def _upsert(table: Table, dialect: Dialect, keep: tuple[str, ...]) -> str:
    statement = _insert_of(dialect.name)(table)
    keys = [column.name for column in table.primary_key]
    changed = {c.name: statement.excluded[c.name] for c in table.c if c.name not in (*keys, *keep)}
    return _text(statement.on_conflict_do_update(index_elements=keys, set_=changed), table, dialect)


def _text(statement: Insert, table: Table, dialect: Dialect) -> str:
    """Raises TypeError where a column's values would have to be changed for the driver."""
    others = [column.name for column in table.c if not isinstance(column.type, PLAIN)]
    if others:
        raise TypeError(f"{table.name}: {', '.join(others)}: only texts, numbers, booleans, bytes and dates")
    return str(statement.compile(dialect=dialect, column_keys=table.columns.keys()))


def _insert_of(dialect: str) -> Any:
    """The `insert` that can replace on conflict, of "sqlite" or "postgresql": only the one in use is loaded."""
    return import_module(f"sqlalchemy.dialects.{dialect}").insert
