"""What a timer, an act or a record does to the next commit; one that fails is taken back alone (see `Unit`)."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.exc import DBAPIError

from bus import envelope as env
from bus import receipts
from bus.adoption import adopt, open_inward
from bus.application import Application
from bus.books import Books
from bus.envelope import Malformed
from bus.errors import CommandRefused
from bus.failures import place_of
from bus.protocols import Answer, Command, Message, Observer, Outgoing, Received
from bus.receiving import Control, Garbage, Incoming, LaneEvent, Opened, Submission, quarantine, receive
from bus.sending import CannotSendError
from bus.unit import Unit
from schemas.models import EventsReturned

Timer = tuple[str, str, str, datetime]
"""Stream, case, kind and due instant."""


class Act(msgspec.Struct, frozen=True):
    """Something to be done by the writer, for a caller that waits."""

    apply: Callable[[Unit], Any]
    done: "Future[Any]"
    command: Command | None = None


class Taking:
    """Owned by the writer, who commits what was taken."""

    def __init__(self, books: Books, application: Application, observer: Observer) -> None:
        self._books = books
        self._application = application
        self._observer = observer
        self.timers_failed = False
        """Whether a timer failed and stays; whoever lets it ring again sets this back."""

    def take(
        self,
        unit: Unit,
        timers: Sequence[Timer],
        acts: Sequence[Act],
        records: Sequence[Incoming],
    ) -> None:
        """Let each of these do what it does, in this order; one that fails is taken back alone and told.

        Raises:
            DBAPIError: the ledger can't be read now.
        """
        self._prefetch(unit, timers, acts, records)
        for timer in timers:
            self._timer(unit, *timer)
        for act in acts:
            self._do(unit, act)
        for record in records:
            self._record(unit, record)

    def _prefetch(
        self,
        unit: Unit,
        timers: Sequence[Timer],
        acts: Sequence[Act],
        records: Sequence[Incoming],
    ) -> None:
        commands = [act.command for act in acts if act.command]
        commands += [r.command for r in records if isinstance(r, Submission) and r.command]
        cases = [(timer[0], timer[1]) for timer in timers]
        cases += [(command.stream, command.case) for command in commands]
        cases += [
            (r.stream, r.envelope.subject) for r in records if isinstance(r, LaneEvent) and not r.failure
        ]
        keys = [(command.caller, command.key) for command in commands if command.key]
        if self._books.declared is not None:  # perhaps taken, answered and lost before
            keys += [("", env.keyed_cause(*key)) for key in keys]
        unit.known_answers = self._books.fetch(dict.fromkeys(cases), dict.fromkeys(keys))

    def _timer(self, unit: Unit, stream: str, subject: str, kind: str, due: datetime) -> None:
        point = unit.mark()
        try:
            self._application.timer(unit, stream, subject, kind, due)
        except DBAPIError:
            raise  # the ledger's trouble, not the timer's: it must not be lost for that
        except Exception as error:  # noqa: BLE001 - one timer must not stop the others
            unit.take_back(point)  # it stays, and rings again: what the law attaches to it is not given up
            self.timers_failed = True
            self._alarm(unit, "timer_failed", f"{stream} {subject} {kind}: {place_of(error)}")

    def _do(self, unit: Unit, act: Act) -> None:
        point = unit.mark()
        try:
            answer = act.apply(unit)
        except DBAPIError:
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to the caller
            unit.take_back(point)
            failure: Exception = error
            if isinstance(error, CannotSendError):
                failure = CommandRefused(error.code, str(error))
            unit.after.append(lambda: act.done.set_exception(failure))
        else:
            unit.after.append(lambda: act.done.set_result(answer))

    def _record(self, unit: Unit, incoming: Incoming) -> None:
        record = incoming.record
        match incoming:
            case Garbage():
                quarantine(unit, incoming)
                self._alarm(
                    unit,
                    "quarantined",
                    f"{record.topic}/{record.partition}@{record.offset}: {incoming.reason}",
                )
                unit.received.append(Received("quarantined", None, record.topic, None))
            case LaneEvent():
                self._event(unit, incoming)
            case Opened():
                open_inward(unit, incoming)
                unit.move(record, "duplicate")  # it takes no number
            case Control():
                self._control(unit, incoming)
            case Submission():
                self._submission(unit, incoming)

    def _event(self, unit: Unit, event: LaneEvent) -> None:
        outcome = receive(unit, self._application, event)
        envelope, topic = event.envelope, event.record.topic
        hop = (unit.now - envelope.recorded_at).total_seconds() if outcome == "applied" else None
        unit.received.append(Received(outcome, envelope, topic, hop))
        if outcome in ("quarantined", "parked"):
            self._alarm(unit, outcome, f"{topic}/{event.record.partition}@{event.record.offset}")
        lane = unit.lanes.get((False, envelope.lane))
        if lane is not None and lane.stopped:
            self._alarm(unit, "lane_stopped", f"{lane.name}: {lane.stopped}")

    def _control(self, unit: Unit, said: Control) -> None:
        unit.move(said.record, "")
        point = unit.mark()
        try:
            if isinstance(said.data, EventsReturned):
                adopt(unit, self._application, said.data)
                return
            problem = receipts.hear(unit, self._application, said.data)
        except DBAPIError:
            raise
        except Malformed as wrong:
            unit.take_back(point)
            problem = str(wrong)
        except Exception as error:  # noqa: BLE001 - it is restated; one lane must not stop the others
            unit.take_back(point)
            problem = f"{said.data.lane}: {place_of(error)}"
        if problem:
            self._alarm(unit, "receipt_contradicts", problem)

    def _submission(self, unit: Unit, submission: Submission) -> None:
        record, intake, command = submission.record, submission.intake, submission.command
        unit.move(record, "taken")
        point = unit.mark()
        result: Answer | Exception | None = submission.error
        if command is not None:
            try:
                result = self._application.command(unit, command)
            except DBAPIError:
                raise
            except Exception as error:  # noqa: BLE001 - every submission is answered
                unit.take_back(point)
                result = error
        reply: Outgoing = intake.answer(record, submission.data, result)
        message = Message(
            kind="command",
            type=intake.type,
            data=None,
            case=intake.key(record),
            id=f"{record.topic}/{record.partition}@{record.offset}",
            source="intake",
            term=0,
            acted_at=unit.now,
            recorded_at=unit.now,
        )
        try:
            self._application.sending.send(
                unit, ("intake", reply.to[1]), reply, message, command.trace if command else "", message.id
            )
        except CannotSendError as error:
            self._alarm(unit, "reply_failed", f"{message.id}: {error}")

    def _alarm(self, unit: Unit, kind: str, detail: str) -> None:
        unit.after.append(lambda: self._observer.alarm(kind, detail))
