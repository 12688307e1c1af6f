"""A case as the acceptance stage knows it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from cases import facts
from cases._file import supplemented
from cases._stage import COMMON_FOLDS, Attention, Fold
from cases.phases import Phase
from cases.terms import FIRST_TERM
from schemas.models import (
    AcceptedBy,
    CaseDecided,
    CaseFile,
    CaseNotAccepted,
    ClockSuspended,
    SupplementRequested,
    Times,
)


class AcceptanceState(Struct, frozen=True, gc=False, kw_only=True):
    """`holder` is the jurisdiction whose review stage holds the case; `taken` is False once that stage has refused it.

    `supplement` is what the applicant has still to hand in; `collection_code` what he fetches the result with.
    """

    phase: Phase
    term: int = FIRST_TERM
    file: CaseFile
    times: Times
    holder: str
    duty_due: datetime | None = None
    accepted_by: AcceptedBy | None = None
    notice_number: str = ""
    supplement: SupplementRequested | None = None
    suspension: ClockSuspended | None = None
    not_accepted: CaseNotAccepted | None = None
    decision: CaseDecided | None = None
    collection_code: str | None = None
    place: str | None = None
    tracking_number: str | None = None
    taken: bool = True
    attention: Attention | None = None


def begin(fact: facts.Submitted) -> AcceptanceState:
    """The state after the application was taken."""
    return AcceptanceState(
        phase=Phase.FORWARDED if fact.phase is None else fact.phase,
        file=fact.file,
        times=fact.times,
        holder=fact.review,
        duty_due=fact.duty_due,
        accepted_by=fact.accepted_by,
        notice_number=fact.notice_number,
    )


def _accepted(_state: AcceptanceState, fact: facts.Accepted) -> dict[str, Any]:
    event = fact.acceptance
    return {
        "times": event.times,
        "accepted_by": event.accepted_by,
        "notice_number": event.notice_number,
        "supplement": None,
    }


def _deemed(_state: AcceptanceState, fact: facts.DeemedAccepted) -> dict[str, Any]:
    event = fact.acceptance
    return {
        "times": event.times,
        "accepted_by": AcceptedBy.LAPSE,
        "notice_number": event.notice_number,
        "duty_due": event.duty_due,
        "supplement": None,
    }


def _asked(state: AcceptanceState, fact: facts.SupplementAsked) -> dict[str, Any]:
    changes: dict[str, Any] = {"supplement": fact.request}
    if not fact.request.clock_runs:
        # Asked in time, and heard of after a deemed acceptance: that one falls away.
        changes["accepted_by"] = None
        changes["times"] = replace(state.times, accepted=None, promised=None, statutory=None)
    return changes


def _attention(state: AcceptanceState, fact: facts.AttentionRaised) -> dict[str, Any]:
    opening = fact.type in {"CaseCollected", "CaseAccepted"}
    return COMMON_FOLDS[facts.AttentionRaised](state, fact) | ({"taken": False} if opening else {})


FOLDS: Final[Mapping[type[facts.Fact], Fold]] = {
    **COMMON_FOLDS,
    facts.AttentionRaised: _attention,
    facts.Accepted: _accepted,
    facts.DeemedAccepted: _deemed,
    facts.NotAccepted: lambda _state, fact: {"not_accepted": fact.notice, "supplement": None},
    facts.SupplementAsked: _asked,
    facts.SupplementGiven: lambda state, fact: {
        "file": supplemented(state.file, fact.supplement),
        "supplement": None,
    },
    facts.Suspended: lambda _state, fact: {"suspension": fact.suspension},
    facts.Resumed: lambda _state, fact: {"suspension": None, "times": fact.resumption.times},
    facts.Extended: lambda _state, fact: {"times": fact.extension.times},
    facts.Transferred: lambda _state, fact: {"holder": fact.transfer.to_jurisdiction, "term": fact.term},
    facts.Decided: lambda _state, fact: {"decision": fact.decision, "supplement": None},
    facts.Withdrawn: lambda _state, _fact: {"supplement": None},
    facts.Ready: lambda _state, fact: {
        "collection_code": fact.readiness.collection_code,
        "place": fact.readiness.place,
    },
    facts.Mailed: lambda _state, fact: {
        "tracking_number": fact.dispatch.tracking_number,
        "collection_code": None,
        "place": None,
    },
    facts.Returned: lambda _state, _fact: {"collection_code": None, "place": None},
    facts.Delivered: lambda _state, _fact: {"collection_code": None},
    facts.HandedOver: lambda _state, _fact: {"collection_code": None},
}
