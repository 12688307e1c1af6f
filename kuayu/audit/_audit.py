"""The whole audit, over any number of ledgers, and the topics between them."""

from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

import consumers
import producers
from bus import Ledger, SystemClock
from bus.envelope import stream_of
from bus.records import Records
from bus.transport.tls import Tls, Way
from jurisdictions import Directory, load_directory
from kuayu.audit import _cases, _handovers, _ledger, _projections, _topics
from kuayu.audit._findings import Problem, Report
from kuayu.node import STAGES, AnyStage
from schemas import Codec, load_schemas


class AuditError(Exception):
    """A ledger can't be read; the message says which one and why."""


def audit(
    ledgers: Mapping[str, str],
    *,
    bootstrap: str = "",
    tls: Tls | None = None,
    accepted: Collection[str] | None = None,
    directory: Path | None = None,
) -> Report:
    """Read ledgers and topics, and say everything that is wrong. Nothing is written.

    Nobody should write the ledgers meanwhile: they are read one after another, and what travels between would seem
    to be lost.

    Args:
        ledgers: SQLAlchemy URLs by a name for each, with which problems speak of it.
        bootstrap: the brokers; the topics are left out if it is empty.
        tls: how these are spoken to; None: in plain text.
        accepted: ids of all cases that the nodes said they have; unknown if None.
        directory: the directory's data files; those that come with the program by default.

    Raises:
        AuditError: a ledger can't be read, or is none.
        TopicsError: the topics can't be read.
    """
    where = load_directory(directory)
    codec = Codec(load_schemas())
    counts: Counter[str] = Counter()
    problems: list[Problem] = []
    handlers: dict[str, AnyStage] = {}
    contents: list[_ledger.Contents] = []
    with ExitStack() as stack:
        for name, url in ledgers.items():
            source = Ledger(url)
            stack.callback(source.close)
            try:
                found, wrong = _ledger.read(name, source, codec)
            except SQLAlchemyError as error:
                raise AuditError(f"{name}: {str(error).splitlines()[0]}") from error
            contents.append(found)
            problems += wrong
            counts["rows"] += found.rows
            counts["batches"] += found.batches
            handlers |= _handlers(found, where)
        records = Records(handlers, codec)
        problems += _handovers.check(contents, counts)
        problems += _cases.check(contents, records, accepted, _unsettled(contents, problems), counts)
        for found in contents:
            problems += _projected(found, where, codec, counts)
        if bootstrap:
            problems += _topics.check(Way(bootstrap, tls), contents, codec, counts)
    counts["ledgers"] = len(ledgers)
    return Report(counts=counts, problems=problems)


def _handlers(ledger: _ledger.Contents, directory: Directory) -> dict[str, AnyStage]:
    codes = {stream.split("/")[0] for stream in ledger.streams}
    return {stream_of(stage, code): make(code, directory) for code in codes for stage, make in STAGES.items()}


def _unsettled(ledgers: list[_ledger.Contents], problems: list[Problem]) -> set[str]:
    """Cases of which something is held, refused to its sender, or already known to be wrong."""
    found = {problem.case for problem in problems if problem.case}
    for ledger in ledgers:
        for taken in ledger.taken.values():
            found |= {event.subject for event in taken.values() if event.status in ("parked", "waiting")}
    return found


def _projected(
    ledger: _ledger.Contents, directory: Directory, codec: Codec, counts: Counter[str]
) -> list[Problem]:
    handlers = _handlers(ledger, directory)
    stages = list(handlers.values())
    projections = list(consumers.projections(stages, SystemClock()))
    for code in sorted({stage.code for stage in stages}):
        projections += producers.Producers(code, ledger.source).projections
    return _projections.check(ledger, Records(handlers, codec), projections, counts)
