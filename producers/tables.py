"""Tables of those who hand cases in. They stand in the bus's metadata, so that one migration history covers all."""

from sqlalchemy import BigInteger, Column, Date, Integer, String, Table

from bus.ledger.tables import metadata

submission = Table(
    "submission",
    metadata,
    Column("case", String, primary_key=True),
    Column("caller", String, nullable=False),  # who handed it in, and is told of it
)

case_serial = Table(
    "case_serial",
    metadata,
    Column("item", String, primary_key=True),
    Column("day", Date, primary_key=True),  # legal day
    Column("next", Integer, nullable=False),  # the first serial that no case of the item and day has
)

feed_cursor = Table(
    "feed_cursor",
    metadata,
    Column("caller", String, primary_key=True),
    Column("row", BigInteger, nullable=False),  # everything up to here is acknowledged
)

__all__ = ["case_serial", "feed_cursor", "submission"]
