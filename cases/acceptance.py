"""异地受理: the stage where the applicant is. It takes applications in, hears of everything, and tells the applicant."""

from datetime import date
from typing import Any, Final

from cases import facts
from cases._acceptance_state import FOLDS, AcceptanceState, begin
from cases._adopted import ACCEPTANCE_ADOPTS
from cases._service import SERVICE_ROWS, delivered, handed_over, mailed, noted
from cases._stage import Act, Stage, sender, stamp, table
from cases.commands import AcceptanceCommand
from cases.decision import Decision, Message, Outcome, Outgoing, applied, waiting
from cases.phases import Phase
from cases.reasons import Refusal, refused
from cases.submission import check_materials, check_submission
from cases.tasks import Task, acceptance_task
from cases.terms import FIRST_TERM, ahead, behind
from jurisdictions import Invalid, Mode, NoRoute, Power, Route, legal_day, make_case_number, route
from jurisdictions import Stage as StageName
from schemas.models import (
    AcceptedBy,
    CaseAccepted,
    CaseCollected,
    CaseFile,
    CaseSubmitted,
    CaseWithdrawn,
    DecisionOutcome,
    DeliveryKind,
    DutyStart,
    HandlingMode,
    ItemRef,
    Office,
    SupplementProvided,
)

_FIELDS: Final = {
    "item_code": "item_code",
    "accepted_by": "office.jurisdiction",
    "belongs_to": "belonging",
    "pickup": "delivery.jurisdiction",
    "on": "item_code",
}
"""Arguments of `route` by the fields of the submission."""
_MODES: Final = {mode: HandlingMode(mode.value) for mode in Mode}
"""The directory's modes in the contracts' words."""


def _submit(stage: Stage, _state: None, message: Message) -> Decision:
    submission: CaseSubmitted = message.data.submission
    collected = submission.collected_at or message.acted_at
    if collected > message.recorded_at:
        return refused(Refusal.WRONG_ORDER, "collected_at", expected="≤ now")
    office = submission.office or Office(
        jurisdiction=stage.code, name=stage.directory.jurisdiction(stage.code).name_zh
    )
    serving = stage.directory.serving(StageName.ACCEPTANCE, office.jurisdiction)
    if serving is not None and serving != stage.code:
        return refused(Refusal.WRONG_INBOX, "office.jurisdiction", expected=stage.code)
    day = legal_day(message.acted_at)
    try:
        way, pickup = _route(stage, submission, office, day)
    except NoRoute as no:
        field = _FIELDS.get(no.field, no.field)
        return Decision(Outcome.REFUSED, no.code.value, f"{no.reason_zh} / {no.reason_en}", field)
    wrong = check_submission(submission, way.item, day)
    if wrong is not None:
        return wrong
    number = make_case_number(way.item.code, day, way.serials, message.data.serial)
    file = CaseFile(
        case_number=number,
        item=ItemRef(code=way.item.code, version=way.item.version, name=way.item.name_zh),
        mode=_MODES[way.mode],
        channel=submission.channel,
        accepting_office=office,
        applicant=submission.applicant,
        form=submission.form,
        materials=submission.materials,
        delivery=submission.delivery,
        pickup=pickup,
        reference=submission.reference,
        directory_version=stage.directory.version,
    )
    times = stage.clock.collected(collected)
    to = (StageName.REVIEW, way.review.code)
    if way.power is Power.ACCEPT:
        times = stage.clock.accepted(way.item, times, message.acted_at)
        opened = facts.Submitted(
            *stamp(message),
            phase=Phase.IN_REVIEW,
            file=file,
            times=times,
            review=way.review.code,
            duty_due=None,
            accepted_by=AcceptedBy.COUNTER,
            notice_number=number,
        )
        accepted = CaseAccepted(
            accepted_by=AcceptedBy.COUNTER,
            notice_number=number,
            office=office,
            times=times,
            file=file,
            directory_version=file.directory_version,
        )
        return applied(opened, out=(Outgoing(to, accepted, FIRST_TERM),))
    opened = facts.Submitted(
        *stamp(message),
        phase=Phase.FORWARDED,
        file=file,
        times=times,
        review=way.review.code,
        duty_due=stage.clock.duty(collected).at,
        accepted_by=None,
        notice_number="",
    )
    event = CaseCollected(file=file, times=times, duty_start=DutyStart(way.receipt_rule.value))
    return applied(opened, out=(Outgoing(to, event, FIRST_TERM),))


def _route(stage: Stage, submission: CaseSubmitted, office: Office, day: date) -> tuple[Route, str]:
    """Route and pickup stage. What is delivered electronically needs no agreement about a counter."""
    wish = submission.delivery.jurisdiction
    electronic = submission.delivery.kind is DeliveryKind.ELECTRONIC
    way = route(
        stage.directory,
        item_code=submission.item_code,
        accepted_by=office.jurisdiction,
        belongs_to=submission.belonging,
        pickup=None if electronic else wish,
        on=day,
    )
    pickup = way.pickup.code if way.pickup else stage.directory.serving(StageName.PICKUP, wish)
    if pickup is None:
        raise Invalid("delivery.jurisdiction", "has no pickup stage", "a place that one serves")
    return way, pickup


def _provide(stage: Stage, state: AcceptanceState, message: Message) -> Decision:
    if not message.data.materials and not message.data.form:
        return refused(Refusal.MISSING, "materials")
    item = stage.item(state.file)
    wrong = check_materials(message.data.materials, item)
    if wrong is not None:
        return wrong
    supplement = SupplementProvided(
        materials=message.data.materials,
        form=message.data.form,
        answers_request=state.supplement is not None,
        provided_at=message.acted_at,
    )
    phase = Phase.FORWARDED if state.phase is Phase.SUPPLEMENTING else None
    fact = facts.SupplementGiven(*stamp(message), phase=phase, supplement=supplement)
    return applied(fact, out=(_to_holder(state, supplement),))


def _withdraw(_stage: Stage, state: AcceptanceState, message: Message) -> Decision:
    event = CaseWithdrawn(reason=message.data.reason, withdrawn_at=message.acted_at)
    fact = facts.Withdrawn(*stamp(message), phase=Phase.WITHDRAWN, withdrawal=event)
    return applied(fact, out=(_to_holder(state, event),) if state.taken else ())


def _to_holder(state: AcceptanceState, event: Any) -> Outgoing:
    return Outgoing((StageName.REVIEW, state.holder), event, state.term)


def _accepted(_stage: Stage, _state: AcceptanceState, message: Message) -> Decision:
    return applied(facts.Accepted(*stamp(message), phase=Phase.IN_REVIEW, acceptance=message.data))


def _deemed(_stage: Stage, _state: AcceptanceState, message: Message) -> Decision:
    return applied(facts.DeemedAccepted(*stamp(message), phase=Phase.IN_REVIEW, acceptance=message.data))


def _not_accepted(_stage: Stage, _state: AcceptanceState, message: Message) -> Decision:
    return applied(facts.NotAccepted(*stamp(message), phase=Phase.NOT_ACCEPTED, notice=message.data))


def _asked(_stage: Stage, _state: AcceptanceState, message: Message) -> Decision:
    phase = None if message.data.clock_runs else Phase.SUPPLEMENTING
    return applied(facts.SupplementAsked(*stamp(message), phase=phase, request=message.data))


def _suspended(_stage: Stage, _state: AcceptanceState, message: Message) -> Decision:
    return applied(facts.Suspended(*stamp(message), phase=Phase.SUSPENDED, suspension=message.data))


def _resumed(_stage: Stage, _state: AcceptanceState, message: Message) -> Decision:
    return applied(facts.Resumed(*stamp(message), phase=Phase.IN_REVIEW, resumption=message.data))


def _extended(_stage: Stage, _state: AcceptanceState, message: Message) -> Decision:
    return applied(facts.Extended(*stamp(message), extension=message.data))


def _transferred(_stage: Stage, _state: AcceptanceState, message: Message) -> Decision:
    return applied(facts.Transferred(*stamp(message), transfer=message.data, term=message.term))


def _decided(_stage: Stage, state: AcceptanceState, message: Message) -> Decision:
    approved = message.data.outcome is DecisionOutcome.APPROVED
    if not approved:
        phase: Phase | None = Phase.REFUSED
    else:  # a case withdrawn meanwhile stays so: the review passes the withdrawal on to pickup
        phase = None if state.phase is Phase.WITHDRAWN else Phase.APPROVED
    return applied(facts.Decided(*stamp(message), phase=phase, decision=message.data))


_BEFORE_ACCEPTANCE: Final[dict[str, Act]] = {
    "CaseAccepted": _accepted,
    "CaseDeemedAccepted": _deemed,
    "CaseNotAccepted": _not_accepted,
    "SupplementRequested": _asked,
    "CaseTransferred": _transferred,
    "ProvideSupplement": _provide,
    "Withdraw": _withdraw,
}
_AFTER_APPROVAL: Final[dict[str, Act]] = SERVICE_ROWS | {"Withdraw": _withdraw}

TABLE: Final = table(
    {
        None: {"SubmitCase": _submit},
        Phase.FORWARDED: _BEFORE_ACCEPTANCE,
        Phase.SUPPLEMENTING: _BEFORE_ACCEPTANCE,
        Phase.IN_REVIEW: {
            "CaseAccepted": _accepted,  # these three: an act of the owner in time, after a deemed acceptance
            "CaseNotAccepted": _not_accepted,
            "SupplementRequested": _asked,  # or one that does not stop the clock
            "ClockSuspended": _suspended,
            "LimitExtended": _extended,
            "CaseTransferred": _transferred,
            "CaseDecided": _decided,
            "ProvideSupplement": _provide,
            "Withdraw": _withdraw,
        },
        Phase.SUSPENDED: {
            "ClockResumed": _resumed,
            "ProvideSupplement": _provide,
            "Withdraw": _withdraw,
        },
        Phase.APPROVED: _AFTER_APPROVAL,
        Phase.READY: _AFTER_APPROVAL,
        Phase.MAILED: SERVICE_ROWS,
        Phase.RETURNED: _AFTER_APPROVAL,
        Phase.WITHDRAWN: {  # what was under way when the applicant withdrew; what had happened before it counts
            "CaseAccepted": noted,
            "CaseDeemedAccepted": noted,
            "SupplementRequested": noted,
            "ClockSuspended": noted,
            "ClockResumed": noted,
            "LimitExtended": noted,
            "CertificateReady": noted,
            "CertificateReturned": noted,
            "CaseTransferred": _transferred,
            "CaseNotAccepted": _not_accepted,
            "CaseDecided": _decided,
            "CertificateMailed": mailed,
            "CertificateDelivered": delivered,
            "CertificateCollected": handed_over,
        },
    }
)
"""What applies in which phase. Every other pair is refused with a reason."""


class AcceptanceStage(Stage):
    """Acceptance of one jurisdiction."""

    stage = "acceptance"
    fact_type = facts.AcceptanceFact
    command_type = AcceptanceCommand
    rows = TABLE
    folds = FOLDS
    adopts = ACCEPTANCE_ADOPTS

    def task(self, state: AcceptanceState) -> Task | None:
        """What a work list shows of the case; None if there is nothing to do here."""
        return acceptance_task(state, self.directory)

    def _begin(self, fact: facts.Submitted) -> AcceptanceState:
        return begin(fact)

    def _event_guard(self, state: AcceptanceState | None, message: Message) -> Decision | None:
        if state is None:
            return None
        code, stage = sender(message)
        if stage == StageName.PICKUP:
            if state.decision is None:  # it came by another lane, and faster than the decision behind it
                return waiting("event:CaseDecided", "等待审核决定 / waits for the decision of the review")
            return None if code == state.file.pickup else refused(Refusal.NOT_A_PARTY)
        known = state.term
        if message.type == "CaseTransferred":
            known += 1  # it raises the term itself
        wrong = ahead(known, message) or behind(known, message)
        if wrong is not None:
            return wrong
        return None if (code, stage) == (state.holder, StageName.REVIEW) else refused(Refusal.NOT_A_PARTY)
