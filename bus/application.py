"""The way of one message through one case: decide, fold, record, send on. Everything here writes into a unit.

`Application` knows who handles what; it holds no state of its own beyond what it was built with.
"""

import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy.exc import DBAPIError

from bus import envelope as env
from bus.books import Answered, Case, ExceptionRow, HeldRow, Lane
from bus.envelope import Envelope
from bus.errors import CaseHeld, CommandRefused, KeyReused, VersionConflict
from bus.holding import (
    ADOPTED,
    BEHIND,
    LOCAL_AWAITS,
    ORDER_AWAITS,
    RESTORED,
    Tried,
    hold,
    hold_on,
    may_act,
    may_overtake,
    stored,
    unhold,
)
from bus.ledger import Entry, Kind, milliseconds
from bus.protocols import Answer, Change, Command, Decision, Handler, HandOverRefused, Message
from bus.records import TIMER, Records, event_message
from bus.sending import CannotSendError, Sending
from bus.unit import Unit, local_entry
from schemas import BadPayload, NewerContract, UnknownSchema

_encode = msgspec.msgpack.Encoder().encode


class Application:
    """Applies messages to cases of the streams that a ledger hosts."""

    def __init__(self, handlers: Mapping[str, Handler], records: Records, sending: Sending) -> None:
        self.handlers = handlers
        self.records = records
        self.sending = sending

    # Commands: raise, or answer.

    def command(self, unit: Unit, command: Command) -> Answer:
        """Apply an act.

        Raises:
            CommandRefused, VersionConflict, KeyReused, CaseHeld, CannotSendError: nothing is changed.
        """
        origin = env.keyed_cause(command.caller, command.key) if command.key else ""
        if origin:
            before = unit.answered(command.caller, command.key) or unit.answered("", origin)
            if before:
                return self._repeat(unit, command, before)
        held = unit.held_rows(command.stream, command.case)
        if not may_act(held):
            raise CaseHeld(command.case, held[0].status, held[0].reason)
        case = unit.case(command.stream, command.case)
        version = case.version if case else 0
        if command.expects is not None and command.expects != version:
            raise VersionConflict(command.case, command.expects, version)
        row = unit.next_row
        message = Message(
            kind="command",
            type=type(command.data).__name__,
            data=command.data,
            case=command.case,
            id=str(row),
            source=command.actor,
            term=0,
            acted_at=_whole(command.acted_at),
            recorded_at=unit.now,
        )
        handler = self.handlers[command.stream]
        decision = handler.decide(case.state if case else None, message)
        if decision.outcome != "applied":
            raise CommandRefused(decision.code, decision.reason, decision.field)
        entry = self._local(
            unit,
            command.stream,
            message,
            decision,
            value=_encode(command.data),
            head=command.trace.encode(),
        )
        state = self._fold(unit, command.stream, case, message, decision, entry, command.trace, origin)
        if command.key:
            answered = Answered(command.digest, command.stream, command.case, row)
            unit.set_answer(command.caller, command.key, answered)
        if held:
            self.release(unit, command.stream, command.case)
        return Answer(case=command.case, version=row, state=state)

    def _repeat(self, unit: Unit, command: Command, before: Answered) -> Answer:
        if before.digest not in (command.digest, b""):  # empty: what came of it was given back, it was lost
            raise KeyReused(f"key {command.key} was used before for another request")
        case = unit.case(before.stream, before.subject)
        if case is None:
            raise KeyReused(f"key {command.key} was used for a case that is no longer here")
        return Answer(case=before.subject, version=before.version, state=case.state, repeated=True)

    # What comes by itself: timers, refusals told by receipts.

    def timer(self, unit: Unit, stream: str, subject: str, kind: str, due: datetime) -> None:
        """A timer takes effect at its due instant, whenever that is noticed (law 8)."""
        case = unit.case(stream, subject)
        held = unit.held_rows(stream, subject)
        if case is None or (kind, due) not in case.timers or not may_act(held):
            return
        message = Message(
            kind="timer",
            type=kind,
            data=None,
            case=subject,
            id=str(unit.next_row),
            source=TIMER,
            term=0,
            acted_at=due,
            recorded_at=unit.now,
        )
        decision = self.handlers[stream].decide(case.state, message)
        entry = self._local(unit, stream, message, decision)
        if decision.outcome == "applied":
            self._fold(unit, stream, case, message, decision, entry, "")
            if held:
                self.release(unit, stream, subject)
        else:
            unit.append(entry)
            unit.timer_done(stream, subject, kind)

    def told(self, unit: Unit, stream: str, subject: str, refusal: HandOverRefused) -> None:
        """The case learns that the receiver refused, finally, what it was handed (law 4)."""
        case = unit.case(stream, subject)
        if case is None:
            return
        message = Message(
            kind="told",
            type=type(refusal).__name__,
            data=refusal,
            case=subject,
            id=str(unit.next_row),
            source=refusal.to,
            term=0,
            acted_at=unit.now,
            recorded_at=unit.now,
        )
        decision = self.handlers[stream].decide(case.state, message)
        entry = self._local(unit, stream, message, decision, value=_encode(refusal))
        if decision.outcome == "applied":
            self._fold(unit, stream, case, message, decision, entry, "")
        else:
            unit.append(entry)

    # Events that took their number.

    def event(
        self, unit: Unit, stream: str, lane: Lane, entry: Entry, envelope: Envelope, failure: str = ""
    ) -> str:
        """Take an event whose number is next: applied, refused, waiting or parked (laws 3 and 5).

        `failure` says why the ledger did not take what came of it before: then it is not tried, but parked.
        """
        if unit.restoring:
            why = "恢复未完 / what we said before is not known yet"
            return hold(unit, lane, entry, "waiting", "restoring", why, RESTORED)
        held = unit.held_rows(stream, entry.subject)
        if held and not may_overtake(held, lane.name):
            return hold(unit, lane, entry, "waiting", BEHIND, f"row {held[0].row}", f"row:{held[0].row}")
        if failure:
            return hold(unit, lane, entry, "parked", "not_storable", failure, "")
        point = unit.mark()
        try:
            data = self.records.event(entry, envelope)
            outcome = self._decide_event(unit, stream, lane, entry, envelope, data)
        except DBAPIError:
            raise  # the ledger's trouble is not the case's: all of it is tried again
        except Exception as error:  # noqa: BLE001 - law 5: one bad case never stops its lane
            unit.take_back(point)
            return hold(unit, lane, entry, *_why(envelope, error))
        if held:
            self._cause_came(unit, stream, entry.subject, envelope)
        if outcome == "applied" and held:
            self.release(unit, stream, entry.subject)
        return outcome

    def _decide_event(
        self, unit: Unit, stream: str, lane: Lane, entry: Entry, envelope: Envelope, data: Any
    ) -> str:
        case = unit.case(stream, entry.subject)
        message = event_message(envelope, data)
        decision = self.handlers[stream].decide(case.state if case else None, message)
        match decision.outcome:
            case "applied":
                facts = _encode(tuple(decision.facts))
                applied = msgspec.structs.replace(entry, outcome="applied", facts=facts)
                self._fold(unit, stream, case, message, decision, applied, envelope.trace)
            case "refused":
                refused = msgspec.structs.replace(
                    entry, outcome="refused", code=decision.code, reason=decision.reason
                )
                unit.append(refused)
                row = ExceptionRow("refused", decision.code, decision.reason, entry.row)
                unit.set_exception(lane, entry.number, row)
            case "waiting":
                hold(unit, lane, entry, "waiting", decision.code, decision.reason, decision.awaits)
        return decision.outcome

    # Held rows.

    def release(self, unit: Unit, stream: str, subject: str) -> list[Tried]:
        """Try the held rows of a case again, in order, until one can't go on; gives what became of each."""
        tried: list[Tried] = []
        while self._release_one(unit, stream, subject, tried):
            pass
        return tried

    def _release_one(self, unit: Unit, stream: str, subject: str, tried: list[Tried]) -> bool:
        """The first of what we had said, if it can be; else the first that was taken.

        Where that waits for another event of its case, which may have come behind it by another lane, the first of
        each other lane is tried too (see `may_overtake`).
        """
        held = unit.held_rows(stream, subject)
        said = [(row, stored(unit, row.row)) for row in held if row.code == ADOPTED]
        said.sort(key=lambda pair: env.order(pair[1].id))
        if said and said[0][0].awaits == LOCAL_AWAITS and self._adopt(unit, stream, *said[0]):
            tried.append(Tried(said[0][0].row, said[0][1].type, "applied", ADOPTED, "", ""))
            return True
        lanes: set[str] = set()
        for row in held:
            if row.code == ADOPTED or row.lane in lanes:
                continue
            lanes.add(row.lane)
            tried.append(self._try(unit, stream, row, stored(unit, row.row)))
            if tried[-1].outcome in ("applied", "refused"):
                return True
            if not tried[-1].awaits.startswith(ORDER_AWAITS):
                return False
        return False

    def _adopt(self, unit: Unit, stream: str, row: HeldRow, entry: Entry) -> bool:
        """Let an event of our own that was given back tell its case; False if that does not fit yet."""
        point = unit.mark()
        try:
            message = self.records.adopted(entry)
            case = unit.case(stream, entry.subject)
            decision = self.handlers[stream].decide(case.state if case else None, message)
            if decision.outcome == "applied":
                self.settle(unit, stream, entry, row, message, decision, case)
        except DBAPIError:
            raise
        except Exception:  # noqa: BLE001 - as in `event`; it stays held, for people to see
            unit.take_back(point)
            return False
        return bool(decision.outcome == "applied")

    def _try(self, unit: Unit, stream: str, row: HeldRow, entry: Entry) -> Tried:
        envelope = env.read(entry.head)
        point = unit.mark()
        try:
            message = event_message(envelope, self.records.event(entry, envelope))
            case = unit.case(stream, entry.subject)
            decision = self.handlers[stream].decide(case.state if case else None, message)
            if decision.outcome == "waiting":
                why = ("waiting", decision.code, decision.reason, decision.awaits)
                hold_on(unit, entry, row, *why)
                return Tried(row.row, entry.type, *why)
            self.settle(unit, stream, entry, row, message, decision, case)
        except DBAPIError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `event`
            unit.take_back(point)
            why = _why(envelope, error)
            hold_on(unit, entry, row, *why)
            return Tried(row.row, entry.type, *why)
        self._cause_came(unit, stream, entry.subject, envelope)
        return Tried(row.row, entry.type, decision.outcome, decision.code, decision.reason, "")

    def _cause_came(self, unit: Unit, stream: str, subject: str, cause: Envelope) -> None:
        """What we had said because of this event, and did not say again now, waits for nothing more."""
        awaits = f"event:{env.event_cause(cause.source, cause.id)}"
        held = unit.held_rows(stream, subject)
        if any(row.awaits == awaits and row.code == ADOPTED for row in held):
            unit.set_held(
                stream,
                subject,
                tuple(
                    row._replace(awaits=LOCAL_AWAITS) if (row.awaits, row.code) == (awaits, ADOPTED) else row
                    for row in held
                ),
            )

    def settle(
        self,
        unit: Unit,
        stream: str,
        entry: Entry,
        row: HeldRow,
        message: Message,
        decision: Decision,
        case: Case | None,
        **values: Any,
    ) -> None:
        """Apply or refuse a held row as decided; `values` stand in the row of the log that says so."""
        settled = self._local(unit, stream, message, decision, cause=entry.row, **values)
        if decision.outcome == "applied":
            unhold(unit, entry, row, None)
            envelope = env.read(entry.head)
            origin = envelope.causation if entry.kind is Kind.OUT else ""
            self._fold(unit, stream, case, message, decision, settled, envelope.trace, origin)
        else:
            unit.append(settled)
            refused = ExceptionRow("refused", decision.code, decision.reason, settled.row)
            unhold(unit, entry, row, refused)

    # Recording and sending on.

    def _local(self, unit: Unit, stream: str, message: Message, decision: Decision, **values: Any) -> Entry:
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

    def _fold(
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


def _why(envelope: Envelope, error: Exception) -> tuple[str, str, str, str]:
    """Status, code, reason and what is awaited, of an event that met this error."""
    match error:
        case NewerContract():
            return "waiting", "contract", str(error), f"contract:{envelope.type}"
        case UnknownSchema():
            return "waiting", "schema", str(error), f"schema:{envelope.digest.hex()}"
        case BadPayload():
            return "parked", "undecodable", str(error), ""
        case CannotSendError():
            return "parked", error.code, str(error), ""
        case _:
            return "parked", "handler_error", place_of(error), ""


def place_of(error: BaseException) -> str:
    """What failed and where, without its message, which may repeat personal data (law 10)."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return type(error).__name__ + where


def _whole(instant: datetime) -> datetime:
    """UTC and whole milliseconds, as everything that is recorded."""
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
