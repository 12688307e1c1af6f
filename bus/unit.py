"""What one commit will write.

A unit is an overlay over the books: items apply to it one at a time, an item that fails is taken back alone, and
the books change only after the commit. That is why the bus needs no save-points and no locks.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from bus.books import (
    Answered,
    Books,
    CaseKey,
    ExceptionRow,
    HeldRow,
    Incarnation,
    Lane,
    LaneKey,
    Position,
)
from bus.ledger import Entry, Kind, milliseconds
from bus.protocols import Change, Received
from bus.records import Case
from bus.transport import Record, TopicPartition

QUARANTINE_SAMPLE = 256
"""Bytes of a quarantined record that are kept."""
QUARANTINE_KEPT = 10_000
"""Quarantined records that are kept; beyond, they are only counted (law 5: capped)."""


_GONE: Any = object()


class Unit:
    """The next commit, as far as it is made up."""

    def __init__(self, books: Books, now: datetime) -> None:
        self.books = books
        self.now = now
        self.now_ms = milliseconds(now)
        self.entries: list[Entry] = []
        self.changes: list[Change] = []
        self.after: list[Callable[[], None]] = []
        """What is to be done once the commit is durable: observers, callers."""
        self.received: list[Received] = []
        """What became of the records; like their positions, that is not taken back."""
        self.lanes: dict[LaneKey, Lane] = {}
        self.positions: dict[TopicPartition, Position] = {}
        self.cases: dict[CaseKey, Case] = {}
        self.held: dict[CaseKey, tuple[HeldRow, ...]] = {}
        self.changed_exceptions: dict[tuple[int, int], ExceptionRow | None] = {}
        self.timers_done: dict[tuple[str, str, str], bool] = {}
        self.answers: dict[tuple[str, str], Answered] = {}
        self.known_answers: Mapping[tuple[str, str], Answered] = {}
        self.quarantine: list[tuple[str, int, int, int, str, int, bytes]] = []
        self.receipts: dict[str, int] = {}
        """Inward lanes to be receipted, each from a number."""
        self.asks: dict[str, Lane] = {}
        """Inward lanes that miss the number after their last."""
        self.rewinds: dict[str, int] = {}
        """Outward lanes that the receiver asks us to go back on."""
        self.opened: dict[str, bool] = {}
        """Outward lanes that are being opened, or were just agreed: the relay begins anew there."""
        self.given_back: dict[str, int] = {}
        """Inward lanes whose sender is to be told what we hold after a number."""
        self.renumbered: dict[int, tuple[int | None, int | None]] = {}
        """Rows that stand elsewhere in their lane, or nowhere, from now on: lane and number to be found by."""
        self.declared: dict[int, Incarnation] = {}
        """The newest declaration, made or settled here."""
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._grown: tuple[list[Any], ...] = (
            self._undo,
            self.entries,
            self.changes,
            self.after,
            self.quarantine,
        )

    # Taking one item back.

    def mark(self) -> tuple[int, ...]:
        """The point to which `take_back` returns."""
        return (
            len(self._undo),
            len(self.entries),
            len(self.changes),
            len(self.after),
            len(self.quarantine),
        )

    def take_back(self, point: tuple[int, ...]) -> None:
        """Undo everything since `mark`."""
        for mapping, key, old in reversed(self._undo[point[0] :]):
            if old is _GONE:
                del mapping[key]
            else:
                mapping[key] = old
        for grown, length in zip(self._grown, point, strict=True):
            del grown[length:]

    def _set(self, mapping: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((mapping, key, mapping.get(key, _GONE)))
        mapping[key] = value

    # Reading through the overlay.

    def lane(self, name: str, *, outward: bool) -> Lane:
        """The lane of that name; a new one begins at 0."""
        key = (outward, name)
        lane = self.lanes.get(key) or self.books.lanes.get(key)
        if lane is None:
            incarnation = self.incarnation if outward else 0
            lane = Lane(self.books.new_lane_id(), outward, name, incarnation)
            self._set(self.lanes, key, lane)
        return lane

    def known_lane(self, name: str) -> Lane | None:
        """The outward lane of that name, if there is one."""
        key = (True, name)
        return self.lanes.get(key) or self.books.lanes.get(key)

    @property
    def incarnation(self) -> int:
        """Of this ledger, from this commit on."""
        return max(self.declared) if self.declared else self.books.head.incarnation

    @property
    def restoring(self) -> bool:
        """Whether nothing may be decided yet (law 11)."""
        if not self.declared:
            return self.books.restoring
        return not self.declared[max(self.declared)].settled

    def case(self, stream: str, subject: str) -> Case | None:
        key = (stream, subject)
        found = self.cases.get(key)
        if found is None:
            if key not in self.books.cases:
                self.books.fetch([key])
            found = self.books.cases[key]
        return found

    def held_rows(self, stream: str, subject: str) -> tuple[HeldRow, ...]:
        key = (stream, subject)
        found = self.held.get(key)
        return self.books.held.get(key, ()) if found is None else found

    def answered(self, caller: str, key: str) -> Answered | None:
        return self.answers.get((caller, key)) or self.known_answers.get((caller, key))

    def exception(self, lane: Lane, number: int) -> ExceptionRow | None:
        if (lane.id, number) in self.changed_exceptions:
            return self.changed_exceptions[lane.id, number]
        return self.books.exceptions(lane, number, number).get(number)

    def exceptions(self, lane: Lane, first: int, last: int) -> dict[int, ExceptionRow]:
        """What is not simply applied within these numbers, with what this unit has learnt of them."""
        found = self.books.exceptions(lane, first, last)
        for (lane_id, number), row in self.changed_exceptions.items():
            if lane_id == lane.id and first <= number <= last:
                if row is None:
                    found.pop(number, None)
                else:
                    found[number] = row
        return found

    # Writing into the overlay.

    @property
    def next_row(self) -> int:
        return self.books.head.next_row + len(self.entries)

    def append(self, entry: Entry) -> None:
        self.entries.append(entry)

    def set_lane(self, lane: Lane) -> None:
        self._set(self.lanes, (lane.outward, lane.name), lane)

    def take(self, lane: Lane, number: int, running_hash: bytes, incarnation: int) -> Lane:
        """The next number of an inward lane is taken; that is not taken back, whatever becomes of the event."""
        if incarnation != lane.incarnation:
            lane = replace(lane, incarnation=incarnation)
        taken = self.lanes[False, lane.name] = lane.at(number, running_hash)
        return taken

    def open_lane(self, lane: Lane) -> None:
        """Set an outward lane whose opening has begun, gone on, or ended."""
        self.set_lane(lane)
        self._set(self.opened, lane.name, True)

    def declare(self, declared: Incarnation) -> None:
        self._set(self.declared, declared.number, declared)

    def renumber(self, row: int, lane: int | None, number: int | None) -> None:
        self._set(self.renumbered, row, (lane, number))

    def set_case(self, stream: str, subject: str, case: Case) -> None:
        self._set(self.cases, (stream, subject), case)

    def set_held(self, stream: str, subject: str, rows: tuple[HeldRow, ...]) -> None:
        self._set(self.held, (stream, subject), rows)

    def set_exception(self, lane: Lane, number: int, row: ExceptionRow | None) -> None:
        self._set(self.changed_exceptions, (lane.id, number), row)

    def set_answer(self, caller: str, key: str, answered: Answered) -> None:
        self._set(self.answers, (caller, key), answered)

    def timer_done(self, stream: str, subject: str, kind: str) -> None:
        """A timer whose case wanted nothing of it: it does not ring again."""
        self._set(self.timers_done, (stream, subject, kind), True)

    def receipt(self, lane: Lane, number: int) -> None:
        """Tell the sender how things stand from this number on."""
        if number < self.receipts.get(lane.name, number + 1):
            self._set(self.receipts, lane.name, number)

    def ask(self, lane: Lane) -> None:
        self._set(self.asks, lane.name, lane)

    def give_back(self, lane: Lane, after: int) -> None:
        """Tell the sender what we hold of its lane after this number."""
        self._set(self.given_back, lane.name, after)

    def rewind(self, lane: Lane, number: int) -> None:
        self._set(self.rewinds, lane.name, min(number, self.rewinds.get(lane.name, number)))

    def move(self, record: Record, outcome: str) -> None:
        """The record is dealt with; that is not taken back."""
        place = record.place
        old = self.positions.get(place) or self.books.positions.get(place) or Position(0)
        at = Position(
            record.offset + 1,
            old.taken + (outcome == "taken"),
            old.duplicate + (outcome == "duplicate"),
            old.ahead + (outcome == "ahead"),
            old.quarantined + (outcome == "quarantined"),
        )
        self.positions[place] = at

    @property
    def empty(self) -> bool:
        return not (
            self.entries
            or self.lanes
            or self.positions
            or self.cases
            or self.held
            or self.changed_exceptions
            or self.timers_done
            or self.declared
            or self.quarantine
        )


def local_entry(unit: Unit, stream: str, subject: str, type_: str, **values: Any) -> Entry:
    """A row for something that happened here, numbered and timed."""
    return Entry(
        row=unit.next_row,
        kind=Kind.LOCAL,
        stream=stream,
        subject=subject,
        type=type_,
        recorded_ms=unit.now_ms,
        **values,
    )
