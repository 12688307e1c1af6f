"""Looking into a ledger without a running node: a case's journey, and the proof that the ledger is sound."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from bus import Entry, Ledger
from bus.archive import count_stubs, history, verify_archive
from bus.envelope import stream_of
from bus.ledger.stubs import is_stub
from bus.records import Records
from bus.verification import verify
from cases import journey
from jurisdictions import CHINA_TIME, Invalid, load_directory
from kuayu.node import STAGES
from kuayu.settings import Settings
from schemas import Codec, load_schemas


class InspectionError(Exception):
    """There is nothing to look into; the message says where it was looked for."""


def show_case(settings: Settings, case_id: str, code: str, *, rows: bool, archive: Path | None = None) -> str:
    """The journey of a case as the ledger of `code`, or an archive of it, knows it, a line a step.

    Raises:
        InspectionError: no such ledger, or the case is not in it.
    """
    with open_ledger(settings, code) as (ledger, records):
        entries = history(archive, case_id) if archive else ledger.history(case_id)
        if not entries:
            raise InspectionError(f"case {case_id} is not in {archive or f'the ledger of {code}'}")
        if is_stub(entries[0]):
            raise InspectionError(f"case {case_id} is archived; --archive FILE reads it from there")
        lines = []
        for stage in STAGES:
            stream = stream_of(stage, code)
            facts = [
                fact
                for e in entries
                if e.stream == stream and e.outcome == "applied"
                for fact in records.facts(e)
            ]
            if not facts:
                continue
            handler = records.handlers[stream]
            lines.append(f"{stream}  {handler.view(reduce(handler.evolve, facts, None)).status}")
            lines += [
                f"  {step.at.astimezone(CHINA_TIME):%Y-%m-%d %H:%M}  {step.zh}  {step.en}"
                for step in journey(facts)
            ]
        if rows:
            lines += ["", *(_row(entry) for entry in entries)]
        return "\n".join(lines)


def _row(entry: Entry) -> str:
    at = datetime.fromtimestamp(entry.recorded_ms / 1000, UTC)
    where = f"{entry.lane} #{entry.number}" if entry.number else entry.actor
    outcome = f"{entry.outcome} {entry.code}".strip()
    return f"row {entry.row}  {at:%Y-%m-%dT%H:%M:%S.%fZ}  {entry.kind.name.lower()}  {entry.type}  {outcome}  {where}"


class Checked(NamedTuple):
    """What is wrong with a ledger and its archives; how many rows it has, and how many of these are in archives."""

    problems: list[str]
    rows: int
    archived: int


def check_ledger(settings: Settings, code: str, archives: Sequence[Path] = ()) -> Checked:
    """Prove a ledger, and archives as parts of it.

    Raises:
        InspectionError: no such ledger, or it can't be read.
    """
    with open_ledger(settings, code) as (ledger, records):
        head = ledger.head()
        problems = verify(ledger, records)
        for file in archives:
            problems += [f"{file.name}: {problem}" for problem in verify_archive(file, ledger)]
        return Checked(problems, head.next_row - 1 if head else 0, count_stubs(ledger))


@contextmanager
def open_ledger(settings: Settings, code: str) -> Iterator[tuple[Ledger, Records]]:
    """A ledger on this machine, to be read; a running node goes on writing it.

    Raises:
        InspectionError: there is none, or it can't be read.
    """
    if not settings.ledger and not (settings.data / f"{code}.db").exists():
        raise InspectionError(
            f"there is no ledger {settings.data / f'{code}.db'}; KUAYU_DATA or KUAYU_LEDGER names it"
        )
    try:
        directory = load_directory(settings.directory)
        handlers = {stream_of(stage, code): make(code, directory) for stage, make in STAGES.items()}
        records = Records(handlers, Codec(load_schemas()))
        with closing(Ledger(settings.ledger_url(code))) as ledger:
            yield ledger, records
    except Invalid as error:
        raise InspectionError(str(error)) from error
    except SQLAlchemyError as error:
        raise InspectionError(f"the ledger of {code} can't be read: {str(error).splitlines()[0]}") from error
