"""Which phases of one case go together at acceptance, review and pickup, once nothing of it is in transit."""

from collections.abc import Mapping
from typing import Final

from cases import Phase
from jurisdictions import Stage

AT_REVIEW: Final[dict[Phase, set[Phase]]] = {
    Phase.FORWARDED: {Phase.RECEIVED},
    Phase.SUPPLEMENTING: {Phase.SUPPLEMENTING},
    Phase.IN_REVIEW: {Phase.IN_REVIEW},
    Phase.SUSPENDED: {Phase.SUSPENDED},
    Phase.APPROVED: {Phase.APPROVED},
    Phase.READY: {Phase.READY},
    Phase.MAILED: {Phase.MAILED},
    Phase.RETURNED: {Phase.RETURNED},
    Phase.NOT_ACCEPTED: {Phase.NOT_ACCEPTED},
    Phase.REFUSED: {Phase.REFUSED},
    Phase.WITHDRAWN: {Phase.WITHDRAWN},
    Phase.DELIVERED: {Phase.DELIVERED},
    Phase.COLLECTED: {Phase.COLLECTED},
}
"""What the case's holder must say, by what the accepting stage says, once no hand-over is open."""

AT_PICKUP: Final[dict[Phase, set[Phase | None]]] = {
    Phase.APPROVED: {Phase.ISSUED},
    Phase.READY: {Phase.READY},
    Phase.MAILED: {Phase.MAILED},
    Phase.RETURNED: {Phase.RETURNED},
    Phase.DELIVERED: {Phase.DELIVERED},
    Phase.COLLECTED: {Phase.COLLECTED},
    Phase.WITHDRAWN: {None, Phase.WITHDRAWN},
}
"""Likewise of the pickup stage, None being no such case; with any other status there must be none."""


def disagreement(case_id: str, statuses: Mapping[tuple[Stage, str], Mapping[str, str]]) -> list[str]:
    """What the stages say differently of a case; `statuses` by stage and case, then by jurisdiction."""
    at_acceptance = list(statuses[Stage.ACCEPTANCE, case_id].values())
    if len(at_acceptance) != 1:
        return [f"{case_id} is at {len(at_acceptance)} accepting stages"]
    phase = Phase(at_acceptance[0])
    found = []
    holders = [
        Phase(status)
        for status in statuses.get((Stage.REVIEW, case_id), {}).values()
        if status != Phase.TRANSFERRED
    ]
    if len(holders) != 1 or holders[0] not in AT_REVIEW[phase]:
        found.append(f"{case_id} is {phase} at acceptance, but {', '.join(holders) or 'nowhere'} at review")
    pickups = [Phase(status) for status in statuses.get((Stage.PICKUP, case_id), {}).values()]
    at_pickup = pickups[0] if pickups else None
    if len(pickups) > 1 or at_pickup not in AT_PICKUP.get(phase, {None}):
        found.append(f"{case_id} is {phase} at acceptance, but {', '.join(pickups) or 'nowhere'} at pickup")
    return found
