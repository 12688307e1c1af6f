"""What the demonstration itself knows of its cases, to be compared with what the nodes say at the end."""

import time
from collections import Counter
from dataclasses import dataclass, field

from kuayu.demo.scripts import ReviewAct, SimulatedCase


@dataclass
class Tracked:
    """A case that was handed in. Instants are of `time.monotonic`."""

    case: SimulatedCase
    case_id: str
    handed_in: float
    moved: float
    """When anybody last did something about it, as far as that was done here."""
    acts_done: int = 0
    came_back: bool = False
    wrong_code_tried: bool = False
    outdated_code: str = ""
    """A collection code that the office refused: a newer one is on its way to the applicant."""

    @property
    def next_act(self) -> ReviewAct | None:
        """What the reviewing office does next."""
        acts = self.case.script.review
        return acts[self.acts_done] if self.acts_done < len(acts) else None


@dataclass
class Book:
    """All cases by id. Used by one thread."""

    cases: dict[str, Tracked] = field(default_factory=dict)
    awaited: dict[str, SimulatedCase] = field(default_factory=dict)
    """Sent on the intake topic and not answered yet, by key."""
    counts: Counter[str] = field(default_factory=Counter)
    """What was done, by name, for the summary."""
    failures: list[str] = field(default_factory=list)
    """What should not have happened."""
    late: dict[tuple[str, str], int] = field(default_factory=dict)
    """Overdue tasks by node and stage, as their work lists showed them last."""

    def taken(self, case: SimulatedCase, case_id: str) -> None:
        """A case was handed in, and the node has it durably."""
        now = time.monotonic()
        if case_id in self.cases:
            self.fail(f"{case.reference} was given the case id of another case: {case_id}")
        self.cases[case_id] = Tracked(case, case_id, now, now)

    def fail(self, what: str) -> None:
        """Keep what should not have happened."""
        self.failures.append(what)
