"""An event of our own that its receiver gave back after our ledger was restored: what it says has happened.

Who did it is lost, and an event says no more than its receivers needed. An act that told two stages is made whole
from either of its events; what the event does not hold (the number of a certificate, a collection code) is as if it
had not been given. Where an event does not fit the case as it stands it waits for what came before it.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from msgspec.structs import replace

from cases import commands, facts
from cases._review_result import approval
from cases._review_state import ReviewState, tell
from cases._stage import DEEMED_ACCEPTANCE, Act, Adoption, Stage, sender
from cases.collection_code import hash_code
from cases.decision import Decision, Message, Outgoing, applied
from cases.phases import Phase
from jurisdictions import Stage as StageName
from schemas.models import AcceptedBy, CaseDecided, DecisionOutcome

RESTORE: Final = "restore"
"""Who acted, for all that is known."""


def _mark(message: Message) -> tuple[datetime, datetime, str]:
    return message.acted_at, message.recorded_at, RESTORE


def _fact(kind: type[facts.Fact], field: str, phase: Phase | None) -> Act:
    """An act that told one stage: the fact holds the event."""

    def act(_stage: Stage, _state: Any, message: Message) -> Decision:
        return applied(kind(*_mark(message), phase=phase, **{field: message.data}))

    return act


# Acceptance.


def _opened(stage: Stage, _state: None, message: Message) -> Decision:
    event = message.data
    collected = message.type == "CaseCollected"
    start = event.times.collected or message.acted_at
    fact = facts.Submitted(
        *_mark(message),
        phase=Phase.FORWARDED if collected else Phase.IN_REVIEW,
        file=event.file,
        times=event.times,
        review=sender(message)[0],
        duty_due=stage.clock.duty(start).at if collected else None,
        accepted_by=None if collected else AcceptedBy.COUNTER,
        notice_number="" if collected else event.notice_number,
    )
    return applied(fact)


def _provided(_stage: Stage, state: Any, message: Message) -> Decision:
    phase = Phase.FORWARDED if state.phase is Phase.SUPPLEMENTING else None
    return applied(facts.SupplementGiven(*_mark(message), phase=phase, supplement=message.data))


ACCEPTANCE_ADOPTS: Final[Mapping[str, Adoption]] = {
    "CaseCollected": Adoption("SubmitCase", _opened),
    "CaseAccepted": Adoption("SubmitCase", _opened),
    "SupplementProvided": Adoption("ProvideSupplement", _provided),
    "CaseWithdrawn": Adoption("Withdraw", _fact(facts.Withdrawn, "withdrawal", Phase.WITHDRAWN)),
}


# Review.


def _asked(_stage: Stage, _state: Any, message: Message) -> Decision:
    phase = None if message.data.clock_runs else Phase.SUPPLEMENTING
    return applied(facts.SupplementAsked(*_mark(message), phase=phase, request=message.data))


def _transferred(_stage: Stage, state: ReviewState, message: Message) -> Decision:
    news = replace(message.data, file=None)
    to = (StageName.REVIEW, news.to_jurisdiction)
    fact = facts.Transferred(*_mark(message), phase=Phase.TRANSFERRED, transfer=news, term=message.term)
    both = (
        Outgoing(to, replace(news, file=state.file), message.term),
        replace(tell(state, news), term=message.term),
    )
    return applied(fact, out=_others(message, both))


def _decided(stage: Stage, state: ReviewState, message: Message) -> Decision:
    event: CaseDecided = message.data
    if event.outcome is not DecisionOutcome.APPROVED:
        return applied(facts.Decided(*_mark(message), phase=Phase.REFUSED, decision=event))
    if state.decision is not None:  # from what pickup gave back
        return applied(facts.Decided(*_mark(message), decision=event))
    act = commands.Approve(document_number=event.document_number)
    decided, issued, both = approval(stage, state, act, message, event.decided_at)
    return _approved(state, message, replace(decided, decision=event), issued, both)


def _issued(stage: Stage, state: ReviewState, message: Message) -> Decision:
    event = message.data
    issued = facts.Issued(*_mark(message), certificate=event, review=stage.code, term=message.term)
    if state.decision is not None:
        return applied(issued)
    decided, _, both = approval(stage, state, commands.Approve(), message, event.certificate.issued_at)
    return _approved(state, message, decided, issued, both)


def _approved(
    state: ReviewState,
    message: Message,
    decided: facts.Decided,
    issued: facts.Issued,
    both: tuple[Outgoing, ...],
) -> Decision:
    """What came after the approval, and is known before it, stays: a withdrawal, which pickup is told of as it would have been."""
    out = _others(message, both)
    phase: Phase | None = Phase.APPROVED
    if state.phase is Phase.WITHDRAWN and state.withdrawal is not None:
        phase = None
        out += (Outgoing((StageName.PICKUP, state.file.pickup), state.withdrawal, state.term),)
    return applied(replace(decided, by=RESTORE, phase=phase), replace(issued, by=RESTORE), out=out)


def _forwarded(_stage: Stage, _state: ReviewState, message: Message) -> Decision:
    return applied(facts.Forwarded(*_mark(message), type=message.type, to=sender(message)[0]))


def _withdrawn(_stage: Stage, state: ReviewState, message: Message) -> Decision:
    if state.phase is Phase.TRANSFERRED:
        return _forwarded(_stage, state, message)
    return applied(facts.Withdrawn(*_mark(message), phase=Phase.WITHDRAWN, withdrawal=message.data))


REVIEW_ADOPTS: Final[Mapping[str, Adoption]] = {
    "CaseAccepted": Adoption("Accept", _fact(facts.Accepted, "acceptance", Phase.IN_REVIEW)),
    "CaseDeemedAccepted": Adoption(
        DEEMED_ACCEPTANCE, _fact(facts.DeemedAccepted, "acceptance", Phase.IN_REVIEW)
    ),
    "CaseNotAccepted": Adoption("NotAccept", _fact(facts.NotAccepted, "notice", Phase.NOT_ACCEPTED)),
    "SupplementRequested": Adoption("RequestSupplement", _asked),
    "ClockSuspended": Adoption("Suspend", _fact(facts.Suspended, "suspension", Phase.SUSPENDED)),
    "ClockResumed": Adoption("Resume", _fact(facts.Resumed, "resumption", Phase.IN_REVIEW)),
    "LimitExtended": Adoption("Extend", _fact(facts.Extended, "extension", None)),
    "CaseTransferred": Adoption("Transfer", _transferred, Phase.TRANSFERRED),
    "CaseDecided": Adoption(
        "Approve", _decided, Phase.APPROVED, _fact(facts.Decided, "decision", None), over=Phase.WITHDRAWN
    ),
    "CertificateIssued": Adoption("Approve", _issued, Phase.APPROVED, _issued, over=Phase.WITHDRAWN),
    "SupplementProvided": Adoption("SupplementProvided", _forwarded),
    "CaseWithdrawn": Adoption("CaseWithdrawn", _withdrawn, over=Phase.WITHDRAWN),
}


# Pickup: everything is told to acceptance and review alike.


def _ready(_stage: Stage, state: Any, message: Message) -> Decision:
    event = message.data
    mark = _mark(message)
    ready = facts.Ready(*mark, phase=Phase.READY, readiness=replace(event, collection_code=None))
    if event.collection_code is None:  # the review's: the code is lost, and a clerk makes another
        known = state.phase is Phase.READY  # from the event to acceptance, which has the code
        return applied(ready, out=() if known else _rest(state, message, ready.readiness))
    salt = sha256(message.id.encode()).digest()[:16]
    code = facts.CodeSet(*mark, salt=salt, code_hash=hash_code(event.collection_code, salt))
    return applied(code, ready, out=_rest(state, message, ready.readiness))


def _served(kind: type[facts.Fact], field: str, phase: Phase) -> Act:
    def act(_stage: Stage, state: Any, message: Message) -> Decision:
        fact = kind(*_mark(message), phase=phase, **{field: message.data})
        return applied(fact, out=_rest(state, message, message.data))

    return act


def _rest(state: Any, message: Message, event: Any) -> tuple[Outgoing, ...]:
    both = (
        Outgoing((StageName.ACCEPTANCE, state.issued.acceptance), event, state.term),
        Outgoing((StageName.REVIEW, state.review), event, state.term),
    )
    return _others(message, both)


PICKUP_ADOPTS: Final[Mapping[str, Adoption]] = {
    "CertificateReady": Adoption("MakeReady", _ready),
    "CertificateMailed": Adoption("Mail", _served(facts.Mailed, "dispatch", Phase.MAILED), Phase.MAILED),
    "CertificateReturned": Adoption(
        "ReturnResult", _served(facts.Returned, "return_", Phase.RETURNED), Phase.RETURNED
    ),
    "CertificateCollected": Adoption(
        "HandOver", _served(facts.HandedOver, "collection", Phase.COLLECTED), Phase.COLLECTED
    ),
    "CertificateDelivered": Adoption(
        "ConfirmDelivery", _served(facts.Delivered, "delivery", Phase.DELIVERED), Phase.DELIVERED
    ),
}


def _others(message: Message, both: tuple[Outgoing, ...]) -> tuple[Outgoing, ...]:
    """What the same act told others; the bus leaves out what they give back themselves."""
    code, stage = sender(message)
    return tuple(outgoing for outgoing in both if outgoing.to != (stage, code))
