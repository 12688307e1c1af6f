"""The phases of a case at a stage. Their values are the statuses that the outside sees."""

from enum import StrEnum
from typing import Final


class Phase(StrEnum):
    """Where a case stands, as one stage knows it."""

    FORWARDED = "forwarded"  # at acceptance: collected, the owner has not answered
    RECEIVED = "received"  # at review: collected elsewhere, the five-day duty runs
    SUPPLEMENTING = "supplementing"
    IN_REVIEW = "in_review"
    SUSPENDED = "suspended"
    APPROVED = "approved"
    ISSUED = "issued"  # at pickup: to be made ready or mailed
    READY = "ready"
    MAILED = "mailed"
    RETURNED = "returned"
    TRANSFERRED = "transferred"  # at a review stage that holds it no longer
    NOT_ACCEPTED = "not_accepted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    DELIVERED = "delivered"
    COLLECTED = "collected"


ENDS: Final = frozenset(
    {
        Phase.TRANSFERRED,
        Phase.NOT_ACCEPTED,
        Phase.REFUSED,
        Phase.WITHDRAWN,
        Phase.DELIVERED,
        Phase.COLLECTED,
    }
)
"""Phases in which nothing is left to do at the stage."""

HANDED_OVER: Final = frozenset({Phase.DELIVERED, Phase.COLLECTED})
"""Phases in which the applicant has the result."""

PHASE_NAMES: Final[dict[Phase, tuple[str, str]]] = {
    Phase.FORWARDED: ("已收件,待受理", "collected, awaiting the owner"),
    Phase.RECEIVED: ("待受理", "awaiting acceptance"),
    Phase.SUPPLEMENTING: ("待补正", "awaiting supplements"),
    Phase.IN_REVIEW: ("审核中", "in review"),
    Phase.SUSPENDED: ("特别程序中", "suspended"),
    Phase.APPROVED: ("已准予", "approved"),
    Phase.ISSUED: ("待出证", "issued"),
    Phase.READY: ("可取证", "ready for collection"),
    Phase.MAILED: ("已寄出", "mailed"),
    Phase.RETURNED: ("已退回", "returned"),
    Phase.TRANSFERRED: ("已转办", "transferred"),
    Phase.NOT_ACCEPTED: ("不予受理", "not accepted"),
    Phase.REFUSED: ("不予许可", "refused"),
    Phase.WITHDRAWN: ("已撤回", "withdrawn"),
    Phase.DELIVERED: ("已送达", "delivered"),
    Phase.COLLECTED: ("已领取", "collected"),
}
"""Names in Chinese and English."""
