"""办结: approved or refused, by a person or, for instant items (秒批), by rule."""

import re
from datetime import datetime
from typing import Final

from cases import commands, facts
from cases._file import outstanding
from cases._review_state import ReviewState, tell
from cases._stage import Stage, stamp
from cases.decision import Decision, Message, Outgoing, applied
from cases.phases import Phase
from cases.reasons import Refusal, refused
from jurisdictions import Stage as StageName
from schemas.models import (
    AcceptedBy,
    CaseDecided,
    Certificate,
    CertificateIssued,
    DecisionOutcome,
)

_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def approval(
    stage: Stage, state: ReviewState, command: commands.Approve, message: Message, at: datetime
) -> tuple[facts.Decided, facts.Issued, tuple[Outgoing, Outgoing]]:
    """What an approval `at` comes to: the decision for acceptance, and the result for pickup."""
    file = state.file
    decision = CaseDecided(
        outcome=DecisionOutcome.APPROVED,
        document_number=command.document_number.strip() or file.case_number,
        reason=command.reason,
        grounds=command.grounds,
        accepted_by=state.accepted_by or AcceptedBy.OWNER,
        decided_at=at,
        pickup=file.pickup,
        times=state.times,
        directory_version=file.directory_version,
    )
    certificate = Certificate(
        name=stage.item(file).result.name_zh,
        number=command.certificate_number.strip() or file.case_number,
        issuer=stage.office(file),
        issued_at=at,
        valid_until=command.valid_until,
        digest=command.digest,
    )
    issued = CertificateIssued(
        case_number=file.case_number,
        item=file.item,
        certificate=certificate,
        holder=file.applicant,
        delivery=file.delivery,
        accepting_office=file.accepting_office,
        acceptance=state.acceptance,
        serve_by=stage.clock.serve_by(at),
        directory_version=file.directory_version,
    )
    mark = stamp(message)
    return (
        facts.Decided(*mark, phase=Phase.APPROVED, decision=decision),
        facts.Issued(*mark, certificate=issued, review=stage.code, term=state.term),
        (tell(state, decision), Outgoing((StageName.PICKUP, file.pickup), issued, state.term)),
    )


def approve(stage: Stage, state: ReviewState, message: Message) -> Decision:
    """准予, once all materials that were allowed to follow are here."""
    command: commands.Approve = message.data
    if outstanding(state.file):
        return refused(Refusal.MATERIAL_MISSING, "materials")
    if command.digest is not None and not _DIGEST.fullmatch(command.digest):
        return refused(Refusal.INVALID, "digest", expected="64 × 0-9a-f")
    decided, issued, out = approval(stage, state, command, message, message.acted_at)
    return applied(decided, issued, out=out)


def refuse(_stage: Stage, state: ReviewState, message: Message) -> Decision:
    command: commands.Refuse = message.data
    if not command.reason.strip():
        return refused(Refusal.MISSING, "reason")
    if not command.grounds:
        return refused(Refusal.MISSING, "grounds")
    if not command.remedy.body.strip() or command.remedy.period_days < 1:
        return refused(Refusal.MISSING, "remedy", expected="body, period_days ≥ 1")
    event = CaseDecided(
        outcome=DecisionOutcome.REFUSED,
        document_number=command.document_number.strip() or state.file.case_number,
        reason=command.reason,
        grounds=command.grounds,
        remedy=command.remedy,
        accepted_by=state.accepted_by or AcceptedBy.OWNER,
        decided_at=message.acted_at,
        times=state.times,
        directory_version=state.file.directory_version,
    )
    fact = facts.Decided(*stamp(message), phase=Phase.REFUSED, decision=event)
    return applied(fact, out=(tell(state, event),))
