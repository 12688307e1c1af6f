"""What an event log says of a case, in the steps of this bus."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from msgspec import Struct


class CaseStep(StrEnum):
    """What an activity of a log means for a case."""

    SUBMIT = "submit"  # 收件: the application came in
    ACCEPT = "accept"  # 受理
    NOT_ACCEPT = "not_accept"  # 不予受理
    REQUEST_SUPPLEMENT = "request_supplement"  # 补正
    PROVIDE_SUPPLEMENT = "provide_supplement"
    HOLD = "hold"  # 特别程序: the clock stops
    RESUME = "resume"
    APPROVE = "approve"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    IGNORE = "ignore"  # work inside an office, which other offices do not see


ENTRIES: Final = frozenset({CaseStep.ACCEPT, CaseStep.NOT_ACCEPT})
DECISIONS: Final = frozenset({CaseStep.APPROVE, CaseStep.REFUSE})


class PlannedStep(Struct, frozen=True):
    """One step with its original time, the activity it was called there, and who did it."""

    step: CaseStep
    at: datetime
    activity: str
    resource: str = ""


class CasePlan(Struct, frozen=True):
    """One case of a log: its own id there, when it was handed in, what was kept of it, and what came next, by time.

    Accepted or not, approved or refused: where a log has both for one case, the later one is what it came to.
    """

    case: str
    submitted_at: datetime
    kept: dict[str, str]
    steps: tuple[PlannedStep, ...]
    line: int


def consistent(steps: list[PlannedStep]) -> tuple[PlannedStep, ...]:
    """The steps without answers that a later answer to the same question replaced."""
    kept: list[PlannedStep] = []
    answered: set[frozenset[CaseStep]] = set()
    for step in reversed(steps):
        question = next((answers for answers in (ENTRIES, DECISIONS) if step.step in answers), None)
        if question is not None:
            if question in answered:
                continue
            answered.add(question)
        kept.append(step)
    return tuple(reversed(kept))
