"""The linter of data folders: what no single file can say about itself."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from jurisdictions._calendar import FIXED_HOLIDAYS, CalendarYear
from jurisdictions._codes import credit_code
from jurisdictions._directory import Directory, grouped
from jurisdictions._errors import Invalid
from jurisdictions._files import (
    PACKAGED,
    AgreementsFile,
    BodiesFile,
    Folder,
    ItemRecord,
    ItemsFile,
    JurisdictionsFile,
    calendar_files,
)
from jurisdictions._lint_agreements import check_agreements
from jurisdictions._lint_history import compare
from jurisdictions._lint_schema import Finding, read_checked
from jurisdictions._model import Jurisdiction, Level, Limit, LimitUnit

_JURISDICTIONS: Final = "jurisdictions.yaml"
_ITEMS: Final = "items.yaml"
_BODIES: Final = "bodies.yaml"
_RANKS: Final = {Level.PROVINCE: 0, Level.CITY: 1, Level.COUNTY: 2}
_SATURDAY: Final = 5


def lint(path: Path | None = None, *, before: Path | None = None) -> list[Finding]:
    """Everything wrong in a data folder (the packaged one by default), sorted; empty = good.

    With `before`, an earlier copy of the folder, also what must not change between the two: partitions of topics
    that exist, content without a new version, entries that cases under way still need.
    """
    folder, findings = _read(path or PACKAGED)
    if folder is None:
        return sorted(findings)
    findings = [
        *_check_jurisdictions(folder),
        *_check_items(folder),
        *_check_bodies(folder),
        *_check_calendars(folder.calendars, path or PACKAGED),
    ]
    try:
        directory = Directory(folder)
    except Invalid:
        return sorted(findings)  # each reason has its finding above
    findings += check_agreements(folder, directory)
    if before is not None:
        old, problems = _read(before)
        findings += problems if old is None else compare(old, folder)
    return sorted(findings)


def _read(path: Path) -> tuple[Folder | None, list[Finding]]:
    jurisdictions, problems = read_checked(path / _JURISDICTIONS, JurisdictionsFile)
    items, more = read_checked(path / _ITEMS, ItemsFile)
    problems += more
    bodies, more = read_checked(path / _BODIES, BodiesFile)
    problems += more
    agreements, more = read_checked(path / "agreements.yaml", AgreementsFile)
    problems += more
    calendars: list[CalendarYear] = []
    for file in calendar_files(path):
        calendar, more = read_checked(file, CalendarYear)
        problems += more
        if calendar is not None:
            calendars.append(calendar)
    if problems or jurisdictions is None or items is None or bodies is None or agreements is None:
        return None, problems
    return Folder(jurisdictions, items, bodies, agreements, tuple(calendars)), problems


def _check_jurisdictions(folder: Folder) -> Iterator[Finding]:
    places = folder.jurisdictions.jurisdictions
    by_code = grouped((place.code, place) for place in places)
    for place in places:
        where = f"jurisdictions[{place.code}]"
        yield from _check_parent(place, by_code, where)
        if place.successor is not None:
            if place.successor not in by_code:
                yield Finding(_JURISDICTIONS, f"{where}.successor", "unknown code", "a code of this file")
            if place.valid_to is None:
                yield Finding(
                    _JURISDICTIONS, f"{where}.valid_to", "missing beside a successor", "the last day"
                )
        if place.valid_to is not None and place.stages:
            yield Finding(_JURISDICTIONS, f"{where}.stages", "offered by an abolished place", "none")
    for code, entries in by_code.items():
        for earlier, later in pairwise(sorted(entries, key=lambda entry: entry.valid_from)):
            if earlier.valid_to is None or later.valid_from <= earlier.valid_to:
                yield Finding(
                    _JURISDICTIONS,
                    f"jurisdictions[{code}]",
                    "two entries are valid at the same time",
                    "valid_to of the earlier one before valid_from of the later one",
                )


def _check_parent(
    place: Jurisdiction, by_code: dict[str, list[Jurisdiction]], where: str
) -> Iterator[Finding]:
    where = f"{where}.parent"
    if place.parent is None:
        if place.level is not Level.PROVINCE:
            yield Finding(
                _JURISDICTIONS, where, f"missing for a {place.level}", "the code of the place above"
            )
        return
    if place.parent not in by_code:
        yield Finding(_JURISDICTIONS, where, "unknown code", "a code of this file")
        return
    parent = by_code[place.parent][-1]
    if _RANKS[parent.level] >= _RANKS[place.level]:
        yield Finding(
            _JURISDICTIONS, where, f"is a {parent.level} above a {place.level}", "a place of a higher level"
        )
    shared = 2 if parent.level is Level.PROVINCE else 4
    if parent.code[:shared] != place.code[:shared]:
        yield Finding(
            _JURISDICTIONS, where, "does not fit the code", f"a code that begins with {place.code[:shared]}"
        )


def _check_items(folder: Folder) -> Iterator[Finding]:
    records = folder.items.items
    for record in records:
        yield from _check_item(record, folder.items)
    for code, versions in grouped((record.basic_code, record) for record in records).items():
        for earlier, later in pairwise(sorted(versions, key=lambda record: record.version)):
            if later.version == earlier.version:
                yield Finding(_ITEMS, f"items[{code}].version", "stands there twice", "a number of its own")
            elif later.since <= earlier.since:
                expected = "later than the version before"
                yield Finding(
                    _ITEMS, f"items[{code}].since", f"of version {later.version} is too early", expected
                )


def _check_item(record: ItemRecord, file: ItemsFile) -> Iterator[Finding]:
    where = f"items[{record.basic_code}]"
    if record.authority not in file.authorities:
        yield Finding(_ITEMS, f"{where}.authority", "unknown", "a name from authorities")
    for material in record.materials.keys() - file.materials.keys():
        yield Finding(_ITEMS, f"{where}.materials.{material}", "unknown", "a name from materials")
    if _certainly_longer(record.promised, record.statutory):
        yield Finding(_ITEMS, f"{where}.promised", "longer than statutory", "at most the statutory limit")
    for name, limit, source in (
        ("statutory", record.statutory, record.sources.statutory),
        ("promised", record.promised, record.sources.promised),
    ):
        if (limit is None) != (source is None):
            expected = "K, P or A for a limit, null for none"
            yield Finding(_ITEMS, f"{where}.sources.{name}", "does not fit the limit", expected)


def _certainly_longer(promised: Limit | None, statutory: Limit | None) -> bool:
    """N working days take n days at least, so they are longer than fewer days of either kind."""
    if promised is None or statutory is None or promised.starts is not statutory.starts:
        return False
    same = promised.unit is statutory.unit
    days = promised.unit is LimitUnit.WORKING_DAYS and statutory.unit is LimitUnit.CALENDAR_DAYS
    at_once = statutory.unit is LimitUnit.AT_ONCE and promised.unit is not LimitUnit.AT_ONCE
    return at_once or ((same or days) and promised.amount > statutory.amount)


def _check_bodies(folder: Folder) -> Iterator[Finding]:
    places = {place.code: place for place in folder.jurisdictions.jurisdictions}
    owner_of: dict[str, str] = {}
    for owner, bodies in folder.bodies.bodies.items():
        if owner not in places:
            yield Finding(_BODIES, f"bodies.{owner}", "unknown code", f"a code of {_JURISDICTIONS}")
        for authority, code in bodies.items():
            where = f"bodies.{owner}.{authority}"
            if authority not in folder.items.authorities:
                yield Finding(_BODIES, where, "unknown authority", f"one of {_ITEMS}")
            try:
                credit_code(code)
            except Invalid as error:
                yield Finding(_BODIES, where, error.value_problem, error.expected)
            if owner_of.setdefault(code, owner) != owner:
                expected = "one owner for each body: item codes follow from it"
                yield Finding(_BODIES, where, f"the body of {owner_of[code]} too", expected)


def _check_calendars(calendars: tuple[CalendarYear, ...], path: Path) -> Iterator[Finding]:
    if not calendars:
        yield Finding(
            "calendar-*.yaml", "-", "there is none", "a file for each year, such as calendar-2026.yaml"
        )
    for file, calendar in zip(calendar_files(path), calendars, strict=True):
        if file.name != f"calendar-{calendar.year}.yaml":
            yield Finding(file.name, "year", "is not the file's", file.stem.removeprefix("calendar-"))
        if (calendar.published is None) != (calendar.source is None):
            yield Finding(file.name, "source", "does not fit published", "both, or null for both")
        yield from _check_days(calendar, file.name)


def _check_days(calendar: CalendarYear, file: str) -> Iterator[Finding]:
    off = {
        holiday.first + timedelta(days=n)
        for holiday in calendar.holidays
        for n in range((holiday.last - holiday.first).days + 1)
    }
    for month, day in FIXED_HOLIDAYS:
        if date(calendar.year, month, day) not in off:
            yield Finding(file, "holidays", f"{month}-{day} is missing", "every holiday the law names")
    first = date(calendar.year - 1, 12, 24)  # New Year's arrangements may reach into the year before
    for day_named in sorted(off.union(calendar.working_weekends)):
        if not first <= day_named <= date(calendar.year, 12, 31):
            yield Finding(file, "holidays", f"{day_named} is in another year", f"days of {calendar.year}")
    for working in calendar.working_weekends:
        if working.weekday() < _SATURDAY:
            yield Finding(file, "working_weekends", f"{working} is no weekend", "a Saturday or Sunday")
        if working in off:
            yield Finding(file, "working_weekends", f"{working} is a holiday as well", "one or the other")
