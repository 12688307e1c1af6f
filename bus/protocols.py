"""What the bus asks of those who use it. It knows no permits and no cities: handlers bring them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bus.envelope import Envelope
    from bus.transport import Record

MessageKind = Literal["event", "command", "timer", "told", "adopted"]
"""Where a message comes from: an inbox, a person or system, the clock, a receipt that told us of a refusal, or, after
a restore, a receiver who gives back an event of ours: what it says has happened, whoever did it."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """What reaches a case."""

    kind: MessageKind
    type: str
    """Event type, command name or timer kind."""
    data: Any
    """The typed event or command; None for a timer."""
    case: str
    id: str
    source: str
    """The sending stream, the acting person or system, or "timer"; of an adopted event, who received it."""
    term: int
    acted_at: datetime
    """When the person acted; a timer's due instant. Legal limits compare this one."""
    recorded_at: datetime


class HandOverRefused(msgspec.Struct, frozen=True, gc=False):
    """Told to a sender's case: the receiver refused, finally, what was handed over."""

    type: str
    to: str
    """The receiving stream."""
    code: str
    reason: str


class Outgoing(Protocol):
    """An event to be sent."""

    @property
    def to(self) -> tuple[str, str]:
        """The inbox: stage and jurisdiction code."""

    @property
    def data(self) -> Any:
        """The event, an instance of a class of `schemas.models`."""

    @property
    def term(self) -> int: ...


class Decision(Protocol):
    """The answer of a case to a message."""

    @property
    def outcome(self) -> str:
        """applied, refused (final, and told) or waiting (for what `awaits` names)."""

    @property
    def code(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def field(self) -> str: ...
    @property
    def awaits(self) -> str:
        """What a waiting message waits for: "term:3" or "event:X" if another event of the case can bring it."""

    @property
    def facts(self) -> Sequence[Any]: ...
    @property
    def out(self) -> Sequence[Outgoing]: ...


class View(Protocol):
    """What the bus needs to know of a state: its name, whether it is open, and when it wants to be woken."""

    @property
    def status(self) -> str: ...
    @property
    def open(self) -> bool: ...
    @property
    def timers(self) -> Sequence[tuple[str, datetime]]: ...


class Handler(Protocol):
    """One stage of one jurisdiction: what it does with its cases. Pure; see law 6."""

    @property
    def stage(self) -> str: ...
    @property
    def code(self) -> str: ...
    @property
    def fact_type(self) -> Any: ...
    @property
    def command_type(self) -> Any: ...

    def decide(self, state: Any, message: Message) -> Decision: ...
    def evolve(self, state: Any, fact: Any) -> Any: ...
    def view(self, state: Any) -> View: ...


class Change(msgspec.Struct, frozen=True, gc=False):
    """One applied message, as projections see it."""

    row: int
    stream: str
    message: Message
    facts: Sequence[Any]
    before: Any
    """The state until then; None of a case that is new to the stream."""
    state: Any


class Projection(Protocol):
    """Tables beside the log that can be rebuilt by folding it; written in the transaction of the change."""

    def apply(self, connection: "Connection", changes: Sequence[Change]) -> None: ...

    def clear(self, connection: "Connection") -> None:
        """Empty the tables before a rebuild."""


class Command(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An act of a person or a system upon a case."""

    stream: str
    case: str
    data: Any
    actor: str
    acted_at: datetime
    key: str = ""
    """Idempotency key, unique within `caller`; empty for none."""
    caller: str = ""
    digest: bytes = b""
    """Of the request behind the key: the same key with another request is a conflict."""
    expects: int | None = None
    """The version of the case that the actor saw; None if it does not matter."""
    trace: str = ""
    """The `traceparent` of the request, handed on to what it causes."""


class Answer(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What a command came to, once it is durable."""

    case: str
    version: int
    """Number of the row that last changed the case; its ETag."""
    state: Any
    repeated: bool = False
    """True when the same key was answered before: nothing was done again."""


class Intake(Protocol):
    """How submissions from a topic that is no inbox become commands, and how they are answered."""

    topic: str
    type: str
    """The event type that the topic carries."""

    def command(self, record: "Record", data: Any) -> Command:
        """Raise `CommandRefused` if the submission can't become a command; it is answered all the same."""

    def answer(self, record: "Record", data: Any, result: Answer | Exception | None) -> Outgoing:
        """The reply, to ("intake-replies", code)."""

    def key(self, record: "Record") -> str:
        """The key of the reply: the local system's own."""


class Clock(Protocol):
    """Where time comes from (law 8)."""

    def now(self) -> datetime:
        """UTC, whole milliseconds."""


class SchemaSource(Protocol):
    """Where a writer's schema that is not known here may be fetched."""

    def fetch(self, schema_id: int, digest: bytes, source: str) -> str | None:
        """The schema's text, or None if it can't be had now. Never raises."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """What became of one record."""

    outcome: str
    """applied, duplicate, refused, waiting, parked, quarantined or ahead."""
    envelope: "Envelope | None"
    """None of a quarantined record: what it says can't be trusted."""
    topic: str
    hop_seconds: float | None
    """From recorded at the sender to recorded here, if it was applied."""


class Observer(Protocol):
    """Who watches: counts and times, never contents. Called from the bus's threads; must be quick and never raise."""

    def received(self, records: Sequence[Received]) -> None:
        """The records of one commit, once that is durable."""

    def sent(self, lane: str, events: Sequence[str]) -> None:
        """Rows of a lane, by their types, were handed to the transport."""

    def committed(self, seconds: float, items: int, rows: int) -> None: ...
    def changed(self, changes: Sequence[Change]) -> None: ...
    def alarm(self, kind: str, detail: str) -> None: ...


class Topology(Protocol):
    """Who has which inbox, and what may be sent where; fixed for the life of a process."""

    def partitions(self, topic: str) -> int:
        """Number of partitions of a topic; 0 if there is no such topic."""

    def reachable(self, stage: str) -> Mapping[str, int]:
        """The inboxes that a stage may send anything to, with their numbers of partitions."""

    def may_send(self, event: str, stage: str, to: str) -> bool | None:
        """Whether a stage may send an event to an inbox; None if nothing is known of the event (a newer one)."""
