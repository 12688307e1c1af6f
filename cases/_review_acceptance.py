"""The owner's answer to a collected case, within the five-day duty of 行政许可法 32, and what lapse of time does."""

from datetime import datetime

from msgspec.structs import replace

from cases import commands, facts
from cases._review_state import ReviewState, tell
from cases._stage import Stage, stamp
from cases.decision import Decision, Message, applied
from cases.phases import Phase
from cases.reasons import Refusal, refused
from schemas.models import (
    AcceptedBy,
    CaseAccepted,
    CaseDeemedAccepted,
    CaseNotAccepted,
    DutyStart,
    NotAcceptedKind,
    SupplementRequested,
)


def in_time(state: ReviewState, at: datetime) -> bool:
    return state.duty_due is not None and at <= state.duty_due


def corrects(state: ReviewState, at: datetime) -> bool:
    """Whether an act `at` was in time although the lapse took effect before it was recorded (law 8)."""
    return state.accepted_by is AcceptedBy.LAPSE and in_time(state, at)


def accept(stage: Stage, state: ReviewState, message: Message) -> Decision:
    at = message.acted_at
    if not in_time(state, at):
        return refused(Refusal.DUTY_LAPSED)
    event = CaseAccepted(
        accepted_by=AcceptedBy.OWNER,
        notice_number=message.data.notice_number.strip() or state.file.case_number,
        office=stage.office(state.file),
        times=stage.clock.accepted(
            stage.item(state.file), state.times, at, state.suspensions, state.extension_days
        ),
        directory_version=state.file.directory_version,
    )
    fact = facts.Accepted(*stamp(message), phase=Phase.IN_REVIEW, acceptance=event)
    return applied(fact, out=(tell(state, event),))


def accept_after_lapse(stage: Stage, state: ReviewState, message: Message) -> Decision:
    if not corrects(state, message.acted_at):
        return stage.default(state, message)
    return accept(stage, state, message)


def deem_accepted(stage: Stage, state: ReviewState, message: Message) -> Decision:
    if state.duty_due is None or state.duty_from is None or message.acted_at < state.duty_due:
        return refused(Refusal.TIMER_MOOT)
    event = CaseDeemedAccepted(
        times=stage.clock.accepted(
            stage.item(state.file), state.times, state.duty_from, state.suspensions, state.extension_days
        ),
        duty_due=state.duty_due,
        notice_number=state.file.case_number,
        directory_version=state.file.directory_version,
    )
    fact = facts.DeemedAccepted(*stamp(message), phase=Phase.IN_REVIEW, acceptance=event)
    return applied(fact, out=(tell(state, event),))


def not_accept(_stage: Stage, state: ReviewState, message: Message) -> Decision:
    command: commands.NotAccept = message.data
    if state.phase is Phase.RECEIVED and not in_time(state, message.acted_at):
        return refused(Refusal.DUTY_LAPSED)
    asked = state.supplement
    if state.phase is Phase.SUPPLEMENTING and asked and asked.due and message.acted_at <= asked.due:
        return refused(Refusal.NOT_YET_DUE)
    if not command.reason.strip():
        return refused(Refusal.MISSING, "reason")
    if command.kind is NotAcceptedKind.NOT_COMPETENT and command.right_body is None:
        return refused(Refusal.MISSING, "right_body")
    event = CaseNotAccepted(
        kind=command.kind,
        reason=command.reason,
        grounds=command.grounds,
        right_body=command.right_body,
        remedy=command.remedy,
        times=replace(state.times, accepted=None, promised=None, statutory=None),
    )
    fact = facts.NotAccepted(*stamp(message), phase=Phase.NOT_ACCEPTED, notice=event)
    return applied(fact, out=(tell(state, event),))


def not_accept_after_lapse(stage: Stage, state: ReviewState, message: Message) -> Decision:
    if not corrects(state, message.acted_at):
        return stage.default(state, message)
    return not_accept(stage, state, message)


def request_supplement(_stage: Stage, state: ReviewState, message: Message) -> Decision:
    command: commands.RequestSupplement = message.data
    accepted = state.phase is Phase.IN_REVIEW
    if not accepted and not in_time(state, message.acted_at):
        return refused(Refusal.DUTY_LAPSED)
    if state.supplement_requested:
        return refused(Refusal.ALREADY_REQUESTED)
    if not command.materials:
        return refused(Refusal.MISSING, "materials")
    if command.due is not None and command.due <= message.acted_at:
        return refused(Refusal.WRONG_ORDER, "due", expected="> acted_at")
    clock_runs = accepted and not corrects(state, message.acted_at)
    event = SupplementRequested(
        materials=command.materials, reason=command.reason, due=command.due, clock_runs=clock_runs
    )
    phase = None if clock_runs else Phase.SUPPLEMENTING
    fact = facts.SupplementAsked(*stamp(message), phase=phase, request=event)
    return applied(fact, out=(tell(state, event),))


def answered(stage: Stage, state: ReviewState, message: Message) -> Decision:
    """The supplement asked for: five working days run again from its receipt.

    What was handed in before the request reached the window does not answer it.
    """
    if not message.data.answers_request:
        return added(stage, state, message)
    start = message.data.provided_at if state.duty_start is DutyStart.WINDOW else message.recorded_at
    return applied(
        facts.SupplementGiven(
            *stamp(message),
            phase=Phase.RECEIVED,
            supplement=message.data,
            duty_from=start,
            duty_due=stage.clock.duty(start).at,
        )
    )


def added(_stage: Stage, _state: ReviewState, message: Message) -> Decision:
    """Materials that stop and start no clock."""
    return applied(facts.SupplementGiven(*stamp(message), supplement=message.data))
