"""What tests of a restore have in common: backups behind which something is lost, and what both ends must agree on."""

from pathlib import Path

from bus import Message
from bus import envelope as env
from tests.unit.bus.toys import TOPIC, Decided, Node, Noted, Out, Pair, Send, State

BACK = "kuayu.ask.1"
"""Where the answering stage speaks to the asking one."""


def backed_up(pair: Pair, *nodes: Node, lost: int) -> list[Path]:
    """Backups of these after a first event, "before0"; so many more follow, "lost0", "lost1" …, of which they know nothing."""
    pair.ask.act("1-a", Send(note="before"))
    pair.settle()
    backups = [node.back_up() for node in nodes]
    pair.ask.act("1-a", Send(times=lost, note="lost"))
    pair.settle()
    return backups


def agree(pair: Pair, rounds: int = 4) -> None:
    """Let both talk until nothing is left to be said."""
    for _ in range(rounds):
        pair.settle()
        pair.clock.move(seconds=6)
    pair.clock.move(minutes=16)  # lanes without news are probed
    pair.settle()
    pair.settle()


def same(pair: Pair, case: str = "1-a") -> list[str]:
    """What both hold of the lane of a case, which must be the same; its events' bodies."""
    out = pair.ask.lane(outward=True, case=case)
    taken = pair.answer.engine.books.lanes[False, out.name]
    said = pair.ask.ledger.lane_entries(out.id, 1, out.number)
    held = pair.answer.ledger.lane_entries(taken.id, 1, taken.number)
    assert [(e.number, e.lane_hash, e.id) for e in said] == [(e.number, e.lane_hash, e.id) for e in held]
    assert (out.number, out.hash, out.mark, out.opening) == (taken.number, taken.hash, taken.number, "")
    return [pair.answer.engine.records.event(e, env.read(e.head)).reason for e in held]


def reply(_state: State | None, message: Message) -> Decided | None:
    """Of the answering stage: say back what was said."""
    if message.kind != "event":
        return None
    event = message.data
    return Decided("applied", facts=(Noted(event.reason),), out=(Out(("ask", "1"), event, 1),))


def expire(pair: Pair) -> None:
    for topic in (TOPIC, BACK):
        for partition in (0, 1):
            pair.broker.delete_records(topic, partition, len(pair.broker.records(topic, partition)))
