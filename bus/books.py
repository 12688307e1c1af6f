"""The books: what the ledger says, kept in memory by its one writer. They change only after a commit."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, func, select

from bus.ledger import Entry, Head, Ledger, answers, histories, instant, tables
from bus.ledger.stubs import is_stub
from bus.records import Case, Records
from bus.transport import TopicPartition


class Lane(msgspec.Struct, frozen=True, gc=False):
    """Where a lane stands, outward (we number it) or inward (we take it)."""

    id: int
    outward: bool
    name: str
    incarnation: int
    number: int = 0
    """The last number given out, or taken."""
    hash: bytes = bytes(32)
    cursor: int = 0
    """Outward: every number up to here is acknowledged by the broker."""
    mark: int = 0
    """Outward: every number up to here is receipted (perhaps as parked or waiting: see exceptions)."""
    peer_incarnation: int = 0
    peer_row: int = 0
    """Of the newest receipt that counted, so that an older one that comes late does not."""
    stopped: str = ""
    opening: str = ""
    """Outward: why it is being opened anew (law 11); empty once it is agreed with the receiver."""

    def at(self, number: int, running_hash: bytes) -> "Lane":
        """The same lane after one more event."""
        return Lane(
            self.id,
            self.outward,
            self.name,
            self.incarnation,
            number,
            running_hash,
            self.cursor,
            self.mark,
            self.peer_incarnation,
            self.peer_row,
            self.stopped,
            self.opening,
        )


class Incarnation(NamedTuple):
    """A declaration that what was said before may be lost."""

    number: int
    first_row: int
    """The first row that was committed after it."""
    reason: str
    at: datetime
    settled: bool
    """Whether all that was said is known again; until then nothing is decided."""


class Position(msgspec.Struct, frozen=True, gc=False):
    """How far a partition is read, and what became of its records (law 5)."""

    next: int
    taken: int = 0
    duplicate: int = 0
    ahead: int = 0
    quarantined: int = 0


class HeldRow(NamedTuple):
    """An event that took its number and can't be applied now."""

    row: int
    status: str
    """parked or waiting."""
    code: str
    reason: str
    """Where it failed, or what the case said."""
    awaits: str
    """What it waits for, as `kind:name`; empty for what is parked."""
    lane: str
    type: str
    since: int
    """When it was taken, milliseconds since 1970, UTC."""
    tries: int
    """How often its case was asked; 0 for what only waits behind another event."""
    version: str
    """Of the program that tried it last, so that each new one tries it once."""


class Answered(NamedTuple):
    digest: bytes
    stream: str
    subject: str
    version: int


class ExceptionRow(NamedTuple):
    status: str
    code: str
    reason: str
    row: int


LATELY = 2_000
"""Rows: what a node under full load commits in the time that receipts may wait."""

CaseKey = tuple[str, str]
LaneKey = tuple[bool, str]


class Books:
    """What the ledger says, kept in memory by its one writer."""

    def __init__(self, ledger: Ledger, head: Head, records: Records, version: str = "") -> None:
        self.ledger = ledger
        self.head = head
        self.records = records
        self.version = version
        """Of the program, its contracts and its directory: what decides how an event is judged."""
        self.lanes: dict[LaneKey, Lane] = {}
        self.positions: dict[TopicPartition, Position] = {}
        self.held: dict[CaseKey, tuple[HeldRow, ...]] = {}
        self.cases: OrderedDict[CaseKey, Case | None] = OrderedDict()
        self.archived: set[CaseKey] = set()
        """Those looked for that have gone to an archive."""
        self.recent_hashes: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        """Of outward rows, so that a receipt costs no query."""
        self.quarantined = 0
        self.opening: set[str] = set()
        """Names of outward lanes that are being opened."""
        self.declared: Incarnation | None = None
        """The newest declaration, if there ever was one."""
        self.next_due: datetime | None = None
        self.excepted: dict[int, int] = {}
        """The last number of each lane that is, or was, an exception: most receipts begin behind it and need no query."""
        self._lane_ids = 0
        self._load()

    def _load(self) -> None:
        with self.ledger.read() as connection:
            self.lanes = _lanes(connection)
            self.positions = _positions(connection)
            self.declared = _declared(connection)
            self.quarantined = connection.execute(
                select(func.count()).select_from(tables.quarantine),
            ).scalar_one()
            exception = tables.exception.c
            last = select(func.max(exception.number)).where(exception.lane == tables.lane.c.id)
            excepted = connection.execute(select(tables.lane.c.id, last.scalar_subquery()))
            self.excepted = {lane: number for lane, number in excepted if number is not None}
            held = list(connection.execute(select(tables.held).order_by(tables.held.c.row)))
        self.opening = {lane.name for lane in self.lanes.values() if lane.opening}
        self._lane_ids = max((lane.id for lane in self.lanes.values()), default=0)
        for row, stream, subject, *why in held:
            self.held[stream, subject] = (*self.held.get((stream, subject), ()), HeldRow(row, *why))
        self.look_at_timers()

    @property
    def restoring(self) -> bool:
        """Whether it is not known yet what was said before: nothing may be decided (law 11)."""
        return self.declared is not None and not self.declared.settled

    def still_true(self) -> bool:
        """Whether the ledger is as these books say: a commit that seemed to fail was not written after all.

        Every commit moves the head, a position or a lane, or may be repeated without harm.
        """
        with self.ledger.read() as connection:
            lanes, positions = _lanes(connection), _positions(connection)
        return (self.ledger.head(), lanes, positions) == (self.head, self.lanes, self.positions)

    def taken_lately(self) -> dict[str, int]:
        """The inward lanes of the last rows, by name, each with its first number there."""
        names = {lane.id: lane.name for lane in self.lanes.values() if not lane.outward}
        log = tables.log.c
        last = (
            select(log.lane, log.number)
            .where(log.row >= self.head.next_row - LATELY)
            .order_by(log.row.desc())
        )
        with self.ledger.read() as connection:
            # backwards, so that a lane's lowest number is what remains
            return {names[lane]: number for lane, number in connection.execute(last) if lane in names}

    def new_lane_id(self) -> int:
        self._lane_ids += 1
        return self._lane_ids

    def entry(self, row: int) -> Entry:
        [entry] = self.ledger.entries(select(tables.log.c.entry).where(tables.log.c.row == row))
        return entry

    def look_at_timers(self) -> None:
        """Find out when the next timer is due."""
        with self.ledger.read() as connection:
            due = connection.execute(select(func.min(tables.timer.c.due))).scalar()
        self.next_due = None if due is None else instant(due)

    def fetch(
        self, cases: Iterable[CaseKey], keys: Iterable[tuple[str, str]] = ()
    ) -> dict[tuple[str, str], Answered]:
        """Bring cases into memory with few queries, before a batch needs them one by one.

        Returns what these idempotency keys (caller, key) were answered before.
        """
        wanted: dict[str, list[str]] = {}
        for stream, subject in cases:
            if (stream, subject) not in self.cases:
                wanted.setdefault(stream, []).append(subject)
        by_caller: dict[str, list[str]] = {}
        for caller, key in keys:
            by_caller.setdefault(caller, []).append(key)
        if not (wanted or by_caller):
            return {}
        with self.ledger.own() as connection:
            for stream, subjects in wanted.items():
                self._fetch_cases(connection, stream, subjects)
            return {
                (row[0], row[1]): Answered(*row[2:])
                for caller, asked in by_caller.items()
                for row in answers(connection, caller, asked)
            }

    def _fetch_cases(self, connection: Connection, stream: str, subjects: Sequence[str]) -> None:
        rows = histories(connection, subjects)
        # All of them or none: one that can't be folded must not seem to be absent.
        found = self.records.cases(stream, rows)
        self.archived.update((row.stream, row.subject) for row in rows if is_stub(row))
        self.cases.update({(stream, subject): found.get(subject) for subject in subjects})

    def exceptions(self, lane: Lane, first: int, last: int) -> dict[int, ExceptionRow]:
        """What is not simply applied within these numbers of a lane."""
        if first > self.excepted.get(lane.id, 0):
            return {}
        table = tables.exception
        query = select(table).where(table.c.lane == lane.id, table.c.number.between(first, last))
        with self.ledger.read() as connection:
            return {row[1]: ExceptionRow(*row[2:]) for row in connection.execute(query)}


def _lanes(connection: Connection) -> dict[LaneKey, Lane]:
    lanes = (Lane(*row) for row in connection.execute(select(tables.lane)))
    return {(lane.outward, lane.name): lane for lane in lanes}


def _declared(connection: Connection) -> Incarnation | None:
    table = tables.incarnation
    row = connection.execute(select(table).order_by(table.c.number.desc()).limit(1)).one_or_none()
    return (
        None
        if row is None
        else Incarnation(row.number, row.first_row, row.reason, instant(row.at), row.settled)
    )


def _positions(connection: Connection) -> dict[TopicPartition, Position]:
    rows = connection.execute(select(tables.position))
    return {TopicPartition(row[0], row[1]): Position(*row[2:]) for row in rows}
