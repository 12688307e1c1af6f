"""The ledger's tables: one log, and beside it what can be rebuilt from it or is agreed anew with counterparts."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

metadata = MetaData()
"""Projections of other packages put their tables here too, so that one migration history covers all."""

_RowNumber = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER is SQLite's own row key

head = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("next_row", BigInteger, nullable=False),
    Column("batch", BigInteger, nullable=False),
    Column("chain", LargeBinary, nullable=False),
    Column("incarnation", BigInteger, nullable=False),
)

incarnation = Table(
    "incarnation",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_row", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("settled", Boolean, nullable=False),  # all that was said is known again
)

batch = Table(
    "batch",
    metadata,
    Column("batch", _RowNumber, primary_key=True, autoincrement=False),
    Column("first_row", BigInteger, nullable=False),
    Column("last_row", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("chain", LargeBinary, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("committed_at", BigInteger, nullable=False),
    Column("key_id", String),  # who signed; signing comes with the seals
    Column("signature", LargeBinary),
)

log = Table(
    "log",
    metadata,
    Column("row", _RowNumber, primary_key=True, autoincrement=False),
    Column("subject", String, nullable=False),
    Column("lane", Integer),
    Column("number", BigInteger),
    Column("entry", LargeBinary, nullable=False),
)
Index("log_lane", log.c.lane, log.c.number)
Index("log_subject", log.c.subject, log.c.row)

lane = Table(
    "lane",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("outward", Boolean, nullable=False),
    Column("name", String, nullable=False),
    Column("incarnation", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),  # last given out, or last taken
    Column("hash", LargeBinary, nullable=False),
    Column("cursor", BigInteger, nullable=False),  # acknowledged by the broker
    Column("mark", BigInteger, nullable=False),  # receipted by the receiver
    Column("peer_incarnation", BigInteger, nullable=False),
    Column("peer_row", BigInteger, nullable=False),
    Column("stopped", String, nullable=False),  # why, or empty
    Column(
        "opening", String, nullable=False, server_default=""
    ),  # outward, in a new incarnation: why, or empty
    UniqueConstraint("outward", "name", "incarnation"),
)

archived = Table(
    "archived",
    metadata,
    Column("lane", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),  # the last whose content is in an archive
)

exception = Table(
    "exception",
    metadata,
    Column("lane", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("status", String, nullable=False),
    Column("code", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("row", BigInteger, nullable=False),
)
# of many that were refused long ago, the few that are open
Index("exception_status", exception.c.lane, exception.c.status, exception.c.number)

case = Table(
    "case_state",
    metadata,
    Column("stream", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("open", Boolean, nullable=False),
)
Index("case_status", case.c.stream, case.c.status)

timer = Table(
    "timer",
    metadata,
    Column("stream", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("kind", String, primary_key=True),
    Column("due", BigInteger, nullable=False),
)
Index("timer_due", timer.c.due)

held = Table(
    "held",
    metadata,
    Column("row", _RowNumber, primary_key=True, autoincrement=False),
    Column("stream", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("status", String, nullable=False),
    Column("code", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("awaits", String, nullable=False),
    Column("lane", String, nullable=False),
    Column("type", String, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("version", String, nullable=False),  # of the program that tried it last
)
Index("held_subject", held.c.stream, held.c.subject)

position = Table(
    "position",
    metadata,
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False),
    Column("taken", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("ahead", BigInteger, nullable=False),
    Column("quarantined", BigInteger, nullable=False),
)

answer = Table(
    "answer",
    metadata,
    Column("caller", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("stream", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("version", BigInteger, nullable=False),
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sample", LargeBinary, nullable=False),
)
