"""Trying the held rows of a case again, in the order in which they take effect (law 5)."""

from typing import Any

from sqlalchemy.exc import DBAPIError

from bus import envelope as env
from bus.books import ExceptionRow, HeldRow
from bus.effects import Effects
from bus.envelope import Envelope
from bus.failures import why_held
from bus.holding import ADOPTED, LOCAL_AWAITS, ORDER_AWAITS, Tried, hold_on, stored, unhold
from bus.ledger import Entry, Kind
from bus.protocols import Decision, Message
from bus.records import Case, event_message
from bus.unit import Unit


class Releasing:
    """Of held rows, with the effects they have."""

    def __init__(self, effects: Effects) -> None:
        self._effects = effects
        self._records = effects.records

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
            message = self._records.adopted(entry)
            case = unit.case(stream, entry.subject)
            decision = self._effects.decide(unit, stream, case, message)
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
            message = event_message(envelope, self._records.event(entry, envelope))
            case = unit.case(stream, entry.subject)
            decision = self._effects.decide(unit, stream, case, message)
            if decision.outcome == "waiting":
                why = ("waiting", decision.code, decision.reason, decision.awaits)
                hold_on(unit, entry, row, *why)
                return Tried(row.row, entry.type, *why)
            self.settle(unit, stream, entry, row, message, decision, case)
        except DBAPIError:
            raise
        except Exception as error:  # noqa: BLE001 - as in `event`
            unit.take_back(point)
            why = why_held(envelope, error)
            hold_on(unit, entry, row, *why)
            return Tried(row.row, entry.type, *why)
        self.cause_came(unit, stream, entry.subject, envelope)
        return Tried(row.row, entry.type, decision.outcome, decision.code, decision.reason, "")

    def cause_came(self, unit: Unit, stream: str, subject: str, cause: Envelope) -> None:
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
        settled = self._effects.local(unit, stream, message, decision, cause=entry.row, **values)
        if decision.outcome == "applied":
            unhold(unit, entry, row, None)
            envelope = env.read(entry.head)
            origin = envelope.causation if entry.kind is Kind.OUT else ""
            self._effects.fold(unit, stream, case, message, decision, settled, envelope.trace, origin)
        else:
            unit.append(settled)
            refused = ExceptionRow("refused", decision.code, decision.reason, settled.row)
            unhold(unit, entry, row, refused)
