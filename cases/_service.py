"""What acceptance and review hear of the last stage."""

from typing import Any, Final

from cases import facts
from cases._stage import Act, Stage, stamp
from cases.decision import Decision, Message, applied
from cases.phases import Phase


def ready(_stage: Stage, _state: Any, message: Message) -> Decision:
    """可取证."""
    return applied(facts.Ready(*stamp(message), phase=Phase.READY, readiness=message.data))


def mailed(_stage: Stage, _state: Any, message: Message) -> Decision:
    """已寄出."""
    return applied(facts.Mailed(*stamp(message), phase=Phase.MAILED, dispatch=message.data))


def returned(_stage: Stage, _state: Any, message: Message) -> Decision:
    """退回."""
    return applied(facts.Returned(*stamp(message), phase=Phase.RETURNED, return_=message.data))


def delivered(_stage: Stage, _state: Any, message: Message) -> Decision:
    """已送达."""
    return applied(facts.Delivered(*stamp(message), phase=Phase.DELIVERED, delivery=message.data))


def handed_over(_stage: Stage, _state: Any, message: Message) -> Decision:
    """已领取."""
    return applied(facts.HandedOver(*stamp(message), phase=Phase.COLLECTED, collection=message.data))


def noted(_stage: Stage, _state: Any, message: Message) -> Decision:
    """What crossed the end of the case, and changes nothing."""
    return applied(facts.Noted(*stamp(message), type=message.type))


SERVICE_ROWS: Final[dict[str, Act]] = {
    "CertificateReady": ready,
    "CertificateMailed": mailed,
    "CertificateReturned": returned,
    "CertificateDelivered": delivered,
    "CertificateCollected": handed_over,
}
