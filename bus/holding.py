"""Held rows: what is parked or waits, and what waits behind it in the same case."""

from typing import NamedTuple

import msgspec

from bus.books import ExceptionRow, HeldRow, Lane
from bus.ledger import Entry, Kind
from bus.unit import Unit

BEHIND = "behind"
"""Code of what was not tried, because another event of its case is held before it."""
ADOPTED = "adopted"
"""Outcome and code of an event that we had said and lost, given back by its receiver."""
RESTORED = "restored"
"""Why a lane is opened anew: we may have lost what we said. Also what events await that were taken meanwhile."""
ORDER_AWAITS = ("event:", "term:")
"""How `awaits` begins where another event of the same case can bring it; all else comes from outside the case."""


class Tried(NamedTuple):
    """What became of a held event that was tried again."""

    row: int
    type: str
    outcome: str
    """applied, refused; or waiting, parked: then it stays held."""
    code: str
    reason: str
    awaits: str


def may_overtake(held: tuple[HeldRow, ...], lane: str) -> bool:
    """Whether an event may be tried although others wait: they wait for an event, and it comes by another lane."""
    return held[0].awaits.startswith(ORDER_AWAITS) and all(row.lane != lane for row in held)


def hold(unit: Unit, lane: Lane, entry: Entry, status: str, code: str, reason: str, awaits: str) -> str:
    """Record an event that took its number and can't be applied now; its case is held. Returns the status."""
    reason = reason.replace("\0", "")  # PostgreSQL stores none
    unit.append(msgspec.structs.replace(entry, outcome=status, code=code, reason=reason))
    row = HeldRow(
        entry.row,
        status,
        code,
        reason,
        awaits,
        entry.lane,
        entry.type,
        entry.recorded_ms,
        tries=int(code != BEHIND),
        version=unit.books.version,
    )
    held = unit.held_rows(entry.stream, entry.subject)
    unit.set_held(entry.stream, entry.subject, (*held, row))
    unit.set_exception(lane, entry.number, ExceptionRow(status, code, reason, entry.row))
    return status


def hold_on(unit: Unit, entry: Entry, row: HeldRow, status: str, code: str, reason: str, awaits: str) -> None:
    """It was tried and stays held, perhaps for another reason: what only waited behind others has its own now."""
    reason = reason.replace("\0", "")
    kept = row._replace(
        status=status,
        code=code,
        reason=reason,
        awaits=awaits,
        tries=row.tries + 1,
        version=unit.books.version,
    )
    held = unit.held_rows(entry.stream, entry.subject)
    unit.set_held(entry.stream, entry.subject, tuple(kept if other == row else other for other in held))
    if (status, code, reason) != (row.status, row.code, row.reason):
        _tell(unit, entry, ExceptionRow(status, code, reason, entry.row))


def unhold(unit: Unit, entry: Entry, row: HeldRow, exception: ExceptionRow | None) -> None:
    """It is settled: applied (no exception is left) or refused. The sender is told."""
    left = tuple(other for other in unit.held_rows(entry.stream, entry.subject) if other.row != row.row)
    unit.set_held(entry.stream, entry.subject, left)
    _tell(unit, entry, exception)


def stored(unit: Unit, row: int) -> Entry:
    """The entry of a row, committed or made in this unit."""
    first = unit.books.head.next_row
    return unit.entries[row - first] if row >= first else unit.books.entry(row)


def _tell(unit: Unit, entry: Entry, exception: ExceptionRow | None) -> None:
    if entry.kind is Kind.OUT:  # adopted: its receiver told us
        return
    lane = unit.lane(entry.lane, outward=False)
    unit.set_exception(lane, entry.number, exception)
    unit.receipt(lane, entry.number)
