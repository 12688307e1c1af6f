"""转办 and 撤回: how a case leaves a review stage. What still comes to a former holder is passed on."""

from msgspec.structs import replace

from cases import commands, facts
from cases._review_acceptance import in_time
from cases._review_state import ReviewState, tell
from cases._stage import Stage, stamp
from cases.decision import Decision, Message, Outgoing, applied
from cases.phases import Phase
from cases.reasons import Refusal, refused
from jurisdictions import Stage as StageName
from schemas.models import CaseTransferred


def transfer(stage: Stage, state: ReviewState, message: Message) -> Decision:
    command: commands.Transfer = message.data
    node = stage.directory.serving(StageName.REVIEW, command.to)
    if node is None:
        return refused(Refusal.NO_REVIEW_THERE, "to")
    if node == stage.code:
        return refused(Refusal.ALREADY_HELD, "to")
    if not command.reason.strip():
        return refused(Refusal.MISSING, "reason")
    if state.phase is Phase.RECEIVED and not in_time(state, message.acted_at):
        return refused(Refusal.DUTY_LAPSED)
    news = CaseTransferred(
        reason_kind=command.kind,
        reason=command.reason,
        from_office=stage.office(state.file),
        to_jurisdiction=node,
        acceptance=state.acceptance,
        times=state.times,
        duty_start=state.duty_start,
        duty_due=state.duty_due,
        duty_from=state.duty_from,
        supplement_requested=state.supplement_requested,
        accepted_by=state.accepted_by,
        notice_number=state.notice_number,
        suspensions=state.suspensions,
        extension_days=state.extension_days,
        directory_version=state.file.directory_version,
    )
    term = state.term + 1
    fact = facts.Transferred(*stamp(message), phase=Phase.TRANSFERRED, transfer=news, term=term)
    whole = Outgoing((StageName.REVIEW, node), replace(news, file=state.file), term)
    return applied(fact, out=(whole, replace(tell(state, news), term=term)))


def forward(_stage: Stage, state: ReviewState, message: Message) -> Decision:
    to = state.holder or ""
    fact = facts.Forwarded(*stamp(message), type=message.type, to=to)
    return applied(fact, out=(Outgoing((StageName.REVIEW, to), message.data, state.term),))


def withdrawn(_stage: Stage, _state: ReviewState, message: Message) -> Decision:
    return applied(facts.Withdrawn(*stamp(message), phase=Phase.WITHDRAWN, withdrawal=message.data))


def withdrawn_after_issue(_stage: Stage, state: ReviewState, message: Message) -> Decision:
    fact = facts.Withdrawn(*stamp(message), phase=Phase.WITHDRAWN, withdrawal=message.data)
    to = (StageName.PICKUP, state.file.pickup)
    return applied(fact, out=(Outgoing(to, message.data, state.term),))
