"""属地审核: the stage where the matter belongs. It accepts, examines and decides."""

from datetime import datetime
from typing import Final

from cases import facts
from cases._adopted import REVIEW_ADOPTS
from cases._review_acceptance import (
    accept,
    accept_after_lapse,
    added,
    answered,
    deem_accepted,
    not_accept,
    not_accept_after_lapse,
    request_supplement,
)
from cases._review_clock import extend, resume, suspend
from cases._review_entry import accepted_at_counter, collected, transferred_here
from cases._review_holder import forward, transfer, withdrawn, withdrawn_after_issue
from cases._review_result import approve, refuse
from cases._review_state import FOLDS, ReviewState, begin
from cases._service import SERVICE_ROWS, delivered, handed_over, mailed, noted
from cases._stage import DEEMED_ACCEPTANCE, Act, Stage, claim, release, sender, table
from cases.commands import ReviewCommand
from cases.decision import Decision, Message, waiting
from cases.phases import ENDS, Phase
from cases.reasons import Refusal, refused
from cases.tasks import Task, review_task
from cases.terms import FIRST_TERM, ahead
from jurisdictions import Stage as StageName

_OPENING: Final[dict[str, Act]] = {
    "CaseCollected": collected,
    "CaseAccepted": accepted_at_counter,
    "CaseTransferred": transferred_here,
}
_CERTIFICATE_LOST: Final = (
    "等待恢复前发出的结果 / waits for the result that was sent before a restore, and for what came before it"
)
"""Pickup knows a result of ours that we do not (law 11): it was sent before our ledger was restored."""
_WORK: Final[dict[str, Act]] = {"Claim": claim, "Release": release}

TABLE: Final = table(
    {
        None: _OPENING,
        Phase.RECEIVED: _WORK
        | {
            "Accept": accept,
            "NotAccept": not_accept,
            "RequestSupplement": request_supplement,
            "Transfer": transfer,
            "SupplementProvided": added,
            "CaseWithdrawn": withdrawn,
            DEEMED_ACCEPTANCE: deem_accepted,
        },
        Phase.SUPPLEMENTING: _WORK
        | {
            "NotAccept": not_accept,
            "SupplementProvided": answered,
            "CaseWithdrawn": withdrawn,
        },
        Phase.IN_REVIEW: _WORK
        | {
            "Accept": accept_after_lapse,
            "NotAccept": not_accept_after_lapse,
            "RequestSupplement": request_supplement,
            "Approve": approve,
            "Refuse": refuse,
            "Suspend": suspend,
            "Extend": extend,
            "Transfer": transfer,
            "SupplementProvided": added,
            "CaseWithdrawn": withdrawn,
        },
        Phase.SUSPENDED: _WORK
        | {
            "Resume": resume,
            "SupplementProvided": added,
            "CaseWithdrawn": withdrawn,
        },
        Phase.APPROVED: SERVICE_ROWS | {"CaseWithdrawn": withdrawn_after_issue},
        Phase.READY: SERVICE_ROWS | {"CaseWithdrawn": withdrawn_after_issue},
        Phase.MAILED: SERVICE_ROWS,
        Phase.RETURNED: SERVICE_ROWS | {"CaseWithdrawn": withdrawn_after_issue},
        Phase.TRANSFERRED: {
            "SupplementProvided": forward,
            "CaseWithdrawn": forward,
            "CaseTransferred": transferred_here,
        },
        Phase.WITHDRAWN: {  # what pickup had done before it heard of the withdrawal
            "CertificateReady": noted,
            "CertificateReturned": noted,
            "CertificateMailed": mailed,
            "CertificateDelivered": delivered,
            "CertificateCollected": handed_over,
        },
    }
)
"""What applies in which phase. Every other pair is refused with a reason."""


class ReviewStage(Stage):
    """Review of one jurisdiction."""

    stage = "review"
    fact_type = facts.ReviewFact
    command_type = ReviewCommand
    rows = TABLE
    folds = FOLDS
    adopts = REVIEW_ADOPTS

    def task(self, state: ReviewState) -> Task | None:
        """What a work list shows of the case; None if there is nothing to do here."""
        return review_task(state, self.directory)

    def _begin(self, fact: facts.Received) -> ReviewState:
        return begin(fact)

    def _timers(self, state: ReviewState) -> tuple[tuple[str, datetime], ...]:
        if state.phase is Phase.RECEIVED and state.duty_due is not None:
            return ((DEEMED_ACCEPTANCE, state.duty_due),)
        return ()

    def _event_guard(self, state: ReviewState | None, message: Message) -> Decision | None:
        if message.type in _OPENING:
            return None
        wait = ahead(FIRST_TERM if state is None else state.term, message)
        if wait is not None:
            return wait
        code, stage = sender(message)
        open_still = state is None or (state.certificate is None and state.phase not in ENDS)
        if stage == StageName.PICKUP and open_still and message.type in SERVICE_ROWS:
            return waiting("event:CertificateIssued", _CERTIFICATE_LOST)
        if state is None:
            return None
        # An earlier term than ours was sent by who did not know the transfer yet, and is meant for us.
        parties = {
            (state.acceptance, StageName.ACCEPTANCE),
            (state.former, StageName.REVIEW),
            (state.file.pickup, StageName.PICKUP),
        }
        return None if (code, stage) in parties else refused(Refusal.NOT_A_PARTY)
