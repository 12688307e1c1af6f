"""The mechanism: a ledger that is inbox, outbox and audit trail at once, and lanes that carry events between ledgers.

It knows no permits and no cities. Who uses it brings handlers (what a stage does with its cases), projections
(tables beside the log), a topology (who has which inbox) and an observer (who watches).
"""

from bus.clock import SystemClock
from bus.engine import Engine
from bus.errors import (
    BusError,
    Busy,
    CaseHeld,
    CommandRefused,
    Fenced,
    KeyReused,
    Unavailable,
    VersionConflict,
)
from bus.ledger import CaseRow, Entry, Kind, Ledger
from bus.protocols import (
    Answer,
    Change,
    Clock,
    Command,
    Decision,
    Handler,
    HandOverRefused,
    Intake,
    Message,
    Observer,
    Outgoing,
    Projection,
    Received,
    SchemaSource,
    Topology,
    View,
)

__all__ = [
    "Answer",
    "BusError",
    "Busy",
    "CaseHeld",
    "CaseRow",
    "Change",
    "Clock",
    "Command",
    "CommandRefused",
    "Decision",
    "Engine",
    "Entry",
    "Fenced",
    "HandOverRefused",
    "Handler",
    "Intake",
    "KeyReused",
    "Kind",
    "Ledger",
    "Message",
    "Observer",
    "Outgoing",
    "Projection",
    "Received",
    "SchemaSource",
    "SystemClock",
    "Topology",
    "Unavailable",
    "VersionConflict",
    "View",
]
