"""Law 11, declaring: a ledger that was restored, or may have lost commits, begins a new incarnation.

Before any other commit, and with all its outward lanes to be opened anew (`adoption`). Until every one is agreed
with its receiver nothing is decided: events are taken and wait, acts are put off, timers do not ring.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import astuple, replace
from sqlalchemy import Connection, func, select, update

from bus.books import Incarnation, Lane
from bus.envelope import LaneName
from bus.errors import Fenced
from bus.holding import RESTORED
from bus.ledger import Head, Ledger, milliseconds, tables, upsert
from bus.sending import UNRECEIPTED
from bus.unit import Unit

ABANDONED = "abandoned"
"""Why a lane is still being opened: its receiver never answered, and a person ended the wait."""

BEHIND = "receiver_behind"
"""Why a lane is being opened: its receiver ended an incarnation at a lower number than it told before."""

FIRST = 1
"""The incarnation of a ledger that never declared one."""

SETTLE = timedelta(seconds=5)
"""At least so long nothing is decided: receivers on lanes that the backup does not know may give events back."""


def next_incarnation(head: Head, lanes: Iterable[Lane], now: datetime) -> int:
    """Higher than all we know, and than any that a lost history may have declared: milliseconds since 1970."""
    known = max((lane.incarnation for lane in lanes if lane.outward), default=0)
    return max(head.incarnation + 1, known + 1, milliseconds(now))


def declare_offline(ledger: Ledger, now: datetime, reason: str) -> Incarnation:
    """The same for a ledger that no node has open, in one transaction.

    Raises:
        Fenced: a node wrote meanwhile.
        LookupError: the ledger was never used, so there is nothing that could be lost.
    """
    head = ledger.head()
    if head is None:
        raise LookupError("the ledger was never used")
    lanes = [Lane(*row) for row in ledger.lanes(outward=True)]
    number = next_incarnation(head, lanes, now)
    declared = Incarnation(number, head.next_row, reason, now, settled=False)
    with ledger.engine.begin() as connection:
        found = connection.execute(
            update(tables.head)
            .where(tables.head.c.epoch == head.epoch, tables.head.c.chain == head.chain)
            .values(epoch=head.epoch + 1, incarnation=number),
        )
        if found.rowcount != 1:
            raise Fenced("a node writes to this ledger")
        upsert(connection, tables.lane, [astuple(reopened(lane, number, RESTORED)) for lane in lanes])
        row = (number, head.next_row, reason, milliseconds(now), False)
        upsert(connection, tables.incarnation, [row])
    return declared


def abandon(ledger: Ledger, to: str, reason: str) -> list[str]:
    """End the wait of a restored ledger, which no node has open, for the answers of a jurisdiction that never come.

    What it holds of us beyond our backup is then decided anew. Its lanes go on being opened, and nothing new is sent there
    until it answers after all. Returns their names; the declaration keeps the reason.

    Raises:
        LookupError: nothing is waited for from there.
    """
    lanes = [Lane(*row) for row in ledger.lanes(outward=True)]
    waiting = [
        lane
        for lane in lanes
        if lane.opening == RESTORED and LaneName.parse(lane.name).topic.rpartition(".")[2] == to
    ]
    if not waiting:
        raise LookupError(f"{to}: no answer is waited for from there")
    declared = tables.incarnation
    with ledger.engine.begin() as connection:
        upsert(connection, tables.lane, [astuple(replace(lane, opening=ABANDONED)) for lane in waiting])
        newest = select(func.max(declared.c.number)).scalar_subquery()
        connection.execute(
            update(declared)
            .where(declared.c.number == newest)
            .values(reason=declared.c.reason + f"; not waited for {to}: {reason}")
        )
    return [lane.name for lane in waiting]


def last_common_row(connection: Connection, incarnation: int) -> int | None:
    """The last row that this ledger shares with the history in which rows were read in an incarnation.

    None if that history is this one, however far it goes; 0 if it is not known: a ledger that was restored twice need
    not know of its first restore.
    """
    declared = tables.incarnation
    newer = select(func.min(declared.c.first_row)).where(declared.c.number > incarnation)
    known = select(declared.c.number).where(declared.c.number == incarnation)
    if incarnation != FIRST and connection.execute(known).scalar() is None:
        return 0
    first_row = connection.execute(newer).scalar()
    return None if first_row is None else first_row - 1


def reopened(lane: Lane, incarnation: int, why: str) -> Lane:
    """The lane in a newer incarnation, to be opened if its receiver gives receipts."""
    receipted = LaneName.parse(lane.name).topic.split(".")[1] not in UNRECEIPTED
    return replace(lane, incarnation=incarnation, opening=why if receipted else "", stopped="")


def reopen(unit: Unit, lane: Lane) -> None:
    """Open one lane anew: its receiver went back behind the beginning of this incarnation."""
    unit.open_lane(reopened(lane, lane.incarnation + 1, BEHIND))


def settle(unit: Unit) -> None:
    """All that was said is known again."""
    if unit.books.declared is not None:
        unit.declare(unit.books.declared._replace(settled=True))
