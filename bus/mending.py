"""What a person does about held events, or a newer program: they are tried again, refused, or repaired.

The first held event of a case is the one that blocks it; what came later waits behind. Each act is one commit, and
each is in the log: the original stays as it came, and a row that names it as its cause says how it ended.
"""

from collections.abc import Iterable
from concurrent.futures import Future

from msgspec.structs import replace

from bus import envelope as env
from bus.application import Application
from bus.books import Books, CaseKey, ExceptionRow, HeldRow
from bus.errors import CommandRefused
from bus.failures import place_of
from bus.holding import Tried, stored, unhold
from bus.ledger import Entry
from bus.records import event_message
from bus.unit import Unit, local_entry
from bus.writer import Writer
from schemas import CodecError, Event, Invalid
from schemas.models import Tombstone

REPAIRED = "repaired"
"""Code of the row by which a repaired event was applied."""


class Mending:
    """Hands what is to be done to the writer, from any thread; each future is done when that is durable.

    All raise `Busy` and `Unavailable` as `Writer.do` does.
    """

    def __init__(self, writer: Writer, application: Application, books: Books) -> None:
        self._writer = writer
        self._application = application
        self._books = books

    def release(
        self, stream: str, case: str, *, row: int | None = None, dry_run: bool = False
    ) -> "Future[list[Tried]]":
        """Try the held events of a case again, in order, until one can't go on.

        Gives what became of each that was tried, nothing where none is held, or where `row` no longer comes first.
        With `dry_run` the ledger stays as it is.
        """

        def apply(unit: Unit) -> list[Tried]:
            held = unit.held_rows(stream, case)
            if not held or row not in (None, held[0].row):
                return []
            point = unit.mark()
            tried = self._application.releasing.release(unit, stream, case)
            if dry_run:
                unit.take_back(point)
            return tried

        return self._writer.do(apply)

    def schema_arrived(self, digest: bytes) -> "list[Future[list[Tried]]]":
        """Let go on what waited for this schema."""
        awaits = f"schema:{digest.hex()}"
        keys = [key for key, rows in list(self._books.held.items()) if rows[0].awaits == awaits]
        return [self.release(*key) for key in keys]

    def seen(self, keys: Iterable[CaseKey]) -> "Future[None]":
        """Note, before it is tried, that this version of the program tries the first held event of these cases.

        What kills the process is then not tried again by the next one.
        """

        def apply(unit: Unit) -> None:
            for stream, case in keys:
                first, *behind = unit.held_rows(stream, case) or (None,)
                if first is not None:
                    noted = first._replace(version=self._books.version)
                    unit.set_held(stream, case, (noted, *behind))

        return self._writer.do(apply)

    def refuse(
        self, stream: str, case: str, actor: str, code: str, reason: str, *, row: int | None = None
    ) -> "Future[list[Tried]]":
        """Refuse the first held event of a case, finally; its sender is told, and what waits behind goes on.

        The future raises CommandRefused if nothing is held there, or `row` (if it is named) does not come first.
        """

        def apply(unit: Unit) -> list[Tried]:
            first, entry = _first(unit, stream, case, row)
            settled = local_entry(
                unit,
                stream,
                case,
                "Refuse",
                actor=actor,
                outcome="refused",
                code=code,
                reason=reason,
                cause=entry.row,
            )
            unit.append(settled)
            unhold(unit, entry, first, ExceptionRow("refused", code, reason, settled.row))
            return self._application.releasing.release(unit, stream, case)

        return self._writer.do(apply)

    def repair(
        self, stream: str, case: str, row: int, actor: str, reason: str, data: Event, *, dry_run: bool = False
    ) -> "Future[list[Tried]]":
        """Apply the first held event of a case with corrected data; what waits behind goes on.

        The log keeps the original, and the corrected event in a row of its own under the actor's name. A repair
        applies the event or changes nothing: the future raises CommandRefused if the case does not take it, or as
        for `refuse`, or if `data` is of another type or does not fit its schema.
        """

        def apply(unit: Unit) -> list[Tried]:
            point = unit.mark()
            first, entry = _first(unit, stream, case, row)
            self._repair(unit, first, entry, actor, reason, data)
            tried = [Tried(first.row, type(data).__name__, "applied", REPAIRED, reason, "")]
            tried += self._application.releasing.release(unit, stream, case)
            if dry_run:
                unit.take_back(point)
            return tried

        return self._writer.do(apply)

    def _repair(self, unit: Unit, first: HeldRow, entry: Entry, actor: str, reason: str, data: Event) -> None:
        application, stream, case = self._application, entry.stream, entry.subject
        expected = self.type_of(entry)
        if type(data).__name__ != expected:
            raise CommandRefused(
                "wrong_type", f"应为 {expected} / a {expected} would be right, as it was sent", "data"
            )
        try:
            body, _ = application.records.codec.encode(data)
        except Invalid as invalid:
            raise CommandRefused("invalid", invalid.reason, invalid.field or "data") from invalid
        before = unit.case(stream, case)
        message = event_message(replace(env.read(entry.head), type=expected), data)
        try:
            decision = application.effects.decide(unit, stream, before, message)
        except Exception as error:
            raise _not_applied(place_of(error)) from error
        if decision.outcome != "applied":
            raise _not_applied(f"{decision.outcome} {decision.code} {decision.reason}")
        values = {"actor": actor, "code": REPAIRED, "reason": reason, "value": body}
        application.releasing.settle(unit, stream, entry, first, message, decision, before, **values)

    def type_of(self, entry: Entry) -> str:
        """The type of the event that an in row holds, or that its tombstone stands for."""
        if entry.type == env.TOMBSTONE:
            try:
                original = self._application.records.codec.decode(entry.value)
            except CodecError:
                return entry.type
            if isinstance(original, Tombstone):
                return original.original_type
        return entry.type


def _first(unit: Unit, stream: str, case: str, row: int | None) -> tuple[HeldRow, Entry]:
    """The event that blocks a case. Raises CommandRefused."""
    held = unit.held_rows(stream, case)
    if not held:
        raise CommandRefused("nothing_held", "没有搁置的事件 / nothing is held for this case", "case")
    if row not in (None, held[0].row):
        raise CommandRefused(
            "not_first",
            f"应先处理第 {held[0].row} 行 / row {held[0].row} of this case comes first",
            "row",
        )
    return held[0], stored(unit, held[0].row)


def _not_applied(why: str) -> CommandRefused:
    return CommandRefused(
        "repair_not_applied", f"修正后仍不能办理 / the case does not take it as repaired: {why}"
    )
