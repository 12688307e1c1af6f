"""What a message comes to: what its case decides, and what that leaves behind: its row in the log, the case's new state, and
what is sent on because of it. All of it is written into a unit.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from bus import envelope as env
from bus.books import HeldRow
from bus.holding import ADOPTED, stored, unhold
from bus.ledger import Entry, milliseconds
from bus.protocols import Change, Decision, Handler, Message
from bus.records import Case, Records
from bus.sending import Sending
from bus.unit import Unit, local_entry

_encode = msgspec.msgpack.Encoder().encode


class Archived(msgspec.Struct, frozen=True):
    """The decision on whatever comes for a case whose rows have gone to an archive: nobody here can judge it."""

    outcome: str = "refused"
    code: str = "archived"
    reason: str = "此办件已归档 / this case is in an archive"
    field: str = ""
    awaits: str = ""
    facts: tuple[Any, ...] = ()
    out: tuple[Any, ...] = ()


ARCHIVED = Archived()


class Effects:
    """Of messages to cases of the streams that a ledger hosts."""

    def __init__(self, handlers: Mapping[str, Handler], records: Records, sending: Sending) -> None:
        self.handlers = handlers
        self.records = records
        self.sending = sending

    def decide(self, unit: Unit, stream: str, case: Case | None, message: Message) -> Decision:
        """What a case, as it is now, makes of a message."""
        if case is None and (stream, message.case) in unit.books.archived:
            return ARCHIVED
        return self.handlers[stream].decide(case.state if case else None, message)

    def local(self, unit: Unit, stream: str, message: Message, decision: Decision, **values: Any) -> Entry:
        said = {"actor": message.source, "code": decision.code, "reason": decision.reason} | values
        return local_entry(
            unit,
            stream,
            message.case,
            message.type,
            id=message.id,
            acted_ms=milliseconds(message.acted_at),
            outcome=decision.outcome,
            facts=_encode(tuple(decision.facts)) if decision.facts else b"",
            **said,
        )

    def fold(
        self,
        unit: Unit,
        stream: str,
        case: Case | None,
        message: Message,
        decision: Decision,
        entry: Entry,
        trace: str,
        origin: str = "",
    ) -> Any:
        """Record the row, fold its facts, send what follows from it, and names `origin` as its cause.

        Returns the new state.
        """
        handler = self.handlers[stream]
        unit.append(entry)
        state = before = case.state if case else None
        for fact in decision.facts:
            state = handler.evolve(state, fact)
        unit.set_case(stream, message.case, Case(entry.row, state, handler.view(state)))
        if decision.out:
            self._send(unit, handler, message, decision, trace, origin or self._origin(unit, message, entry))
        unit.changes.append(Change(entry.row, stream, message, decision.facts, before, state))
        return state

    @staticmethod
    def _origin(unit: Unit, message: Message, entry: Entry) -> str:
        """What an event that follows from a message names as its cause."""
        if message.kind == "event":
            return env.event_cause(message.source, message.id)
        return env.local_cause(unit.incarnation, entry.row)

    def _send(
        self, unit: Unit, handler: Handler, message: Message, decision: Decision, trace: str, origin: str
    ) -> None:
        """Send what follows, save what we had said before because of the same, and was given back to us (law 11)."""
        source = (handler.stage, handler.code)
        again = message.kind in ("command", "timer")
        said = self._said(unit, env.stream_of(*source), message.case, origin, again=again)
        for outgoing in decision.out:
            row = None
            if said:
                same = self.sending.lane_name(source, outgoing.to, message.case), type(outgoing.data).__name__
                row = next((row for row in said if said[row] == same), None)
            if row is None:
                self.sending.send(unit, source, outgoing, message, trace, origin)
            else:
                del said[row]
                if message.kind != "adopted":  # else it tells its case itself what it says
                    unhold(unit, stored(unit, row.row), row, None)

    def _said(
        self, unit: Unit, stream: str, subject: str, origin: str, *, again: bool
    ) -> dict[HeldRow, tuple[str, str]]:
        """Lane and type of events that were given back to us and came of the same cause, in order.

        `again`: or of any act, which is done again now.
        """
        said = {}
        for row in unit.held_rows(stream, subject):
            if row.code == ADOPTED:
                entry = stored(unit, row.row)
                cause = env.read(entry.head).causation
                if cause == origin or (again and env.is_local(cause)):
                    said[row] = (entry.lane, entry.type)
        return said
