"""One append-only log, three roles: inbox, outbox and audit trail."""

from bus.ledger import merkle, tables
from bus.ledger.entry import Entry, Kind
from bus.ledger.statements import rows_of, upsert
from bus.ledger.store import (
    CaseRow,
    Head,
    Ledger,
    answers,
    histories,
    instant,
    milliseconds,
)

__all__ = [
    "CaseRow",
    "Entry",
    "Head",
    "Kind",
    "Ledger",
    "answers",
    "histories",
    "instant",
    "merkle",
    "milliseconds",
    "rows_of",
    "tables",
    "upsert",
]
