"""What a ledger says so far, read again row by row as it grows, and its rules."""

from pathlib import Path
from typing import NamedTuple

from sqlalchemy import select

from bus import Engine
from bus.ledger import Entry, Kind, Ledger, tables
from tests.unit.bus.faults import FaultyNode

FINAL = ("applied", "refused")


class Taken(NamedTuple):
    """What the log of a lane's receiver says of one number."""

    status: str
    subject: str
    lane_hash: bytes


class Watched:
    """What a node's log said so far, read again row by row as it grows, and its rules."""

    def __init__(self, node: FaultyNode) -> None:
        self.node = node
        self.ledger = Ledger(node.url)
        self.row = 0
        self.sent: dict[str, list[Entry]] = {}
        self.taken: dict[str, list[Taken]] = {}
        self.by_row: dict[int, tuple[str, int]] = {}
        self.settled: dict[tuple[str, str], int] = {}
        """The highest number that took effect, by lane and case."""
        self.places: dict[tuple[str, int], int] = {}
        self.acts: dict[str, int] = {}
        """How many acts took effect, by case."""
        self.refusals_told = 0
        self.frozen: list[Engine] = []
        self.backup: Path | None = None

    def forget(self) -> None:
        """Read everything again: another history is in the place of this one."""
        fresh = Watched(self.node)
        fresh.ledger.close()
        for name in ("row", "sent", "taken", "by_row", "settled", "places", "acts", "refusals_told"):
            setattr(self, name, getattr(fresh, name))

    def read(self) -> None:
        query = select(tables.log.c.entry).where(tables.log.c.row > self.row).order_by(tables.log.c.row)
        for entry in self.ledger.entries(query):
            self.row = entry.row
            match entry.kind:
                case Kind.OUT:
                    lane = self.sent.setdefault(entry.lane, [])
                    del lane[
                        entry.number - 1 :
                    ]  # after a restore, numbers of what nobody had taken are given anew
                    lane.append(entry)
                    assert entry.number == len(lane)
                case Kind.IN:
                    assert entry.place is not None
                    place = entry.place[:2]
                    self.places[place] = self.places.get(place, 0) + 1
                    lane_taken = self.taken.setdefault(entry.lane, [])
                    lane_taken.append(Taken(entry.outcome, entry.subject, entry.lane_hash))
                    assert entry.number == len(lane_taken), "taken twice, or a number was jumped"
                    self.by_row[entry.row] = entry.lane, entry.number
                    self._settle(entry.lane, entry.number, entry.outcome)
                case Kind.LOCAL if entry.cause in self.by_row:
                    name, number = self.by_row[entry.cause]
                    before = self.taken[name][number - 1]
                    assert before.status not in FINAL, "decided twice"
                    self.taken[name][number - 1] = before._replace(status=entry.outcome)
                    self._settle(name, number, entry.outcome)
                case Kind.LOCAL if entry.type == "HandOverRefused":
                    self.refusals_told += 1
                case Kind.LOCAL if entry.type == "Send":
                    self.acts[entry.subject] = self.acts.get(entry.subject, 0) + 1
                case _:
                    pass

    def _settle(self, lane: str, number: int, outcome: str) -> None:
        if outcome in FINAL:
            subject = self.taken[lane][number - 1].subject
            assert number > self.settled.get((lane, subject), 0), "a case took a later event first"
            self.settled[lane, subject] = number

    def knows(self, *, outward: bool = True) -> dict[str, tuple[int, int, int, dict[int, str]]]:
        """Number, cursor, mark and exceptions of each lane of this node."""
        lane, exception = tables.lane, tables.exception
        with self.ledger.read() as connection:
            lanes = connection.execute(select(lane).where(lane.c.outward == outward)).all()
            said: dict[int, dict[int, str]] = {}
            for row in connection.execute(select(exception)):
                said.setdefault(row.lane, {})[row.number] = row.status
        return {row.name: (row.number, row.cursor, row.mark, said.get(row.id, {})) for row in lanes}
