"""Event logs: from rows to events, from events to cases, from cases to plans."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from producers.feeds.csvlog import read_csv
from producers.feeds.files import MAX_BYTES, Feed, FeedError
from producers.feeds.mapping import LogMapping
from producers.feeds.plans import CasePlan, CaseStep, PlannedStep, consistent
from producers.feeds.rows import Row
from producers.feeds.xes import read_xes

_READERS: Final = {".csv": read_csv, ".xes": read_xes}
_INSTANT: Final = "an instant like 2011-10-11T13:45:40+02:00"


class _Event(NamedTuple):
    case: str
    step: PlannedStep
    row: Row


def read_plans(path: Path, mapping: LogMapping, max_bytes: int = MAX_BYTES) -> Iterator[CasePlan]:
    """The cases of a log (`.csv` or `.xes`, also gzipped), in the order in which they begin in it.

    One case is in memory at a time, unless the mapping says that the log is not grouped by case.

    Raises:
        FeedError: the log or a value in it is wrong; nothing of what comes behind it is read.
        OSError: it can't be read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    reader = _READERS.get(suffixes[-1] if suffixes else "")
    if reader is None:
        raise FeedError(
            path.name, "is no event log by its name", "a name that ends in .csv, .xes, .csv.gz or .xes.gz"
        )
    with Feed(path, max_bytes) as feed:
        events = _events(feed, reader(feed), mapping)
        for case in _grouped(feed, events) if mapping.grouped else _collected(events):
            plan = _plan(feed, case, mapping)
            if plan is not None:
                yield plan


def _events(feed: Feed, rows: Iterable[Row], mapping: LogMapping) -> Iterator[_Event]:
    columns = mapping.columns
    zone = ZoneInfo(mapping.timezone) if mapping.timezone else None
    for row in rows:
        lifecycle = row.values.get(columns.lifecycle, "")
        if lifecycle and mapping.lifecycles and lifecycle.lower() not in mapping.lifecycles:
            continue
        activity = _needed(feed, row, columns.activity)
        step = mapping.steps.get(activity)
        if step is None:
            if mapping.unknown == "refuse":
                raise feed.error(
                    "the mapping does not know this activity",
                    "an activity under `steps`, or `unknown: ignore`",
                    line=row.line,
                    column=columns.activity,
                )
            step = CaseStep.IGNORE
        planned = PlannedStep(
            step, _at(feed, row, columns.at, zone), activity, row.values.get(columns.resource, "")
        )
        yield _Event(_needed(feed, row, columns.case), planned, row)


def _needed(feed: Feed, row: Row, column: str) -> str:
    value = row.values.get(column)
    if value is None:
        raise feed.error(
            "the column is missing", "its name in the mapping's `columns`", line=row.line, column=column
        )
    if not value.strip():
        raise feed.error("is empty", "a value", line=row.line, column=column)
    return value.strip()


def _at(feed: Feed, row: Row, column: str, zone: ZoneInfo | None) -> datetime:
    text = _needed(feed, row, column)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise feed.error("is no instant", _INSTANT, line=row.line, column=column) from None
    if at.tzinfo is not None:
        return at
    if zone is None:
        expected = f"{_INSTANT}, or a `timezone` in the mapping"
        raise feed.error("has no offset from UTC", expected, line=row.line, column=column)
    return at.replace(tzinfo=zone)


def _grouped(feed: Feed, events: Iterable[_Event]) -> Iterator[list[_Event]]:
    ended: set[str] = set()
    case: list[_Event] = []
    for event in events:
        if case and event.case != case[0].case:
            ended.add(case[0].case)
            yield case
            case = []
        if event.case in ended:
            raise feed.error(
                "the case comes again after others",
                "a log grouped by case, or `grouped: false` in the mapping",
                line=event.row.line,
            )
        case.append(event)
    if case:
        yield case


def _collected(events: Iterable[_Event]) -> Iterable[list[_Event]]:
    cases: dict[str, list[_Event]] = {}
    for event in events:
        cases.setdefault(event.case, []).append(event)
    return cases.values()


def _plan(feed: Feed, events: list[_Event], mapping: LogMapping) -> CasePlan | None:
    """None for a case of which only work inside an office is logged."""
    told = sorted(
        (event for event in events if event.step.step is not CaseStep.IGNORE), key=lambda event: event.step.at
    )
    if not told:
        return None
    first = told[0]
    if first.step.step is not CaseStep.SUBMIT:
        raise feed.error(
            f"the case begins with `{first.step.step}`",
            "an activity that is mapped to `submit` before all others",
            line=first.row.line,
        )
    kept = {column: value for column in mapping.keep if (value := first.row.values.get(column, ""))}
    later = [event.step for event in told[1:] if event.step.step is not CaseStep.SUBMIT]
    return CasePlan(first.case, first.step.at, kept, consistent(later), first.row.line)
