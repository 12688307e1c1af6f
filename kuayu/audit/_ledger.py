"""One ledger, read row by row: whether it is what was committed, and what it says of events and lanes.

Only the tables' columns, the entry's encoding and the hash functions are shared with those who write ledgers.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, select

from bus import envelope as env
from bus.envelope import Malformed
from bus.ledger import Entry, Ledger, merkle, tables
from bus.ledger import Kind as RowKind
from bus.ledger.entry import decode
from bus.ledger.stubs import is_stub, leaf
from kuayu.audit._findings import Kind, Problem
from kuayu.audit._restored import Restored, place_of
from schemas import Codec, CodecError
from schemas.models import Tombstone

AT_ONCE = 2_000
"""Rows read in one go."""


class Sent(NamedTuple):
    """An out row that has its number."""

    row: int
    incarnation: int
    subject: str
    id: str
    hash: bytes


class Taken(NamedTuple):
    """An in row, with what became of it since: applied, refused, parked or waiting."""

    row: int
    incarnation: int
    subject: str
    id: str
    hash: bytes
    status: str
    effect: int
    """The row in which it was applied or refused; 0 while it is held."""


class LaneRow(NamedTuple):
    """What the lane table says."""

    id: int
    incarnation: int
    """The newest: numbers go on over incarnations."""
    number: int
    hash: bytes
    cursor: int
    mark: int
    stopped: str
    opening: str


class Contents:
    """What one ledger says."""

    def __init__(self, name: str, source: Ledger) -> None:
        self.name = name
        self.source = source
        self.rows = 0
        self.batches = 0
        self.incarnation = 0
        self.streams: set[str] = set()
        self.sent: dict[str, dict[int, Sent]] = {}
        """By lane and number: the history that was agreed on."""
        self.displaced: dict[tuple[str, int, int], Sent] = {}
        """By lane, incarnation and number: out rows that lost their number to another history (law 11)."""
        self.taken: dict[str, dict[int, Taken]] = {}
        self.outward: dict[str, LaneRow] = {}
        self.inward: dict[str, LaneRow] = {}
        self.exceptions: dict[int, dict[int, tuple[str, str]]] = {}
        """By lane id and number: status and code."""
        self.held: dict[int, str] = {}
        """Status by row."""
        self.declined: dict[tuple[str, str, str], int] = {}
        """Timers that rang and were of no use (stream, case, kind), and the row that says so."""
        self.came: dict[tuple[str, int], int] = {}
        """In rows by the topic and partition that they came from."""
        self.positions: dict[tuple[str, int], Any] = {}
        self.archived: set[str] = set()
        """Cases whose rows are stubs: nobody can tell here how they ended."""


class Reading:
    """One pass over a ledger. Use `read`."""

    def __init__(self, contents: Contents, codec: Codec) -> None:
        self._contents = contents
        self._codec = codec
        self.problems: list[Problem] = []
        self._lanes: dict[int, tuple[bool, str]] = {}
        self._running: dict[int, tuple[int, bytes, int]] = {}
        """By lane id: last number, hash and incarnation, as the log has them."""
        self._restored = Restored(self._say)
        self._in: dict[int, Entry] = {}
        """In rows by row, without what they carry."""
        self._settled: dict[int, list[Entry]] = {}
        """Local rows by the held row that they settle."""
        self._ids: dict[tuple[str, str, str], int] = {}

    def _say(self, kind: Kind, what: str, **place: Any) -> None:
        self.problems.append(Problem(kind=kind, what=what, ledger=self._contents.name, **place))

    def read(self, connection: Connection) -> None:
        self._tables(connection)
        self._chain(connection)
        self._ends()
        self._effects()

    def _tables(self, connection: Connection) -> None:
        contents = self._contents
        for row in connection.execute(select(tables.lane).order_by(tables.lane.c.id)):
            self._lanes[row.id] = (row.outward, row.name)
            lanes = contents.outward if row.outward else contents.inward
            lanes[row.name] = LaneRow(*(getattr(row, name) for name in LaneRow._fields))
        for row in connection.execute(select(tables.exception)):
            contents.exceptions.setdefault(row.lane, {})[row.number] = (row.status, row.code)
        for row in connection.execute(select(tables.held)):
            contents.held[row.row] = row.status
            if not (row.reason or row.code):
                self._say(Kind.LOST, "is held without a reason", row=row.row, case=row.subject)
        contents.positions = {
            (row.topic, row.partition): row for row in connection.execute(select(tables.position))
        }
        contents.streams.update(connection.execute(select(tables.case.c.stream).distinct()).scalars())

    def _chain(self, connection: Connection) -> None:
        head = connection.execute(select(tables.head)).one()
        self._contents.incarnation = head.incarnation
        declared = connection.execute(select(tables.incarnation).order_by(tables.incarnation.c.number)).all()
        self._restored.declared(declared, head)
        rows = self._rows(connection)
        chain, next_row, number = merkle.NOTHING, 1, 0
        for batch in connection.execute(select(tables.batch).order_by(tables.batch.c.batch)).all():
            number += 1
            if (batch.batch, batch.first_row) != (number, next_row):
                self._say(
                    Kind.DAMAGED, f"batch {number} from row {next_row} on is missing", row=batch.first_row
                )
                number = batch.batch
            leaves = []
            for due in range(batch.first_row, batch.last_row + 1):
                blob = rows(due)
                if blob is None:
                    self._say(Kind.LOST, f"the row is missing from batch {number}", row=due)
                else:
                    leaves.append(leaf(blob))
            root = merkle.root_of_leaves(leaves) if leaves else b""
            linked = merkle.chain(chain, number, batch.first_row, batch.last_row, batch.root)
            if root != batch.root:
                what = (
                    f"rows {batch.first_row} to {batch.last_row} are not those whose root batch {number} has"
                )
                self._say(Kind.DAMAGED, what, row=batch.first_row)
            if linked != batch.chain:
                self._say(Kind.DAMAGED, f"batch {number} does not continue the chain", row=batch.first_row)
            chain, next_row = batch.chain, batch.last_row + 1
        if rows(next_row) is not None:
            self._say(Kind.DAMAGED, "the row belongs to no batch", row=next_row)
        if (head.next_row, head.batch, head.chain) != (next_row, number, chain):
            what = f"the head says batch {head.batch}, next row {head.next_row}; the log ends at {number}, {next_row}"
            self._say(Kind.DAMAGED, what + ("" if head.chain == chain else ", with another chain"))
        self._contents.rows, self._contents.batches = next_row - 1, number

    def _rows(self, connection: Connection) -> Callable[[int], bytes | None]:
        """Hands out the entries of rows that are asked for in ascending order; None for one that is not there."""
        stream = self._each(connection)
        at: list[tuple[int, bytes]] = []

        def row(number: int) -> bytes | None:
            while not at or at[0][0] < number:
                following = next(stream, None)
                if following is None:
                    return None
                at[:] = [following]
            return at[0][1] if at[0][0] == number else None

        return row

    def _each(self, connection: Connection) -> Iterator[tuple[int, bytes]]:
        query = select(tables.log).order_by(tables.log.c.row).execution_options(yield_per=AT_ONCE)
        with connection.execute(query) as found:
            for row in found:
                try:
                    self._row(row, decode(row.entry))
                except msgspec.DecodeError:
                    self._say(Kind.DAMAGED, "the entry can't be read", row=row.row, case=row.subject)
                yield row.row, row.entry

    def _row(self, row: Any, entry: Entry) -> None:
        displaced = entry.kind is RowKind.OUT and row.number in (None, -entry.number)
        if (entry.row, entry.subject) != (row.row, row.subject) or not (
            displaced or row.number == (entry.number or None)
        ):
            self._say(Kind.DAMAGED, "its columns are not its entry's", row=row.row, case=row.subject)
        self._contents.streams.add(entry.stream)
        if displaced:
            self._displaced(row, entry)
        elif entry.number:
            self._in_lane(row, entry)
        self._restored.row(entry, displaced=displaced)
        if entry.kind is RowKind.IN:
            self._in[entry.row] = msgspec.structs.replace(entry, head=b"", value=b"", facts=b"")
            place = entry.place or ("", 0, 0)
            self._contents.came[place[:2]] = self._contents.came.get(place[:2], 0) + 1
        elif entry.kind is RowKind.LOCAL and entry.cause:
            self._settled.setdefault(entry.cause, []).append(
                msgspec.structs.replace(entry, head=b"", value=b"", facts=b"")
            )
        if entry.kind is RowKind.LOCAL and entry.actor == "timer" and entry.outcome != "applied":
            self._contents.declined[entry.stream, entry.subject, entry.type] = entry.row

    def _displaced(self, row: Any, entry: Entry) -> None:
        """Another history has its number now, which only an opening of its lane can bring about."""
        lane = self._contents.outward.get(entry.lane)
        if lane is None or entry.incarnation > lane.incarnation or lane.incarnation == 1:
            self._say(Kind.DAMAGED, "has no number, and its lane was never opened anew", **place_of(entry))
        elif row.number is not None and not lane.opening:
            self._say(Kind.LOST, "lost its number, and was not issued again", **place_of(entry))
        sent = Sent(entry.row, entry.incarnation, entry.subject, entry.id, entry.lane_hash)
        self._contents.displaced[entry.lane, entry.incarnation, entry.number] = sent

    def _in_lane(self, row: Any, entry: Entry) -> None:
        place = place_of(entry)
        outward = entry.kind is RowKind.OUT
        if self._lanes.get(row.lane) != (outward, entry.lane):
            self._say(Kind.DAMAGED, "its lane is not in the table of lanes", **place)
            return
        table = (self._contents.outward if outward else self._contents.inward)[entry.lane]
        last, running, incarnation = self._running.get(row.lane, (0, env.NO_HASH, 0))
        if not incarnation <= entry.incarnation <= table.incarnation:
            what = f"is of incarnation {entry.incarnation}, between {incarnation} and {table.incarnation}"
            self._say(Kind.OUT_OF_ORDER, what, **place)
        if entry.number <= last:
            self._say(Kind.DOUBLED, f"the number comes again after {last}", **place)
        elif entry.number > last + 1:
            self._say(Kind.LOST, f"numbers {last + 1} to {entry.number - 1} of the lane are missing", **place)
        elif is_stub(entry):
            self._contents.archived.add(entry.subject)
        elif (digest := self._digest(entry)) is None or env.link(running, digest) != entry.lane_hash:
            self._say(Kind.DAMAGED, "its content is not what the lane's hash was taken over", **place)
        self._running[row.lane] = (entry.number, entry.lane_hash, entry.incarnation)
        if outward:
            found = Sent(entry.row, entry.incarnation, entry.subject, entry.id, entry.lane_hash)
            self._contents.sent.setdefault(entry.lane, {})[entry.number] = found
            return
        source = entry.lane.partition("/")[0]
        before = self._ids.setdefault((entry.stream, source, entry.id), entry.row)
        if before != entry.row:
            self._say(Kind.DOUBLED, f"the event {entry.id} was taken in row {before} too", **place)

    def _digest(self, entry: Entry) -> bytes | None:
        """What the lane's hash goes on with; a tombstone stands for its original."""
        try:
            envelope = env.read(entry.head)
            if envelope.type == env.TOMBSTONE:
                original = self._codec.decode(entry.value, envelope.digest)
                return original.original_digest if isinstance(original, Tombstone) else None
        except (Malformed, CodecError):
            return None
        return env.content_digest(entry.head, entry.value)

    def _ends(self) -> None:
        """The table of lanes says where each ends; so does the log."""
        for lane_id, (outward, name) in self._lanes.items():
            table = (self._contents.outward if outward else self._contents.inward)[name]
            number, running, _ = self._running.get(lane_id, (0, env.NO_HASH, 0))
            if table.number > number:
                what = f"numbers {number + 1} to {table.number} are given out or taken, and not in the log"
                self._say(Kind.LOST, what, lane=name, number=table.number)
            elif (table.number, table.hash) != (number, running):
                what = f"the lane stands at {table.number}, the log at {number}, or with another hash"
                self._say(Kind.DAMAGED, what, lane=name, number=number)
            if outward and max(table.mark, table.cursor) > table.number:
                what = (
                    f"mark {table.mark} or cursor {table.cursor} lies beyond the last number {table.number}"
                )
                self._say(Kind.DAMAGED, what, lane=name, number=table.number)
            if table.opening:
                what = f"the lane is not yet agreed on with its receiver: {table.opening}"
                self._say(Kind.WITHOUT_RECEIPT, what, lane=name)
            if table.stopped:
                self._say(Kind.CONTRADICTION, f"the lane is stopped: {table.stopped}", lane=name)

    def _effects(self) -> None:
        """Each event taken took effect once, or was refused, or is held: not two of these, and not none."""
        for entry in self._in.values():
            settled = self._settled.pop(entry.row, [])
            held = self._contents.held.get(entry.row)
            if entry.outcome in ("parked", "waiting"):
                status, effect = self._held_once(entry, settled, held)
            else:
                status, effect = self._done_once(entry, settled, held)
            taken = Taken(
                entry.row, entry.incarnation, entry.subject, entry.id, entry.lane_hash, status, effect
            )
            self._contents.taken.setdefault(entry.lane, {})[entry.number] = taken
            self._restored.decided(entry, status, effect)
        adopted = self._restored.effects(self._settled, self._contents.held)
        for cause, entries in self._settled.items():
            self._say(Kind.DAMAGED, f"settles row {cause}, which was never held", row=entries[0].row)
        for row in self._contents.held.keys() - self._in.keys() - adopted:
            self._say(Kind.DAMAGED, "is held, and no event", row=row)

    def _held_once(self, entry: Entry, settled: list[Entry], held: str | None) -> tuple[str, int]:
        """What became of an event that could not be applied when it came, and in which row."""
        if len(settled) > 1:
            rows = ", ".join(str(local.row) for local in settled)
            self._say(Kind.DOUBLED, f"took effect in several rows: {rows}", **place_of(entry))
        elif held and settled:
            self._say(Kind.DOUBLED, f"is held, and took effect in row {settled[0].row}", **place_of(entry))
        elif not held and not settled:
            what = f"was {entry.outcome}, is held no longer, and had no effect"
            self._say(Kind.LOST, what, **place_of(entry))
        return (settled[0].outcome, settled[0].row) if settled else (held or "", 0)

    def _done_once(self, entry: Entry, settled: list[Entry], held: str | None) -> tuple[str, int]:
        """An event that was applied or refused when it came is in no other row."""
        if settled or held:
            also = f"row {settled[0].row}" if settled else "the held ones"
            self._say(Kind.DOUBLED, f"is {entry.outcome}, and stands in {also} too", **place_of(entry))
        if entry.outcome not in ("applied", "refused"):
            self._say(Kind.LOST, f"its outcome is {entry.outcome or 'nothing'}", **place_of(entry))
        elif entry.outcome == "refused" and not (entry.code or entry.reason):
            self._say(Kind.LOST, "is refused without a reason", **place_of(entry))
        return entry.outcome, entry.row


def read(name: str, ledger: Ledger, codec: Codec) -> tuple[Contents, list[Problem]]:
    """Everything that a ledger says, and what is wrong with it by itself. Reads only.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it can't be read, or is no ledger.
    """
    contents = Contents(name, ledger)
    reading = Reading(contents, codec)
    with ledger.snapshot() as connection:
        reading.read(connection)
    return contents, reading.problems
