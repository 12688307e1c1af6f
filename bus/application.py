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
from bus.envelope import Envelope
from bus.errors import BusError, CaseHeld, CommandRefused, KeyReused, VersionConflict
from bus.ledger import Entry, Kind, instant, milliseconds
from bus.protocols import (
    Answer,
    Change,
    Command,
    Decision,
    Handler,
    HandOverRefused,
    Message,
    MessageKind,
    Outgoing,
    Topology,
)
from bus.unit import Answered, Case, ExceptionRow, HeldRow, Lane, Unit, local_entry
from schemas import BadPayload, Codec, Invalid, NewerContract, UnknownSchema

MAX_BODY = 900_000
"""Bytes; brokers take 1 MiB a record by default, headers included. Files travel as claim checks."""
UNRECEIPTED = {"intake-replies", "supervision"}
"""Stages of topics whose readers give no receipts: an acknowledged row is done."""
ORDER_AWAITS = ("event:", "term:")
"""How `awaits` begins where another event of the same case can bring it; all else comes from outside the case."""


TIMER = "timer"
"""Who acts when a timer takes effect."""


class CannotSendError(BusError):
    """An event that must not be committed: its size, schema or route is wrong (law 2)."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class Application:
    """Applies messages to cases of the streams that a ledger hosts."""

    def __init__(self, handlers: Mapping[str, Handler], codec: Codec, topology: Topology) -> None:
        self.handlers = handlers
        self.codec = codec
        self.topology = topology
        self._facts = {
            name: msgspec.msgpack.Decoder(_tuple_of(handler.fact_type)) for name, handler in handlers.items()
        }
        self._roads: dict[tuple[tuple[str, str], tuple[str, str]], tuple[str, int, str, int]] = {}
        """Topics and partitions from inbox to inbox, as the topology says for good."""
        self._commands = {
            name: msgspec.msgpack.Decoder(handler.command_type) for name, handler in handlers.items()
        }

    # Commands: raise, or answer.

    def command(self, unit: Unit, command: Command) -> Answer:
        """Apply an act.

        Raises:
            CommandRefused, VersionConflict, KeyReused, CaseHeld, CannotSendError: nothing is changed.
        """
        if command.key:
            before = unit.answered(command.caller, command.key)
            if before:
                return self._repeat(unit, command, before)
        held = unit.held_rows(command.stream, command.case)
        if held:
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
            value=msgspec.msgpack.encode(command.data),
            headers=((env.TRACEPARENT, command.trace.encode()),) if command.trace else (),
        )
        state = self._fold(unit, command.stream, case, message, decision, entry, command.trace)
        if command.key:
            answered = Answered(command.digest, command.stream, command.case, row)
            unit.set_answer(command.caller, command.key, answered)
        return Answer(case=command.case, version=row, state=state)

    def _repeat(self, unit: Unit, command: Command, before: Answered) -> Answer:
        if before.digest != command.digest:
            raise KeyReused(f"key {command.key} was used before for another request")
        case = unit.case(before.stream, before.subject)
        if case is None:
            raise KeyReused(f"key {command.key} was used for a case that is no longer here")
        return Answer(case=before.subject, version=before.version, state=case.state, repeated=True)

    # What comes by itself: timers, refusals told by receipts.

    def timer(self, unit: Unit, stream: str, subject: str, kind: str, due: datetime) -> None:
        """A timer takes effect at its due instant, whenever that is noticed (law 8)."""
        case = unit.case(stream, subject)
        if case is None or (kind, due) not in case.timers or unit.held_rows(stream, subject):
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
        entry = self._local(unit, stream, message, decision, value=msgspec.msgpack.encode(refusal))
        if decision.outcome == "applied":
            self._fold(unit, stream, case, message, decision, entry, "")
        else:
            unit.append(entry)

    # Events that took their number.

    def event(self, unit: Unit, stream: str, lane: Lane, entry: Entry, envelope: Envelope) -> str:
        """Take an event whose number is next: applied, refused, waiting or parked (laws 3 and 5)."""
        held = unit.held_rows(stream, entry.subject)
        if held and not _may_overtake(held, lane.name):
            return self._hold(
                unit, lane, entry, "waiting", "behind", f"row {held[0].row}", f"row:{held[0].row}"
            )
        point = unit.mark()
        try:
            data = self.decode(entry, envelope)
            outcome = self._decide_event(unit, stream, lane, entry, envelope, data)
        except DBAPIError:
            raise  # the ledger's trouble is not the case's: all of it is tried again
        except Exception as error:  # noqa: BLE001 - law 5: one bad case never stops its lane
            unit.take_back(point)
            return self._hold(unit, lane, entry, *_why(envelope, error))
        if outcome == "applied" and held:
            self.release(unit, stream, entry.subject)
        return outcome

    def decode(self, entry: Entry, envelope: Envelope) -> Any:
        """The typed event of an in row. Raises BadPayload or UnknownSchema."""
        if envelope.type == env.TOMBSTONE:
            raise BadPayload("a tombstone: the sender could not write the original; ask it what it was")
        data = self.codec.decode(entry.value, envelope.digest)
        if type(data).__name__ != envelope.type:
            raise BadPayload(f"the body is a {type(data).__name__}, the envelope says {envelope.type}")
        return data

    def _decide_event(
        self, unit: Unit, stream: str, lane: Lane, entry: Entry, envelope: Envelope, data: Any
    ) -> str:
        case = unit.case(stream, entry.subject)
        message = event_message(envelope, data)
        decision = self.handlers[stream].decide(case.state if case else None, message)
        match decision.outcome:
            case "applied":
                facts = msgspec.msgpack.encode(tuple(decision.facts))
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
                self._hold(unit, lane, entry, "waiting", decision.code, decision.reason, decision.awaits)
        return decision.outcome

    def _hold(
        self, unit: Unit, lane: Lane, entry: Entry, status: str, code: str, reason: str, awaits: str
    ) -> str:
        reason = reason.replace("\0", "")  # PostgreSQL stores none
        unit.append(msgspec.structs.replace(entry, outcome=status, code=code, reason=reason))
        row = HeldRow(entry.row, status, code, reason, awaits, entry.lane)
        held = unit.held_rows(entry.stream, entry.subject)
        unit.set_held(entry.stream, entry.subject, (*held, row))
        unit.set_exception(lane, entry.number, ExceptionRow(status, code, reason, entry.row))
        return status

    # Held rows: tried again, or refused by a person.

    def release(self, unit: Unit, stream: str, subject: str) -> int:
        """Try the held rows of a case again, in order, until one can't go on. Returns how many went."""
        gone = 0
        for row in unit.held_rows(stream, subject):
            entry = self._stored(unit, row.row)
            envelope = env.read(dict(entry.headers))
            point = unit.mark()
            try:
                data = self.decode(entry, envelope)
                case = unit.case(stream, subject)
                message = event_message(envelope, data)
                decision = self.handlers[stream].decide(case.state if case else None, message)
                if decision.outcome == "waiting":
                    why = ("waiting", decision.code, decision.reason, decision.awaits)
                    self._hold_on(unit, entry, row, *why)
                    break
                self._settle(unit, stream, entry, row, message, decision, case)
            except DBAPIError:
                raise
            except Exception as error:  # noqa: BLE001 - as in `event`
                unit.take_back(point)
                self._hold_on(unit, entry, row, *_why(envelope, error))
                break
            gone += 1
        return gone

    def _hold_on(
        self, unit: Unit, entry: Entry, row: HeldRow, status: str, code: str, reason: str, awaits: str
    ) -> None:
        """It stays held, perhaps for another reason: what only waited behind others has its own now."""
        kept = row._replace(status=status, code=code, reason=reason.replace("\0", ""), awaits=awaits)
        if kept == row:
            return
        held = unit.held_rows(entry.stream, entry.subject)
        unit.set_held(entry.stream, entry.subject, tuple(kept if other == row else other for other in held))
        lane = unit.lane(entry.lane, outward=False)
        if lane.incarnation == entry.incarnation:
            unit.set_exception(lane, entry.number, ExceptionRow(status, code, kept.reason, entry.row))
            unit.receipt(lane, entry.number)

    def refuse_held(self, unit: Unit, stream: str, subject: str, actor: str, code: str, reason: str) -> None:
        """A person refuses the first held row of a case; it is told, and what waits behind goes on.

        Raises:
            CommandRefused: nothing is held there.
        """
        held = unit.held_rows(stream, subject)
        if not held:
            raise CommandRefused("nothing_held", "没有搁置的事件 / nothing is held for this case", "case")
        entry = self._stored(unit, held[0].row)
        settled = local_entry(
            unit,
            stream,
            subject,
            "Refuse",
            actor=actor,
            outcome="refused",
            code=code,
            reason=reason,
            cause=entry.row,
        )
        unit.append(settled)
        self._unhold(unit, stream, entry, held[0], ExceptionRow("refused", code, reason, settled.row))
        self.release(unit, stream, subject)

    def _settle(
        self,
        unit: Unit,
        stream: str,
        entry: Entry,
        row: HeldRow,
        message: Message,
        decision: Decision,
        case: Case | None,
    ) -> None:
        settled = self._local(unit, stream, message, decision, cause=entry.row)
        if decision.outcome == "applied":
            self._unhold(unit, stream, entry, row, None)
            trace = dict(entry.headers).get(env.TRACEPARENT, b"").decode()
            self._fold(unit, stream, case, message, decision, settled, trace)
        else:
            unit.append(settled)
            refused = ExceptionRow("refused", decision.code, decision.reason, settled.row)
            self._unhold(unit, stream, entry, row, refused)

    def _unhold(
        self, unit: Unit, stream: str, entry: Entry, row: HeldRow, exception: ExceptionRow | None
    ) -> None:
        left = tuple(other for other in unit.held_rows(stream, entry.subject) if other.row != row.row)
        unit.set_held(stream, entry.subject, left)
        lane = unit.lane(entry.lane, outward=False)
        if lane.incarnation == entry.incarnation:
            unit.set_exception(lane, entry.number, exception)
            unit.receipt(lane, entry.number)

    def _stored(self, unit: Unit, row: int) -> Entry:
        first = unit.books.head.next_row
        return unit.entries[row - first] if row >= first else unit.books.entry(row)

    # Recording and sending on.

    def _local(self, unit: Unit, stream: str, message: Message, decision: Decision, **values: Any) -> Entry:
        return local_entry(
            unit,
            stream,
            message.case,
            message.type,
            id=message.id,
            actor=message.source,
            acted_ms=milliseconds(message.acted_at),
            outcome=decision.outcome,
            code=decision.code,
            reason=decision.reason,
            facts=msgspec.msgpack.encode(tuple(decision.facts)) if decision.facts else b"",
            **values,
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
    ) -> Any:
        """Record the row, fold its facts, send what follows from it. Returns the new state."""
        handler = self.handlers[stream]
        unit.append(entry)
        state = case.state if case else None
        for fact in decision.facts:
            state = handler.evolve(state, fact)
        timers = tuple(handler.view(state).timers)
        unit.set_case(stream, message.case, Case(entry.row, state, timers))
        for outgoing in decision.out:
            self.send(unit, (handler.stage, handler.code), outgoing, message, trace, entry.row)
        unit.changes.append(Change(entry.row, stream, message, decision.facts, state))
        return state

    def send(
        self,
        unit: Unit,
        source: tuple[str, str],
        outgoing: Outgoing,
        message: Message,
        trace: str,
        cause: int,
    ) -> None:
        """Number an event in its lane and record it; the relay sends it after the commit.

        `source` is stage and code of the inbox that the lane begins at.

        Raises:
            CannotSendError: size, schema or route is wrong.
        """
        event = type(outgoing.data).__name__
        if not self.topology.may_send(event, source[0], outgoing.to[0]):
            raise CannotSendError("not_in_catalogue", f"{source[0]} may not send {event} to {outgoing.to[0]}")
        try:
            body, schema = self.codec.encode(outgoing.data)
        except Invalid as invalid:
            raise CannotSendError("invalid", str(invalid)) from invalid
        if len(body) > MAX_BODY:
            raise CannotSendError("too_large", f"{event} has {len(body)} bytes, {MAX_BODY} are allowed")
        subject = message.case
        lane = unit.lane(self._lane_name(source, outgoing.to, subject), outward=True)
        row, number = unit.next_row, lane.number + 1
        stream = env.stream_of(*source)
        envelope = Envelope(
            id=f"{lane.incarnation}-{row}",
            type=event,
            source=stream,
            subject=subject,
            acted_at=message.acted_at,
            recorded_at=unit.now,
            lane=lane.name,
            incarnation=lane.incarnation,
            number=number,
            term=outgoing.term,
            correlation=subject,
            causation=message.id if message.kind == "event" else f"{lane.incarnation}-{cause}",
            digest=schema.digest,
            trace=env.child_trace(trace),
        )
        headers = envelope.headers()
        lane_hash = env.link(lane.hash, env.content_digest(dict(headers), body))
        headers.append((env.LANE_HASH, lane_hash.hex().encode()))
        unit.append(
            Entry(
                row=row,
                kind=Kind.OUT,
                stream=stream,
                subject=subject,
                type=event,
                recorded_ms=milliseconds(unit.now),
                headers=tuple(headers),
                value=body,
                lane=lane.name,
                incarnation=lane.incarnation,
                number=number,
                lane_hash=lane_hash,
                id=envelope.id,
            ),
        )
        unit.set_lane(lane._replace(number=number, hash=lane_hash))

    def _lane_name(self, source: tuple[str, str], to: tuple[str, str], subject: str) -> str:
        """The lane of a case from one inbox to another. Raises CannotSendError."""
        road = self._roads.get((source, to))
        if road is None:
            own_topic, topic = env.topic_of(*source), env.topic_of(*to)
            road = own_topic, self.topology.partitions(own_topic), topic, self.topology.partitions(topic)
            if not road[3]:
                raise CannotSendError("no_such_inbox", f"{topic} is no topic of the directory")
            self._roads[source, to] = road
        own_topic, own_partitions, topic, partitions = road
        own_partition, partition = (
            env.partition_of(subject, own_partitions),
            env.partition_of(subject, partitions),
        )
        return f"{own_topic}/{own_partition}>{topic}/{partition}"

    # Folding again.

    def facts(self, entry: Entry) -> tuple[Any, ...]:
        """The stored facts of a row."""
        return self._facts[entry.stream].decode(entry.facts) if entry.facts else ()

    def message(self, entry: Entry, origin: Entry) -> Message:
        """The message that made a row, as it was the first time; `origin` is the row it settles, or itself."""
        if origin.kind is Kind.IN:
            envelope = env.read(dict(origin.headers))
            return event_message(envelope, self.decode(origin, envelope))
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


def _tuple_of(item: Any) -> Any:
    """The type of a tuple of these, made at run time."""
    return tuple.__class_getitem__((item, ...))


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


def _may_overtake(held: tuple[HeldRow, ...], lane: str) -> bool:
    """Whether an event may be tried although others wait: they wait for an event, and it comes by another lane."""
    return held[0].awaits.startswith(ORDER_AWAITS) and all(row.lane != lane for row in held)
