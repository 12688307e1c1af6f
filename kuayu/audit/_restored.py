"""Law 11 in one ledger: what was declared, what was given back and what became of it, what was issued again.

A row that lost its number to another history stands again under another one; an event that its receiver gave back
took effect once, or nothing of it was new, or it is held.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec

from bus import envelope as env
from bus.envelope import Malformed
from bus.holding import ADOPTED
from bus.ledger import Entry
from bus.ledger import Kind as RowKind
from kuayu.audit._findings import Kind

Say = Callable[..., None]
"""(kind, what, **place)"""


class _Issue(NamedTuple):
    """An event under one of the numbers that it had."""

    place: dict[str, Any]
    type: str
    value: bytes
    """Its digest."""
    standing: bool
    """Whether it has that number still."""


class Restored:
    """Collects, row by row, what a ledger says of restores; says what is wrong with that."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._issues: dict[tuple[str, str], list[_Issue]] = {}
        """Of events that were given back, issued again or displaced, by stream and id."""
        self._adopted: dict[int, Entry] = {}
        """Given back, by row, without their values."""
        self._acts: dict[tuple[str, str], list[int]] = {}
        """Rows of acts in cases of which something was given back, by stream and case."""
        self._events: dict[tuple[str, str], int] = {}
        """The rows in which events were decided, by stream and what names them as a cause."""

    def declared(self, rows: Sequence[Any], head: Any) -> None:
        """The declarations in ascending order, and the head of the log."""
        if rows and rows[-1].number != head.incarnation:
            what = f"the head is of incarnation {head.incarnation}, the last declared is {rows[-1].number}"
            self._say(Kind.DAMAGED, what)
        if not rows and head.incarnation != 1:
            self._say(Kind.DAMAGED, f"incarnation {head.incarnation} was never declared")
        first = 1
        for row in rows:
            if not first <= row.first_row <= head.next_row:
                what = f"incarnation {row.number} begins at row {row.first_row}, not from {first} on"
                self._say(Kind.DAMAGED, what, row=row.first_row)
            first = row.first_row
        if rows and not rows[-1].settled:
            what = f"incarnation {rows[-1].number} is not agreed with all counterparts: nothing is decided"
            self._say(Kind.WITHOUT_RECEIPT, what)

    def row(self, entry: Entry, *, displaced: bool) -> None:
        """Each row in order; `displaced`: it has lost its number."""
        if entry.kind is RowKind.LOCAL:
            if entry.outcome == "applied" and not entry.cause and (entry.stream, entry.subject) in self._acts:
                self._acts[entry.stream, entry.subject].append(entry.row)
            return
        if entry.kind is not RowKind.OUT or not (displaced or entry.cause or entry.outcome == ADOPTED):
            return
        value = sha256(entry.value).digest()
        issue = _Issue(place_of(entry), entry.type, value, not displaced)
        self._issues.setdefault((entry.stream, entry.id), []).append(issue)
        if entry.outcome == ADOPTED and not entry.cause:  # with a cause it is one that was issued again
            self._adopted[entry.row] = msgspec.structs.replace(entry, value=b"")
            self._acts.setdefault((entry.stream, entry.subject), [])

    def decided(self, entry: Entry, status: str, effect: int) -> None:
        """What became of each event that was taken, and in which row."""
        if self._adopted and status in ("applied", "refused"):
            with suppress(Malformed):
                source = env.stream_of_topic(env.LaneName.parse(entry.lane).source)
                self._events[entry.stream, env.event_cause(source, entry.id)] = effect

    def effects(self, settled: dict[int, list[Entry]], held: Mapping[int, str]) -> set[int]:
        """Check everything; the rows that settle what was given back are taken out of `settled`.

        Returns the rows that were given back.
        """
        for issues in self._issues.values():
            self._issued_once(issues)
        for row, entry in self._adopted.items():
            effects, place = settled.pop(row, []), place_of(entry)
            if len(effects) > 1:
                rows = ", ".join(str(local.row) for local in effects)
                self._say(Kind.DOUBLED, f"was given back, and took effect in several rows: {rows}", **place)
            elif effects and row in held:
                what = f"was given back, is held, and took effect in row {effects[0].row}"
                self._say(Kind.DOUBLED, what, **place)
            elif not effects and row not in held and not self._known(entry):
                what = "was given back by its receiver, is held no longer, and had no effect"
                self._say(Kind.LOST, what, **place)
        return set(self._adopted)

    def _issued_once(self, issues: list[_Issue]) -> None:
        """It stands once, and says the same each time."""
        standing = [issue for issue in issues if issue.standing]
        first = issues[0]
        if not standing:
            self._say(Kind.LOST, "lost its number, and does not stand under another one", **first.place)
        elif len(standing) > 1:
            what = f"stands in row {standing[0].place['row']} too"
            self._say(Kind.DOUBLED, what, **standing[1].place)
        for issue in issues:
            if (issue.type, issue.value) != (first.type, first.value):
                what = f"is issued again, and says something else than in row {first.place['row']}"
                self._say(Kind.CONTRADICTION, what, **issue.place)

    def _known(self, entry: Entry) -> bool:
        """Whether nothing of it was new: we had it under another number, or did again what had caused it."""
        if len(self._issues[entry.stream, entry.id]) > 1:
            return True
        try:
            cause = env.read(entry.head).causation
        except Malformed:
            return False
        if env.is_local(cause):
            return any(row > entry.row for row in self._acts[entry.stream, entry.subject])
        return self._events.get((entry.stream, cause), 0) > entry.row


def place_of(entry: Entry) -> dict[str, Any]:
    """Where a row is, for a problem."""
    return {"row": entry.row, "lane": entry.lane, "number": entry.number, "case": entry.subject}
