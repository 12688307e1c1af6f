"""What the three stages have in common: looking a message up in the table, and the guards before it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar, Final, NamedTuple, Protocol

from msgspec import Struct
from msgspec.structs import replace

from cases import commands
from cases.clock import LegalClock
from cases.decision import Decision, Message, View, applied, waiting
from cases.facts import AttentionCleared, AttentionRaised, Claimed, Fact, Released
from cases.phases import ENDS, PHASE_NAMES, Phase
from cases.reasons import Refusal, not_applicable, refused
from jurisdictions import Directory, Invalid, Item
from jurisdictions import Stage as StageName
from schemas.models import EVENTS, CaseFile, Office

DEEMED_ACCEPTANCE: Final = "deemed_acceptance"
"""Kind of the timer that accepts a case when the five-day duty lapses."""

TOLD: Final = "HandOverRefused"

_KINDS: Final[dict[str, str]] = {
    **{model.__name__: "event" for model in EVENTS.values()},
    **{command.__name__: "command" for command in commands.Command.__subclasses__()},
    DEEMED_ACCEPTANCE: "timer",
    TOLD: "told",
}
_UNGUARDED: Final = frozenset({"Claim", "Release", "Attend"})


class Attention(Struct, frozen=True, gc=False):
    """A hand-over of the case that its receiver refused: somebody has to look."""

    type: str
    to: str
    code: str
    reason: str


class Adoption(NamedTuple):
    """What an event of our own, given back after a restore, makes of its case."""

    command: str
    """What was done: where the case can't take this, the event waits."""
    act: "Act"
    told: Phase | None = None
    """The phase in which the same act was made known by an event to another stage already."""
    again: "Act" = lambda _stage, _state, _message: applied()
    """What the event adds then."""
    over: Phase | None = None
    """The phase to which what came after the act may have brought the case before the act was known again."""


class CaseState(Protocol):
    """What the stages' states have in common."""

    @property
    def phase(self) -> Phase: ...
    @property
    def term(self) -> int: ...
    @property
    def attention(self) -> Attention | None: ...


Act = Callable[[Any, Any, Message], Decision]
"""(stage, state, message) → decision."""
Table = Mapping[tuple[Phase | None, str], Act]
Fold = Callable[[Any, Any], dict[str, Any]]
"""(state, fact) → what changes."""


class Stage(ABC):
    """One stage of the jurisdiction `code`, judging by `directory`. Pure, and shared by all threads."""

    stage: ClassVar[str]
    fact_type: ClassVar[Any]
    command_type: ClassVar[Any]
    rows: ClassVar[Table]
    folds: ClassVar[Mapping[type[Fact], Fold]]
    adopts: ClassVar[Mapping[str, Adoption]]

    def __init__(self, code: str, directory: Directory) -> None:
        self.code = code
        self.directory = directory
        self.clock = LegalClock(directory)
        self._known = frozenset(kind for _, kind in self.rows)

    def decide(self, state: Any, message: Message) -> Decision:
        """The answer to any message in any state (None: no such case yet). Never raises."""
        return (self._adopt if message.kind == "adopted" else self._judge)(state, message)

    def _judge(self, state: Any, message: Message) -> Decision:
        kind = _KINDS.get(message.type)
        if message.type not in self._known or kind is None:
            return refused(Refusal.UNKNOWN_TYPE)
        if message.kind != kind or (kind != "timer" and type(message.data).__name__ != message.type):
            return refused(Refusal.MALFORMED)
        guard = self._guard(state, message)
        if guard is not None:
            return guard
        act = self.rows.get((None if state is None else state.phase, message.type))
        if act is None:
            return self.default(state, message)
        try:
            return act(self, state, message)
        except (Invalid, OverflowError) as error:  # an instant outside of all calendars
            return refused(Refusal.INVALID, error.field if isinstance(error, Invalid) else "")

    def evolve(self, state: Any, fact: Any) -> Any:
        """The state after one stored fact."""
        if state is None:
            return self._begin(fact)
        fold = self.folds.get(type(fact))
        changes = {} if fold is None else fold(state, fact)
        if fact.phase is not None:
            changes["phase"] = fact.phase
        return replace(state, **changes) if changes else state

    def view(self, state: Any) -> View:
        """Status, whether open, and timers of a state."""
        return View(str(state.phase), state.phase not in ENDS, self._timers(state))

    def item(self, file: CaseFile) -> Item:
        """The item in the version by which the case is judged to its end (law 9).

        Raises:
            Invalid: the directory has no such item or version.
        """
        return self.directory.item(file.item.code, file.item.version)

    def office(self, file: CaseFile) -> Office:
        """The body responsible for the item, acting here."""
        item = self.item(file)
        body = item.body
        if self.directory.serving(StageName.REVIEW, item.owner) != self.code:  # transferred here
            with suppress(Invalid):
                body = self.directory.implement(item.basic_code, self.code).body
        return Office(jurisdiction=self.code, name=body.name_zh, code=body.credit_code)

    def default(self, state: CaseState | None, message: Message) -> Decision:
        """The answer to every pair that is not in the table."""
        if state is None:
            return refused(Refusal.UNKNOWN_CASE)
        if message.kind == "timer":
            return refused(Refusal.TIMER_MOOT)
        zh, en = PHASE_NAMES[state.phase]
        return not_applicable(zh, en, message.type)

    def _adopt(self, state: Any, message: Message) -> Decision:
        """An event that this stage sent, before its ledger was restored to an earlier state (law 11)."""
        adoption = self.adopts.get(message.type)
        if adoption is None or type(message.data).__name__ != message.type:
            return refused(Refusal.UNKNOWN_TYPE)
        phase = None if state is None else state.phase
        try:
            overtaken = phase is not None and phase is adoption.over
            if overtaken or (phase, adoption.command) in self.rows:
                return adoption.act(self, state, message)
            if phase is not None and phase is adoption.told:
                return adoption.again(self, state, message)
        except (Invalid, OverflowError) as error:
            return refused(Refusal.INVALID, error.field if isinstance(error, Invalid) else "")
        return waiting("event:", "等待在它之前发生的事 / waits for what came before it")

    @abstractmethod
    def _begin(self, fact: Any) -> Any:
        """The first state, from the fact that opens a case here."""

    def _timers(self, state: Any) -> tuple[tuple[str, Any], ...]:  # noqa: ARG002 - most states have none
        return ()

    @abstractmethod
    def _event_guard(self, state: Any, message: Message) -> Decision | None:
        """Whether an event comes from who may speak to this case, in this term."""

    def _guard(self, state: Any, message: Message) -> Decision | None:
        if message.kind == "event":
            return self._event_guard(state, message)
        if message.kind == "command" and message.type not in _UNGUARDED:
            holder = getattr(state, "claimed_by", None)
            if holder is not None and holder != message.source:
                return refused(Refusal.CLAIMED)
        return None


def stamp(message: Message) -> tuple[datetime, datetime, str]:
    """When, recorded when and by whom: the beginning of every fact."""
    return message.acted_at, message.recorded_at, message.source


def sender(message: Message) -> tuple[str, str]:
    """Jurisdiction and stage of the stream an event came from."""
    return _place(message.source)


@lru_cache(maxsize=1024)
def _place(stream: str) -> tuple[str, str]:
    code, _, stage = stream.partition("/")
    return code, stage.partition("/")[0]


# Rows that stand in several tables.


def claim(_stage: Stage, state: Any, message: Message) -> Decision:
    """领取任务."""
    if state.claimed_by is not None and state.claimed_by != message.source:
        return refused(Refusal.CLAIMED)
    return applied(Claimed(*stamp(message)))


def release(_stage: Stage, state: Any, message: Message) -> Decision:
    """退回任务."""
    if state.claimed_by is None:
        return refused(Refusal.NOT_CLAIMED)
    if state.claimed_by != message.source and not message.data.reason.strip():
        return refused(Refusal.MISSING, "reason")
    return applied(Released(*stamp(message), reason=message.data.reason))


def raise_attention(_stage: Stage, _state: Any, message: Message) -> Decision:
    """A hand-over was refused."""
    told = message.data
    return applied(
        AttentionRaised(*stamp(message), type=told.type, to=told.to, code=told.code, reason=told.reason)
    )


def attend(_stage: Stage, state: CaseState, message: Message) -> Decision:
    """Clears the attention mark."""
    if state.attention is None:
        return refused(Refusal.NOTHING_TO_ATTEND)
    if not message.data.note.strip():
        return refused(Refusal.MISSING, "note")
    return applied(AttentionCleared(*stamp(message), note=message.data.note))


_EVERYWHERE: Final[dict[str, Act]] = {TOLD: raise_attention, "Attend": attend}


def table(rows: Mapping[Phase | None, Mapping[str, Act]]) -> Table:
    """A stage's table from its rows by phase, with those that stand in every phase."""
    common: dict[tuple[Phase | None, str], Act] = {
        (phase, kind): act for phase in Phase for kind, act in _EVERYWHERE.items()
    }
    return common | {(phase, kind): act for phase, acts in rows.items() for kind, act in acts.items()}


COMMON_FOLDS: Final[dict[type[Fact], Fold]] = {
    Claimed: lambda _state, fact: {"claimed_by": fact.by},
    Released: lambda _state, _fact: {"claimed_by": None},
    AttentionRaised: lambda _state, fact: {
        "attention": Attention(type=fact.type, to=fact.to, code=fact.code, reason=fact.reason)
    },
    AttentionCleared: lambda _state, _fact: {"attention": None},
}
