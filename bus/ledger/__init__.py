"""One append-only log, three roles: inbox, outbox and audit trail."""

from bus.ledger import merkle, tables
from bus.ledger.entry import Entry, Kind
from bus.ledger.store import CaseRow, Head, Ledger, among, find_case, instant, milliseconds, upsert

__all__ = [
    "CaseRow",
    "Entry",
    "Head",
    "Kind",
    "Ledger",
    "among",
    "find_case",
    "instant",
    "merkle",
    "milliseconds",
    "tables",
    "upsert",
]
