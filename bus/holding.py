"""Held rows: what is parked or waits, and what waits behind it in the same case."""

from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import and_, or_, select

from bus.books import ExceptionRow, HeldRow, Lane
from bus.ledger import Entry, Kind, Ledger, instant, milliseconds, tables
from bus.unit import Unit

BEHIND = "behind"
"""Code of what was not tried, because another event of its case is held before it."""
ADOPTED = "adopted"
"""Outcome and code of an event that we had said and lost, given back by its receiver."""
RESTORED = "restored"
"""Why a lane is opened anew: we may have lost what we said. Also what events await that were taken meanwhile."""
LOCAL_AWAITS = "event:"
"""What was given back awaits this where nothing that comes by itself will bring it about."""
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


def may_act(held: tuple[HeldRow, ...]) -> bool:
    """Whether acts and timers go on: nothing is held, or what a restore gave back awaits an act that is lost for good.

    Whoever was told of that act has lost it too; only who did it can do it again.
    """
    return not held or (
        any(row.code == ADOPTED and row.awaits == LOCAL_AWAITS for row in held)
        and all(row.code == BEHIND or row.awaits.startswith(ORDER_AWAITS) for row in held)
    )


def due_timers(ledger: Ledger, now: datetime, limit: int) -> list[tuple[str, str, str, datetime]]:
    """Timers of cases that may act, in the order of their due instants (law 8)."""
    timer, row = tables.timer, tables.held.c
    held = select(row.row).where(row.stream == timer.c.stream, row.subject == timer.c.subject)
    in_order = or_(row.code == BEHIND, *(row.awaits.startswith(begin) for begin in ORDER_AWAITS))
    given_back = held.where(row.code == ADOPTED, row.awaits == LOCAL_AWAITS)
    may = or_(~held.exists(), and_(given_back.exists(), ~held.where(~in_order).exists()))
    query = select(timer).where(timer.c.due <= milliseconds(now), may).order_by(timer.c.due).limit(limit)
    with ledger.read() as connection:
        return [(*found[:3], instant(found[3])) for found in connection.execute(query)]


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
