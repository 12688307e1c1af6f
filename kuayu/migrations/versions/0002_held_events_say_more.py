"""Held events: their lane, type and time, and how often and by which program they were tried."""

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TYPE, RECORDED_MS, LANE = 4, 5, 12
"""Where these stand in a row of the log, an array."""


def upgrade() -> None:
    for name in ("lane", "type", "version"):
        op.add_column("held", sa.Column(name, sa.String(), nullable=False, server_default=""))
    op.add_column("held", sa.Column("since", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("held", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    held = sa.table("held", *(sa.column(name) for name in ("row", "lane", "type", "since")))
    log = sa.table("log", sa.column("row"), sa.column("entry"))
    connection = op.get_bind()
    rows = connection.execute(sa.select(log.c.row, log.c.entry).join(held, held.c.row == log.c.row)).all()
    for row, blob in rows:
        entry = msgspec.msgpack.decode(blob)
        values = {"lane": entry[LANE], "type": entry[TYPE], "since": entry[RECORDED_MS]}
        connection.execute(sa.update(held).where(held.c.row == row).values(values))
