"""Rows go to the driver as they are, so a table may only have what drivers take."""

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import (
    Column,
    Connection,
    Date,
    DateTime,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    select,
)

from bus.ledger import upsert

KEPT = Table(
    "kept", MetaData(), Column("day", Date, primary_key=True), Column("count", Integer), Column("by", String)
)


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    KEPT.metadata.create_all(engine)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def test_rows_with_a_known_key_are_replaced_but_for_what_is_kept(connection: Connection) -> None:
    upsert(connection, KEPT, [("2026-03-02", 1, "a"), ("2026-03-03", 1, "a")])
    upsert(connection, KEPT, [("2026-03-02", 2, "b"), ("2026-03-04", 3, "c")], keep=("by",))
    found = connection.execute(select(KEPT).order_by(KEPT.c.day)).all()
    assert [tuple(row) for row in found] == [
        (date(2026, 3, 2), 2, "a"),
        (date(2026, 3, 3), 1, "a"),
        (date(2026, 3, 4), 3, "c"),
    ]


def test_a_column_that_drivers_take_in_other_forms_is_named(connection: Connection) -> None:
    table = Table("odd", MetaData(), Column("id", Integer, primary_key=True), Column("at", DateTime))
    with pytest.raises(TypeError, match="odd: at: only texts"):
        upsert(connection, table, [(1, "now")])
