"""Reading the log again: what a row's bytes mean. Nothing here decides anything (law 6)."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from bus import envelope as env
from bus.envelope import Envelope, LaneName
from bus.ledger import Entry, Kind, instant
from bus.ledger.stubs import is_stub
from bus.protocols import Handler, HandOverRefused, Message, MessageKind, View
from schemas import BadPayload, Codec

TIMER = "timer"
"""Who acts when a timer takes effect."""


class Case(msgspec.Struct, frozen=True, gc=False):
    """A case as one stream sees it: what its rows make."""

    version: int
    """The last row that had an effect on it."""
    state: Any
    view: View


class Records:
    """Decodes rows of the streams that these handlers serve."""

    def __init__(self, handlers: Mapping[str, Handler], codec: Codec) -> None:
        self.handlers = handlers
        self.codec = codec
        self._facts = {
            name: msgspec.msgpack.Decoder(_tuple_of(handler.fact_type)) for name, handler in handlers.items()
        }
        self._commands = {
            name: msgspec.msgpack.Decoder(handler.command_type) for name, handler in handlers.items()
        }

    def event(self, entry: Entry, envelope: Envelope) -> Any:
        """The typed event of an in row. Raises BadPayload or UnknownSchema."""
        if envelope.type == env.TOMBSTONE:
            raise BadPayload("a tombstone: the sender could not write the original; ask it what it was")
        data = self.codec.decode(entry.value, envelope.digest)
        if type(data).__name__ != envelope.type:
            raise BadPayload(f"the body is a {type(data).__name__}, the envelope says {envelope.type}")
        return data

    def adopted(self, entry: Entry) -> Message:
        """What an event of our own, given back, tells its case. Raises BadPayload or UnknownSchema."""
        envelope = env.read(entry.head)
        message = event_message(envelope, self.event(entry, envelope))
        to = env.stream_of_topic(LaneName.parse(entry.lane).topic)
        return replace(message, kind="adopted", source=to)

    def facts(self, entry: Entry) -> tuple[Any, ...]:
        """The stored facts of a row."""
        return self._facts[entry.stream].decode(entry.facts) if entry.facts else ()

    def fold(self, entry: Entry, state: Any) -> Any:
        """The state of its case after a row that had an effect."""
        handler = self.handlers[entry.stream]
        for fact in self.facts(entry):
            state = handler.evolve(state, fact)
        return state

    def cases(self, stream: str, entries: Iterable[Entry]) -> dict[str, Case]:
        """The cases of a stream that these rows make; all rows of each case, in order."""
        folded: dict[str, tuple[int, Any]] = {}
        for entry in filter(had_effect, entries):
            if entry.stream == stream:
                _, state = folded.get(entry.subject, (0, None))
                folded[entry.subject] = (entry.row, self.fold(entry, state))
        view = self.handlers[stream].view
        return {subject: Case(row, state, view(state)) for subject, (row, state) in folded.items()}

    def message(self, entry: Entry, origin: Entry) -> Message:
        """The message that made a row, as it was the first time; `origin` is the row it settles, or itself."""
        if origin.kind is Kind.IN:
            envelope = env.read(origin.head)
            if entry.kind is Kind.LOCAL and entry.value:  # applied as it was repaired
                return event_message(replace(envelope, type=entry.type), self.codec.decode(entry.value))
            return event_message(envelope, self.event(origin, envelope))
        if origin.kind is Kind.OUT:
            return self.adopted(origin)
        kind: MessageKind = "command"
        data: Any = None
        if entry.type == HandOverRefused.__name__:
            kind, data = "told", msgspec.msgpack.decode(entry.value, type=HandOverRefused)
        elif entry.actor == TIMER:
            kind = "timer"
        else:
            data = self._commands[entry.stream].decode(entry.value)
        return Message(
            kind=kind,
            type=entry.type,
            data=data,
            case=entry.subject,
            id=entry.id,
            source=entry.actor,
            term=0,
            acted_at=instant(entry.acted_ms),
            recorded_at=instant(entry.recorded_ms),
        )


def had_effect(entry: Entry) -> bool:
    """Whether a row changed its case, and has not gone to an archive."""
    return entry.kind is not Kind.OUT and entry.outcome == "applied" and not is_stub(entry)


def event_message(envelope: Envelope, data: Any) -> Message:
    return Message(
        kind="event",
        type=envelope.type,
        data=data,
        case=envelope.subject,
        id=envelope.id,
        source=envelope.source,
        term=envelope.term,
        acted_at=envelope.acted_at,
        recorded_at=envelope.recorded_at,
    )


def _tuple_of(item: Any) -> Any:
    """The type of a tuple of these, made at run time."""
    return tuple.__class_getitem__((item, ...))
