"""Looking into a ledger without a running node: a case's journey, and the proof that the ledger is sound."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from bus import Entry, Ledger
from bus.envelope import stream_of
from bus.records import Records
from bus.verification import verify
from cases import journey
from jurisdictions import CHINA_TIME, Invalid, load_directory
from kuayu.node import STAGES
from kuayu.settings import Settings
from schemas import Codec, load_schemas


class InspectionError(Exception):
    """There is nothing to look into; the message says where it was looked for."""


def show_case(settings: Settings, case_id: str, code: str, *, rows: bool) -> str:
    """The journey of a case as the ledger of `code` knows it, a line a step.

    Raises:
        InspectionError: no such ledger, or the case is not in it.
    """
    with open_ledger(settings, code) as (ledger, records):
        entries = ledger.history(case_id)
        if not entries:
            raise InspectionError(f"case {case_id} is not in the ledger of {code}")
        lines = []
        for stage in STAGES:
            stream = stream_of(stage, code)
            facts = [
                fact
                for e in entries
                if e.stream == stream and e.outcome == "applied"
                for fact in records.facts(e)
            ]
            case = ledger.case(stream, case_id)
            if case is None:
                continue
            lines.append(f"{stream}  {case.status}")
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


def check_ledger(settings: Settings, code: str) -> tuple[list[str], int]:
    """What is wrong with a ledger, and how many rows it has.

    Raises:
        InspectionError: no such ledger.
    """
    with open_ledger(settings, code) as (ledger, records):
        head = ledger.head()
        return verify(ledger, records), head.next_row - 1 if head else 0


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
