"""What happened to a case, as it is stored: the results of decisions, folded to states and never decided again.

A stage's own acts and the events it took are kept alike; a fact holds the event itself where there is one. Facts hold
personal data where their events do, and live in the ledger of the office that is entitled to it.
"""

from datetime import datetime

from msgspec import Struct

from cases.phases import Phase
from schemas import models


class Fact(Struct, frozen=True, gc=False, omit_defaults=True, tag=True, tag_field="fact"):
    """One result.

    `at` is when the person acted, `recorded_at` when it was recorded, `by` who or which stream; `phase` is the phase
    the case is in from then on, None if it stays.
    """

    at: datetime
    recorded_at: datetime
    by: str
    phase: Phase | None = None


# The beginning, at each stage.


class Submitted(Fact, frozen=True, kw_only=True):
    """At acceptance: collected (`duty_due` estimates the owner's duty) or accepted (`accepted_by`)."""

    file: models.CaseFile
    times: models.Times
    review: str
    duty_due: datetime | None
    accepted_by: models.AcceptedBy | None
    notice_number: str


class Received(Fact, frozen=True, kw_only=True):
    """At review: the case is here, from the window or from a former holder."""

    file: models.CaseFile
    times: models.Times
    acceptance: str
    term: int
    duty_start: models.DutyStart
    duty_from: datetime | None = None
    duty_due: datetime | None = None
    accepted_by: models.AcceptedBy | None = None
    notice_number: str = ""
    supplement_requested: bool = False
    suspensions: tuple[models.Suspension, ...] = ()
    extension_days: int = 0
    former: str | None = None


class Issued(Fact, frozen=True, kw_only=True):
    """The result to hand over: decided at review, arrived at pickup."""

    certificate: models.CertificateIssued
    review: str
    term: int


# Acceptance by the owner, and what comes before it.


class Accepted(Fact, frozen=True, kw_only=True):
    """受理 by the owner or by a rule."""

    acceptance: models.CaseAccepted


class DeemedAccepted(Fact, frozen=True, kw_only=True):
    """视为受理."""

    acceptance: models.CaseDeemedAccepted


class NotAccepted(Fact, frozen=True, kw_only=True):
    """不予受理."""

    notice: models.CaseNotAccepted


class SupplementAsked(Fact, frozen=True, kw_only=True):
    """补正 asked for."""

    request: models.SupplementRequested


class SupplementGiven(Fact, frozen=True, kw_only=True):
    """补正材料 here; a new duty runs where the case was not accepted yet."""

    supplement: models.SupplementProvided
    duty_from: datetime | None = None
    duty_due: datetime | None = None


# The clock.


class Suspended(Fact, frozen=True, kw_only=True):
    """特别程序 begun; no due instants until it ends."""

    suspension: models.ClockSuspended


class Resumed(Fact, frozen=True, kw_only=True):
    """特别程序 ended."""

    resumption: models.ClockResumed


class Extended(Fact, frozen=True, kw_only=True):
    """延期."""

    extension: models.LimitExtended


# The end of the review.


class Transferred(Fact, frozen=True, kw_only=True):
    """转办: `term` is the next holder's."""

    transfer: models.CaseTransferred
    term: int


class Decided(Fact, frozen=True, kw_only=True):
    """办结."""

    decision: models.CaseDecided


class Withdrawn(Fact, frozen=True, kw_only=True):
    """撤回."""

    withdrawal: models.CaseWithdrawn


# Service of the result.


class CodeSet(Fact, frozen=True, kw_only=True):
    """At pickup: the code against which the result is handed over, salted and hashed."""

    salt: bytes
    code_hash: bytes


class Ready(Fact, frozen=True, kw_only=True):
    """可取证. Only at acceptance does the event hold the code."""

    readiness: models.CertificateReady


class WrongCode(Fact, frozen=True, kw_only=True):
    """Somebody gave a wrong code at the counter."""


class Mailed(Fact, frozen=True, kw_only=True):
    """已寄出."""

    dispatch: models.CertificateMailed


class Delivered(Fact, frozen=True, kw_only=True):
    """已送达."""

    delivery: models.CertificateDelivered


class Returned(Fact, frozen=True, kw_only=True):
    """退回."""

    return_: models.CertificateReturned


class HandedOver(Fact, frozen=True, kw_only=True):
    """已领取."""

    collection: models.CertificateCollected


# Work and hand-overs.


class Claimed(Fact, frozen=True, kw_only=True):
    """A task is taken by who acted."""


class Released(Fact, frozen=True, kw_only=True):
    """A task is given back, or taken from its holder for a reason."""

    reason: str = ""


class Forwarded(Fact, frozen=True, kw_only=True):
    """A former holder passed an event on to the next."""

    type: str
    to: str


class Noted(Fact, frozen=True, kw_only=True):
    """An event that crossed the end of the case: taken, and without effect."""

    type: str


class AttentionRaised(Fact, frozen=True, kw_only=True):
    """A hand-over of this case was refused by its receiver."""

    type: str
    to: str
    code: str
    reason: str


class AttentionCleared(Fact, frozen=True, kw_only=True):
    """Somebody saw to it."""

    note: str


_Owner = (
    Accepted
    | DeemedAccepted
    | NotAccepted
    | SupplementAsked
    | SupplementGiven
    | Suspended
    | Resumed
    | Extended
)
_Service = Ready | Mailed | Delivered | Returned | HandedOver
_End = Transferred | Decided | Withdrawn | Noted | AttentionRaised | AttentionCleared

AcceptanceFact = Submitted | _Owner | _Service | _End
ReviewFact = Received | Issued | Claimed | Released | Forwarded | _Owner | _Service | _End
PickupFact = (
    Issued
    | Claimed
    | Released
    | CodeSet
    | WrongCode
    | _Service
    | Withdrawn
    | AttentionRaised
    | AttentionCleared
)
