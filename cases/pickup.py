"""就近取证: the stage where it is convenient. It serves the result and keeps the proof."""

from typing import Final

from msgspec.structs import replace

from cases import commands, facts
from cases._adopted import PICKUP_ADOPTS
from cases._pickup_state import FOLDS, PickupState, begin
from cases._stage import Act, Stage, claim, release, sender, stamp, table
from cases.collection_code import MAX_WRONG_CODES, code_matches
from cases.decision import Decision, Message, Outcome, Outgoing, applied
from cases.phases import Phase
from cases.reasons import Refusal, refused
from cases.tasks import Task, pickup_task
from cases.terms import ahead, behind
from jurisdictions import Stage as StageName
from schemas import Event
from schemas.models import (
    CertificateCollected,
    CertificateDelivered,
    CertificateIssued,
    CertificateMailed,
    CertificateReady,
    CertificateReturned,
    CollectorKind,
    DeliveryKind,
)


def _issued(_stage: Stage, _state: None, message: Message) -> Decision:
    """What is delivered electronically is delivered at once; the rest waits for a clerk."""
    event: CertificateIssued = message.data
    fact = facts.Issued(
        *stamp(message),
        phase=Phase.ISSUED,
        certificate=event,
        review=sender(message)[0],
        term=message.term,
    )
    if event.delivery.kind is not DeliveryKind.ELECTRONIC:
        return applied(fact)
    proof = CertificateDelivered(
        kind=DeliveryKind.ELECTRONIC, proof=event.certificate.number, delivered_at=message.recorded_at
    )
    delivered = facts.Delivered(*stamp(message), phase=Phase.DELIVERED, delivery=proof)
    return applied(fact, delivered, out=_tell(begin(fact), proof))


def _make_ready(_stage: Stage, state: PickupState, message: Message) -> Decision:
    command: commands.MakeReady = message.data
    if state.phase is Phase.ISSUED and state.issued.delivery.kind is DeliveryKind.POST:
        return refused(Refusal.BY_POST)
    for field in ("place", "code"):
        if not getattr(command, field).strip():
            return refused(Refusal.MISSING, field)
    if not command.salt or not code_matches(command.code, command.salt, command.code_hash):
        return refused(Refusal.INVALID, "code_hash", expected="SHA-256(salt + code)")
    mark = stamp(message)
    event = CertificateReady(place=command.place, ready_at=message.acted_at)
    code_set = facts.CodeSet(*mark, salt=command.salt, code_hash=command.code_hash)
    ready = facts.Ready(*mark, phase=Phase.READY, readiness=event)
    to_acceptance, to_review = _tell(state, event)
    with_code = replace(to_acceptance, data=replace(event, collection_code=command.code))
    return applied(code_set, ready, out=(with_code, to_review))


def _mail(_stage: Stage, state: PickupState, message: Message) -> Decision:
    command: commands.Mail = message.data
    if state.phase is Phase.ISSUED and state.issued.delivery.kind is not DeliveryKind.POST:
        return refused(Refusal.NOT_BY_POST)
    for field in ("carrier", "tracking_number"):
        if not getattr(command, field).strip():
            return refused(Refusal.MISSING, field)
    event = CertificateMailed(
        carrier=command.carrier, tracking_number=command.tracking_number, mailed_at=message.acted_at
    )
    fact = facts.Mailed(*stamp(message), phase=Phase.MAILED, dispatch=event)
    return applied(fact, out=_tell(state, event))


def _confirm_delivery(_stage: Stage, state: PickupState, message: Message) -> Decision:
    """Posted is not served: the date of receipt counts."""
    command: commands.ConfirmDelivery = message.data
    if not command.proof.strip():
        return refused(Refusal.MISSING, "proof")
    at = command.delivered_at or message.acted_at
    if at > message.recorded_at or (state.mailed_at is not None and at < state.mailed_at):
        return refused(Refusal.WRONG_ORDER, "delivered_at", expected="mailed_at ≤ delivered_at ≤ now")
    event = CertificateDelivered(kind=DeliveryKind.POST, proof=command.proof, delivered_at=at)
    fact = facts.Delivered(*stamp(message), phase=Phase.DELIVERED, delivery=event)
    return applied(fact, out=_tell(state, event))


def _return(_stage: Stage, state: PickupState, message: Message) -> Decision:
    event = CertificateReturned(
        reason=message.data.reason, note=message.data.note, returned_at=message.acted_at
    )
    fact = facts.Returned(*stamp(message), phase=Phase.RETURNED, return_=event)
    return applied(fact, out=_tell(state, event))


def _hand_over(_stage: Stage, state: PickupState, message: Message) -> Decision:
    """Against code and document. A wrong code is a fact, so that tries are counted: applied, with a code and reason."""
    command: commands.HandOver = message.data
    if state.salt is None or state.code_hash is None or state.wrong_codes >= MAX_WRONG_CODES:
        return refused(Refusal.CODE_BLOCKED, "code")
    mark = stamp(message)
    if not code_matches(command.code, state.salt, state.code_hash):
        refusal = refused(Refusal.CODE_MISMATCH, "code")
        return replace(refusal, outcome=Outcome.APPLIED, facts=(facts.WrongCode(*mark),))
    collector = _collector(state, command)
    if collector is None:
        return refused(Refusal.WRONG_DOCUMENT, "document_number")
    event = CertificateCollected(
        collector=collector, authority=command.authority, collected_at=message.acted_at
    )
    fact = facts.HandedOver(*mark, phase=Phase.COLLECTED, collection=event)
    return applied(fact, out=_tell(state, event))


def _collector(state: PickupState, command: commands.HandOver) -> CollectorKind | None:
    """Who the document belongs to; None if to nobody who may take the result."""
    shown = _plain(command.document_number)
    holder = state.issued.holder
    own = {_plain(holder.person.document_number)} if holder.person else set()
    if holder.organisation:
        own.add(_plain(holder.organisation.code))
        if holder.organisation.representative:
            own.add(_plain(holder.organisation.representative.document_number))
    if shown in own:
        return CollectorKind.HOLDER
    if holder.agent and shown == _plain(holder.agent.person.document_number):
        return CollectorKind.AGENT
    return CollectorKind.AGENT if shown and (command.authority or "").strip() else None


def _plain(number: str) -> str:
    return number.strip().upper()


def _withdrawn(_stage: Stage, _state: PickupState, message: Message) -> Decision:
    return applied(facts.Withdrawn(*stamp(message), phase=Phase.WITHDRAWN, withdrawal=message.data))


def _tell(state: PickupState, event: Event) -> tuple[Outgoing, Outgoing]:
    """An event to both who wait for it: the accepting and the reviewing stage."""
    return (
        Outgoing((StageName.ACCEPTANCE, state.issued.acceptance), event, state.term),
        Outgoing((StageName.REVIEW, state.review), event, state.term),
    )


_WORK: Final[dict[str, Act]] = {"Claim": claim, "Release": release}

TABLE: Final = table(
    {
        None: {"CertificateIssued": _issued},
        Phase.ISSUED: _WORK | {"MakeReady": _make_ready, "Mail": _mail, "CaseWithdrawn": _withdrawn},
        Phase.READY: _WORK
        | {
            "HandOver": _hand_over,
            "MakeReady": _make_ready,
            "Mail": _mail,
            "ReturnResult": _return,
            "CaseWithdrawn": _withdrawn,
        },
        Phase.MAILED: _WORK | {"ConfirmDelivery": _confirm_delivery, "ReturnResult": _return},
        Phase.RETURNED: _WORK | {"MakeReady": _make_ready, "Mail": _mail, "CaseWithdrawn": _withdrawn},
    }
)
"""What applies in which phase. Every other pair is refused with a reason."""


class PickupStage(Stage):
    """Pickup of one jurisdiction."""

    stage = "pickup"
    fact_type = facts.PickupFact
    command_type = commands.PickupCommand
    rows = TABLE
    folds = FOLDS
    adopts = PICKUP_ADOPTS

    def task(self, state: PickupState) -> Task | None:
        """What a work list shows of the case; None if there is nothing to do here."""
        return pickup_task(state, self.directory)

    def _begin(self, fact: facts.Issued) -> PickupState:
        return begin(fact)

    def _event_guard(self, state: PickupState | None, message: Message) -> Decision | None:
        if state is None:
            return None
        wrong = ahead(state.term, message) or behind(state.term, message)
        if wrong is not None:
            return wrong
        return None if sender(message) == (state.review, StageName.REVIEW) else refused(Refusal.NOT_A_PARTY)
