"""特别程序 and 延期: what stops the clock of a case, and what moves its limit."""

from typing import Final

from cases import commands, facts
from cases._review_state import ReviewState, tell
from cases._stage import Stage, stamp
from cases.decision import Decision, Message, applied
from cases.phases import Phase
from cases.reasons import Refusal, refused
from schemas.models import ClockResumed, ClockSuspended, LimitExtended, Suspension

_MAX_EXTENSION: Final = 15  # days: 10 by the head of the organ, 15 by the government (行政许可法 42)


def suspend(_stage: Stage, state: ReviewState, message: Message) -> Decision:
    command: commands.Suspend = message.data
    for field in ("notice_number", "reason"):
        if not getattr(command, field).strip():
            return refused(Refusal.MISSING, field)
    if command.expected_end <= message.acted_at:
        return refused(Refusal.WRONG_ORDER, "expected_end", expected="> acted_at")
    event = ClockSuspended(
        kind=command.kind,
        notice_number=command.notice_number,
        reason=command.reason,
        since=message.acted_at,
        expected_end=command.expected_end,
    )
    fact = facts.Suspended(*stamp(message), phase=Phase.SUSPENDED, suspension=event)
    return applied(fact, out=(tell(state, event),))


def resume(stage: Stage, state: ReviewState, message: Message) -> Decision:
    if not message.data.result.strip():
        return refused(Refusal.MISSING, "result")
    if state.suspension is None or state.times.accepted is None or message.acted_at < state.suspension.since:
        return refused(Refusal.WRONG_ORDER, "acted_at", expected="≥ since")
    stops = (*state.suspensions, Suspension(since=state.suspension.since, until=message.acted_at))
    times = stage.clock.accepted(
        stage.item(state.file), state.times, state.times.accepted, stops, state.extension_days
    )
    event = ClockResumed(result=message.data.result, at=message.acted_at, times=times)
    fact = facts.Resumed(*stamp(message), phase=Phase.IN_REVIEW, resumption=event)
    return applied(fact, out=(tell(state, event),))


def extend(stage: Stage, state: ReviewState, message: Message) -> Decision:
    command: commands.Extend = message.data
    if state.extension_days or state.times.accepted is None:
        return refused(Refusal.ALREADY_EXTENDED)
    if not 1 <= command.days <= _MAX_EXTENSION:
        return refused(Refusal.INVALID, "days", expected=f"1–{_MAX_EXTENSION}")
    for field in ("approved_by", "notice_number", "reason"):
        if not getattr(command, field).strip():
            return refused(Refusal.MISSING, field)
    times = stage.clock.accepted(
        stage.item(state.file), state.times, state.times.accepted, state.suspensions, command.days
    )
    event = LimitExtended(
        days=command.days,
        approved_by=command.approved_by,
        notice_number=command.notice_number,
        reason=command.reason,
        times=times,
    )
    return applied(facts.Extended(*stamp(message), extension=event), out=(tell(state, event),))
