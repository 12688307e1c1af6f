"""The tables of this package, beside the log. Instants are milliseconds since 1970, UTC."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table

from bus.ledger import tables

NEVER: Final = 253_402_300_799_999
"""Stands for "not due": the last millisecond of the year 9999, so that such tasks come last in order."""

task = Table(
    "task",
    tables.metadata,
    Column("stream", String, primary_key=True),
    Column("subject", String, primary_key=True),  # the case id
    Column("version", BigInteger, nullable=False),  # its row, as in case_state
    Column("kind", String, nullable=False),
    Column("status", String, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("urgent_from", BigInteger, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("case_number", String, nullable=False),
    Column("item_zh", String, nullable=False),
    Column("item_en", String, nullable=False),
    Column("accepted_by", String, nullable=False),  # name of the office that took the application
    Column("applicant", String, nullable=False),  # masked
    Column("claimed_by", String),
    Column("attention", String, nullable=False),  # code of a refused hand-over, or empty
)
Index("task_due", task.c.stream, task.c.open, task.c.due, task.c.subject)
Index("task_opened", task.c.stream, task.c.open, task.c.opened, task.c.subject)
Index("task_number", task.c.case_number)

webhook = Table(
    "webhook",
    tables.metadata,
    Column("id", String, primary_key=True),
    Column("url", String, nullable=False),
    Column("stages", String, nullable=False),  # JSON list
    Column("events", String, nullable=False),  # JSON list
    Column("secret", String, nullable=False),
    Column("base", String, nullable=False),  # address of this node, as the subscriber calls it
    Column("created_by", String, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("queued", BigInteger, nullable=False),  # last row that a delivery was queued for
    Column("delivered", BigInteger, nullable=False),
    Column("last_success_at", BigInteger),
    Column("disabled_at", BigInteger),
    Column("disabled_reason", String, nullable=False),
)

delivery = Table(
    "webhook_delivery",
    tables.metadata,
    Column("webhook", String, primary_key=True),
    Column("row", BigInteger, primary_key=True, autoincrement=False),
    Column("subject", String, nullable=False),  # the case id: its deliveries go in the order of their rows
    Column("body", String, nullable=False),  # as it is signed, and sent again unchanged
    Column("queued_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("parked", Boolean, nullable=False),
    Column("error", String, nullable=False),
)
Index("webhook_delivery_due", delivery.c.webhook, delivery.c.parked, delivery.c.next_at, delivery.c.row)
Index("webhook_delivery_case", delivery.c.webhook, delivery.c.subject, delivery.c.row)
