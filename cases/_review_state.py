"""A case as the review stage knows it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from cases import facts
from cases._file import supplemented
from cases._stage import COMMON_FOLDS, Attention, Fold
from cases.decision import Outgoing
from cases.phases import Phase
from jurisdictions import Stage as StageName
from schemas import Event
from schemas.models import (
    AcceptedBy,
    CaseDecided,
    CaseFile,
    CaseWithdrawn,
    Certificate,
    ClockSuspended,
    DutyStart,
    SupplementRequested,
    Suspension,
    Times,
)


class ReviewState(Struct, frozen=True, gc=False, kw_only=True):
    """`acceptance` is the jurisdiction that took the application; `former` the holder before this one.

    `duty_from` and `duty_due` are the last five-day duty, kept after acceptance; `holder` is who holds the case now,
    once it is transferred.
    """

    phase: Phase
    term: int
    file: CaseFile
    times: Times
    acceptance: str
    duty_start: DutyStart
    duty_from: datetime | None = None
    duty_due: datetime | None = None
    accepted_by: AcceptedBy | None = None
    notice_number: str = ""
    supplement_requested: bool = False
    supplement: SupplementRequested | None = None
    suspension: ClockSuspended | None = None
    suspensions: tuple[Suspension, ...] = ()
    extension_days: int = 0
    decision: CaseDecided | None = None
    certificate: Certificate | None = None
    serve_by: datetime | None = None
    holder: str | None = None
    former: str | None = None
    withdrawal: CaseWithdrawn | None = None
    claimed_by: str | None = None
    attention: Attention | None = None


def begin(fact: facts.Received) -> ReviewState:
    """The state after the case came in."""
    return ReviewState(
        phase=Phase.RECEIVED if fact.phase is None else fact.phase,
        term=fact.term,
        file=fact.file,
        times=fact.times,
        acceptance=fact.acceptance,
        duty_start=fact.duty_start,
        duty_from=fact.duty_from,
        duty_due=fact.duty_due,
        accepted_by=fact.accepted_by,
        notice_number=fact.notice_number,
        supplement_requested=fact.supplement_requested,
        suspensions=fact.suspensions,
        extension_days=fact.extension_days,
        former=fact.former,
    )


def _asked(state: ReviewState, fact: facts.SupplementAsked) -> dict[str, Any]:
    changes: dict[str, Any] = {"supplement": fact.request, "supplement_requested": True}
    if not fact.request.clock_runs:  # in time: where it was deemed accepted meanwhile, that falls away
        changes["accepted_by"] = None
        changes["times"] = replace(state.times, accepted=None, promised=None, statutory=None)
    return changes


def _given(state: ReviewState, fact: facts.SupplementGiven) -> dict[str, Any]:
    changes: dict[str, Any] = {"file": supplemented(state.file, fact.supplement)}
    if fact.supplement.answers_request:
        changes["supplement"] = None
    if fact.duty_due is not None:
        changes |= {"duty_from": fact.duty_from, "duty_due": fact.duty_due}
    return changes


def _resumed(state: ReviewState, fact: facts.Resumed) -> dict[str, Any]:
    event = fact.resumption
    stops = state.suspensions
    if state.suspension is not None:
        stops = (*stops, Suspension(since=state.suspension.since, until=event.at))
    return {"suspension": None, "suspensions": stops, "times": event.times}


FOLDS: Final[Mapping[type[facts.Fact], Fold]] = {
    **COMMON_FOLDS,
    # A case that comes back to a former holder begins anew there.
    facts.Received: lambda _state, fact: {
        name: getattr(fresh, name) for fresh in (begin(fact),) for name in ReviewState.__struct_fields__
    },
    facts.Accepted: lambda _state, fact: {
        "times": fact.acceptance.times,
        "accepted_by": fact.acceptance.accepted_by,
        "notice_number": fact.acceptance.notice_number,
    },
    facts.DeemedAccepted: lambda _state, fact: {
        "times": fact.acceptance.times,
        "accepted_by": AcceptedBy.LAPSE,
        "notice_number": fact.acceptance.notice_number,
    },
    facts.NotAccepted: lambda _state, _fact: {"supplement": None, "claimed_by": None},
    facts.SupplementAsked: _asked,
    facts.SupplementGiven: _given,
    facts.Suspended: lambda _state, fact: {"suspension": fact.suspension},
    facts.Resumed: _resumed,
    facts.Extended: lambda state, fact: {
        "extension_days": state.extension_days + fact.extension.days,
        "times": fact.extension.times,
    },
    facts.Transferred: lambda _state, fact: {
        "holder": fact.transfer.to_jurisdiction,
        "term": fact.term,
        "claimed_by": None,
    },
    facts.Decided: lambda _state, fact: {"decision": fact.decision, "supplement": None, "claimed_by": None},
    facts.Issued: lambda _state, fact: {
        "certificate": fact.certificate.certificate,
        "serve_by": fact.certificate.serve_by,
    },
    facts.Withdrawn: lambda _state, fact: {
        "withdrawal": fact.withdrawal,
        "supplement": None,
        "claimed_by": None,
    },
}


def tell(state: ReviewState, event: Event) -> Outgoing:
    """An event to the acceptance stage of the case."""
    return Outgoing((StageName.ACCEPTANCE, state.acceptance), event, state.term)
