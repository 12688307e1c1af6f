"""One append-only log, three roles: inbox, outbox and audit trail."""

from bus.ledger import merkle, tables
from bus.ledger.entry import Entry, Kind
from bus.ledger.store import CaseRow, Head, Ledger, find_case, insert_of, instant, milliseconds, upsert

__all__ = [
    "CaseRow",
    "Entry",
    "Head",
    "Kind",
    "Ledger",
    "find_case",
    "insert_of",
    "instant",
    "merkle",
    "milliseconds",
    "tables",
    "upsert",
]
