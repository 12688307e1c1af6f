"""The events of the bench's cases as our own stages make them, so that the peers carry the same."""

from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import Any

from bus import Message
from bus.envelope import SCHEMA_PREFIX, stream_of
from cases import AcceptanceStage, PickupStage, ReviewStage
from jurisdictions import Directory
from kuayu.bench.load import ACCEPTANCE, PICKUP, REVIEW, Load
from schemas import Codec, Event, Schemas


def events(directory: Directory, cases: int = 64) -> dict[str, list[Event]]:
    """By type, what so many cases of the load send from stage to stage."""
    stages: dict[str, AcceptanceStage | ReviewStage | PickupStage] = {
        "acceptance": AcceptanceStage(ACCEPTANCE, directory),
        "review": ReviewStage(REVIEW, directory),
        "pickup": PickupStage(PICKUP, directory),
    }
    found: defaultdict[str, list[Event]] = defaultdict(list)
    now = datetime.now(UTC).replace(microsecond=0)
    for command in Load(directory).commands([now] * cases):
        states: dict[str, Any] = {}
        waiting = deque([("acceptance", "command", command.data, command.actor, 0)])
        while waiting:
            name, kind, data, source, term = waiting.popleft()
            stage = stages[name]
            message = Message(
                kind="command" if kind == "command" else "event",
                type=type(data).__name__,
                data=data,
                case=command.case,
                id=f"{name}-{len(states)}",
                source=source,
                term=term,
                acted_at=now,
                recorded_at=now,
            )
            decision = stage.decide(states.get(name), message)
            for fact in decision.facts:
                states[name] = stage.evolve(states.get(name), fact)
            for sent in decision.out:
                found[type(sent.data).__name__].append(sent.data)
                waiting.append((sent.to[0], "event", sent.data, stream_of(name, stage.code), sent.term))
    return dict(found)


def for_peers(directory: Directory, schemas: Schemas) -> dict[str, dict[str, Any]]:
    """By type: the schema, what stands before a body, and the events' bytes, ready for JSON."""
    codec = Codec(schemas)
    told = {}
    for name, found in events(directory).items():
        encoded = [codec.encode(event) for event in found]
        schema = encoded[0][1]
        told[name] = {
            "schema": schema.text,
            "digest": f"{SCHEMA_PREFIX}{schema.digest.hex()}",
            "prefix": encoded[0][0][:5].hex(),
            "samples": [value.hex() for value, _ in encoded],
        }
    return told
