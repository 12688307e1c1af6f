"""The way of one message through one case: decide, and let it have its effects. Everything here writes into a unit.

`Application` knows who handles what; it holds no state of its own beyond what it was built with.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy.exc import DBAPIError

from bus import envelope as env
from bus.books import Answered, ExceptionRow, Lane
from bus.effects import Effects
from bus.envelope import Envelope
from bus.errors import CaseHeld, CommandRefused, KeyReused, VersionConflict
from bus.failures import why_held
from bus.holding import BEHIND, RESTORED, hold, may_act, may_overtake
from bus.ledger import Entry
from bus.protocols import Answer, Command, HandOverRefused, Message
from bus.records import TIMER, event_message
from bus.releasing import Releasing
from bus.unit import Unit

_encode = msgspec.msgpack.Encoder().encode


class Application:
    """Applies messages to cases of the streams that a ledger hosts."""

    def __init__(self, effects: Effects) -> None:
        self.records = effects.records
        self.sending = effects.sending
        self.releasing = Releasing(effects)
        self.effects = effects

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
        decision = self.effects.decide(unit, command.stream, case, message)
        if decision.outcome != "applied":
            raise CommandRefused(decision.code, decision.reason, decision.field)
        entry = self.effects.local(
            unit,
            command.stream,
            message,
            decision,
            value=_encode(command.data),
            head=command.trace.encode(),
        )
        state = self.effects.fold(unit, command.stream, case, message, decision, entry, command.trace, origin)
        if command.key:
            answered = Answered(command.digest, command.stream, command.case, row)
            unit.set_answer(command.caller, command.key, answered)
        if held:
            self.releasing.release(unit, command.stream, command.case)
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
        if case is None or (kind, due) not in case.view.timers or not may_act(held):
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
        decision = self.effects.decide(unit, stream, case, message)
        entry = self.effects.local(unit, stream, message, decision)
        if decision.outcome == "applied":
            self.effects.fold(unit, stream, case, message, decision, entry, "")
            if held:
                self.releasing.release(unit, stream, subject)
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
        decision = self.effects.decide(unit, stream, case, message)
        entry = self.effects.local(unit, stream, message, decision, value=_encode(refusal))
        if decision.outcome == "applied":
            self.effects.fold(unit, stream, case, message, decision, entry, "")
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
            return hold(unit, lane, entry, *why_held(envelope, error))
        if held:
            self.releasing.cause_came(unit, stream, entry.subject, envelope)
        if outcome == "applied" and held:
            self.releasing.release(unit, stream, entry.subject)
        return outcome

    def _decide_event(
        self, unit: Unit, stream: str, lane: Lane, entry: Entry, envelope: Envelope, data: Any
    ) -> str:
        case = unit.case(stream, entry.subject)
        message = event_message(envelope, data)
        decision = self.effects.decide(unit, stream, case, message)
        match decision.outcome:
            case "applied":
                facts = _encode(tuple(decision.facts))
                applied = msgspec.structs.replace(entry, outcome="applied", facts=facts)
                self.effects.fold(unit, stream, case, message, decision, applied, envelope.trace)
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


def _whole(instant: datetime) -> datetime:
    """UTC and whole milliseconds, as everything that is recorded."""
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)
