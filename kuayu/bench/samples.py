"""The events of the bench's cases as our own stages make them, so that others encode and carry the same."""

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ulid import ULID

from bus import Command
from bus.envelope import SCHEMA_PREFIX, stream_of
from bus.protocols import Message, MessageKind
from cases import AcceptanceStage, PickupStage, ReviewStage, Stage
from jurisdictions import Directory
from kuayu.bench.load import ACCEPTANCE, PICKUP, REVIEW, Load
from schemas import Codec, Event, Schemas

_PEER_CASES = 64


def events(directory: Directory, cases: int) -> dict[str, list[Event]]:
    """By type, what so many cases of the load send, each a millisecond after the one before.

    What goes to several offices is there once for each.
    """
    stages: dict[tuple[str, str], Stage] = {
        (stage.stage, code): stage(code, directory)
        for stage, code in ((AcceptanceStage, ACCEPTANCE), (ReviewStage, REVIEW), (PickupStage, PICKUP))
    }
    now = datetime.now(UTC).replace(microsecond=0)
    found: defaultdict[str, list[Event]] = defaultdict(list)
    for command in Load(directory).commands([now + timedelta(milliseconds=n) for n in range(cases)]):
        for event in _case(stages, command):
            found[type(event).__name__].append(event)
    return dict(found)


def _case(stages: Mapping[tuple[str, str], Stage], command: Command) -> Iterator[Event]:
    states: dict[tuple[str, str], Any] = {}
    waiting: deque[tuple[tuple[str, str], str, MessageKind, Any, int]] = deque()
    waiting.append((("acceptance", ACCEPTANCE), command.actor, "command", command.data, 0))
    while waiting:
        place, source, kind, data, term = waiting.popleft()
        message = Message(
            kind=kind,
            type=type(data).__name__,
            data=data,
            case=command.case,
            id=str(ULID()),
            source=source,
            term=term,
            acted_at=command.acted_at,
            recorded_at=command.acted_at,
        )
        decision = stages[place].decide(states.get(place), message)
        for fact in decision.facts:
            states[place] = stages[place].evolve(states.get(place), fact)
        for sent in decision.out:
            yield sent.data
            waiting.append((sent.to, stream_of(*place), "event", sent.data, sent.term))


def for_peers(directory: Directory, schemas: Schemas) -> dict[str, dict[str, Any]]:
    """By type: the schema, what stands before a body, and the bytes of some events, ready for JSON."""
    codec = Codec(schemas)
    told = {}
    for name, found in events(directory, _PEER_CASES).items():
        encoded = [codec.encode(event) for event in found]
        schema = encoded[0][1]
        told[name] = {
            "schema": schema.text,
            "digest": f"{SCHEMA_PREFIX}{schema.digest.hex()}",
            "prefix": encoded[0][0][:5].hex(),
            "samples": [value.hex() for value, _ in encoded],
        }
    return told
