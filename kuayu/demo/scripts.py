"""What will happen to one simulated case: the acts of the reviewing office, and what its applicant does.

Delays are seconds of the demonstration, whose time is compressed.
"""

from enum import StrEnum

from msgspec import Struct

from schemas.models import CaseSubmitted


class Act(StrEnum):
    """An act of the reviewing office; the values are the names of the task API's acts, but for the two decisions."""

    ACCEPT = "accept"
    NOT_ACCEPT = "not-accept"
    ASK = "supplements"
    SUSPEND = "suspend"
    RESUME = "resume"
    EXTEND = "extend"
    TRANSFER = "transfer"
    APPROVE = "approve"
    REFUSE = "refuse"


class ReviewAct(Struct, frozen=True):
    """`after`: seconds since the act before it, or since the case came in."""

    act: Act
    after: float


class Script(Struct, frozen=True, kw_only=True):
    """`supplement_after`, `withdraw_after` and `fetch_after` are None where the applicant never does.

    Withdrawal counts from the submission, the others from when they are possible.
    """

    review: tuple[ReviewAct, ...]
    transfer_to: str = ""
    supplement_after: float | None = 0.5
    withdraw_after: float | None = None
    fetch_after: float | None = 0.5
    wrong_code: bool = False
    post_seconds: float = 0.5
    comes_back: bool = False
    """The first parcel is undeliverable, or the result is damaged: it is made ready or mailed again."""


class SimulatedCase(Struct, frozen=True, kw_only=True):
    """One application at the node `node`, and what will happen to it. `by_topic`: handed in on the intake topic."""

    reference: str
    node: str
    submission: CaseSubmitted
    script: Script
    by_topic: bool = False


class Spoiled(Struct, frozen=True, kw_only=True):
    """An application that has to be refused at the door; `field` is what the answer must name."""

    node: str
    submission: CaseSubmitted
    field: str
