"""What a case is asked and what it answers: the seam to whatever mechanism carries messages."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Protocol

from msgspec import Struct

from schemas import Event

MessageKind = Literal["event", "command", "timer", "told", "adopted"]
"""Where a message comes from: an inbox, a person or system, the clock, a receipt that told of a refusal, or a receiver
who gives back an event of ours that we lost (its `source` is that receiver)."""


class Message(Protocol):
    """What reaches a case. `acted_at` is when the person acted (a timer's due instant); legal limits compare it."""

    @property
    def kind(self) -> MessageKind: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> Any: ...
    @property
    def case(self) -> str: ...
    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def term(self) -> int: ...
    @property
    def acted_at(self) -> datetime: ...
    @property
    def recorded_at(self) -> datetime: ...


class Outcome(StrEnum):
    """What became of a message."""

    APPLIED = "applied"
    REFUSED = "refused"  # final, and told to the sender
    WAITING = "waiting"  # for what `awaits` names


class Outgoing(Struct, frozen=True, gc=False):
    """An event to be sent to the inbox `to` = (stage, jurisdiction code), under the part's `term`."""

    to: tuple[str, str]
    data: Event
    term: int


class Decision(Struct, frozen=True, gc=False):
    """The answer to a message. `facts` are to be stored and folded, `out` to be sent, if it is applied.

    `reason` is in Chinese and English and never holds personal data; `field` names what was wrong in the message.
    """

    outcome: Outcome
    code: str = ""
    reason: str = ""
    field: str = ""
    awaits: str = ""
    facts: tuple[Any, ...] = ()
    out: tuple[Outgoing, ...] = ()


class View(Struct, frozen=True, gc=False):
    """What the outside sees of a state: its name, whether it is open, and when it wants to be woken for what."""

    status: str
    open: bool
    timers: tuple[tuple[str, datetime], ...]


def applied(*facts: Any, out: tuple[Outgoing, ...] = ()) -> Decision:
    """The message takes effect."""
    return Decision(Outcome.APPLIED, facts=facts, out=out)


def waiting(awaits: str, reason: str) -> Decision:
    """The message can only be judged when `awaits` ("term:3", "directory:2026.2") is here."""
    return Decision(Outcome.WAITING, code="waits", reason=reason, awaits=awaits)
