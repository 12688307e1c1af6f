"""What an audit says: problems, each with its place, and what was looked at."""

from collections import Counter
from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """What a problem means for those whose cases these are."""

    LOST = "lost"
    """Something that was accepted, sent or taken is no longer there, and nobody says why."""
    DOUBLED = "doubled"
    """Something is there, or took effect, more than once."""
    OUT_OF_ORDER = "out_of_order"
    """A lane's or a case's events are not in their order."""
    WITHOUT_RECEIPT = "without_receipt"
    """A hand-over that its receiver has not closed (law 4)."""
    DAMAGED = "damaged"
    """The log, or what stands beside it, is not what was committed."""
    CONTRADICTION = "contradiction"
    """Two ledgers, or a ledger and a topic, say different things of the same event or case."""


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong. What is not about a row, lane or case leaves those at their defaults."""

    kind: Kind
    what: str
    ledger: str = ""
    row: int = 0
    lane: str = ""
    number: int = 0
    case: str = ""

    def __str__(self) -> str:
        place = [
            f"{name} {value}"
            for name, value in (
                ("ledger", self.ledger),
                ("row", self.row),
                ("lane", self.lane),
                ("number", self.number),
                ("case", self.case),
            )
            if value
        ]
        return f"{self.kind}: {', '.join(place)}: {self.what}" if place else f"{self.kind}: {self.what}"


class Report(Struct, kw_only=True):
    """The outcome: everything that was counted, and everything that is wrong."""

    counts: Counter[str]
    problems: list[Problem]

    def number_of(self, kind: Kind) -> int:
        """How many problems are of this kind."""
        return sum(problem.kind is kind for problem in self.problems)
