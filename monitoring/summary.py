"""The numbers of one node, for who adds them up over all nodes."""

import msgspec

from bus import Engine
from cases import ENDS, HANDED_OVER, Phase
from jurisdictions import Stage
from monitoring import reads


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The cases that were accepted at a node, and what is under way there.

    handed_in = collected + refused + not_accepted + withdrawn + open + parked: each case is in one of these.
    """

    node: str
    handed_in: int
    collected: int
    """The applicant has the result: fetched, or delivered."""
    refused: int
    not_accepted: int
    withdrawn: int
    open: int
    """Under way, those that wait for something among them."""
    parked: int
    """Under way, but an event of theirs could not be taken and needs a person."""
    waiting: int
    """How many of the open ones have an event that waits for something (a schema, another event)."""
    held_events: int
    """Events parked or waiting at any stage of the node."""
    quarantined: int
    """Records that no verified sender stands behind."""
    open_handovers: int
    """Events sent by any stage of the node that no receipt has closed."""


def tally(engine: Engine, code: str) -> Tally:
    """Count the cases of the node `code`. Reads the ledger, and is exact as of one moment for the cases."""
    ends: dict[str, int] = {}
    under_way = {"": 0, "parked": 0, "waiting": 0}
    for status, how, count in reads.cases_of(engine, f"{code}/{Stage.ACCEPTANCE}"):
        if status in ENDS:  # held or not: what came after the end changes nothing of it
            ends[status] = ends.get(status, 0) + count
        else:
            under_way[how] += count
    return Tally(
        node=code,
        handed_in=sum(ends.values()) + sum(under_way.values()),
        collected=sum(ends.get(phase, 0) for phase in HANDED_OVER),
        refused=ends.get(Phase.REFUSED, 0),
        not_accepted=ends.get(Phase.NOT_ACCEPTED, 0),
        withdrawn=ends.get(Phase.WITHDRAWN, 0),
        open=under_way[""] + under_way["waiting"],
        parked=under_way["parked"],
        waiting=under_way["waiting"],
        held_events=sum(events for *_, events in reads.held_cases(engine)),
        quarantined=reads.quarantined(engine),
        open_handovers=sum(lane.events for lane in reads.open_handovers(engine).values()),
    )
