"""Working days as the State Council publishes them, and the legal clock that counts them.

Rules: the starting day does not count; a day ends at 24:00 in China; what ends on a day off ends with the next
working day; suspended time does not count. A year without a published calendar is guessed from weekends and the
holidays whose dates are fixed, and what is computed from it is provisional.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Annotated, Final

from msgspec import Meta, Struct

from jurisdictions._errors import Invalid
from jurisdictions._model import STANDARD_HOURS, Limit, LimitUnit, Period

_AHEAD: Final = timedelta(hours=8)
CHINA_TIME: Final = timezone(_AHEAD, "Asia/Shanghai")
"""Legal time. A fixed offset is exact: China has had no summer time since 1991."""

DUES_KEPT: Final = 1024
"""Ends of limits that are remembered: all that begin on a day and last as long end at one instant."""
_DAY_END: Final = time(16, tzinfo=UTC)  # 24:00 in China is 16:00 UTC of the same date
_FIVE_DAYS: Final = Limit(LimitUnit.WORKING_DAYS, 5)
FIXED_HOLIDAYS: Final = ((1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3))  # 全国年节及纪念日放假办法
_SATURDAY: Final = 5

Suspension = tuple[datetime, datetime | None]
"""From, and to (None while it lasts)."""


class Holiday(Struct, frozen=True, forbid_unknown_fields=True):
    """Days off, first to last, as published (weekends inside included)."""

    name_zh: str
    name_en: str
    first: date
    last: date

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise Invalid("last", "before first", "the last day off")


class CalendarYear(Struct, frozen=True, forbid_unknown_fields=True):
    """One year as published; `published` None = not yet, so what follows from it is provisional."""

    version: Annotated[str, Meta(pattern=r"^[0-9]{4}\.[0-9]+$")]
    year: Annotated[int, Meta(ge=1992, le=2100)]
    published: date | None
    source: str | None
    holidays: tuple[Holiday, ...]
    working_weekends: tuple[date, ...]


class Due(Struct, frozen=True):
    """A due instant (UTC), the calendar it was computed with, and whether a calendar to come may move it."""

    at: datetime
    calendar_version: str
    provisional: bool


def legal_day(instant: datetime) -> date:
    """The day of an instant in legal time.

    Raises:
        Invalid: the instant has no time zone.
    """
    if instant.tzinfo is UTC:  # as nearly all are, and a third of the time
        return (instant + _AHEAD).date()
    return _local(instant).date()


class Calendar:
    """Working days and due instants. All methods take any day from 1992 on; they hold no lock and may be shared.

    Attributes:
        version: the versions of all its years, joined by "+".
    """

    def __init__(self, years: Iterable[CalendarYear]) -> None:
        self._years = {year.year: year for year in years}
        self._published = {year.year for year in self._years.values() if year.published}
        # Across the files: a New Year's arrangement may reach into the last days of the year before.
        self._off = {
            ordinal
            for year in self._years.values()
            for holiday in year.holidays
            for ordinal in range(holiday.first.toordinal(), holiday.last.toordinal() + 1)
        }
        self._extra = {day.toordinal() for year in self._years.values() for day in year.working_weekends}
        self._tables: dict[int, list[int]] = {}
        self._ends = lru_cache(DUES_KEPT)(self._end_of_days)
        self.version = "+".join(self._years[year].version for year in sorted(self._years))

    def is_provisional(self, year: int) -> bool:
        """Whether the year's calendar is not published yet, or not known here."""
        return year not in self._published

    def published_through(self, day: date) -> date:
        """The last day up to which the calendar is published without a gap; the day before if it isn't for `day`."""
        year = day.year
        while year in self._published:
            year += 1
        return date(year, 1, 1) - timedelta(days=1) if year > day.year else day - timedelta(days=1)

    def is_working_day(self, day: date) -> bool:
        """Whether offices work on `day`."""
        table = self._table(day.year)
        index = bisect_left(table, day.toordinal())
        return index < len(table) and table[index] == day.toordinal()

    def add_working_days(self, day: date, n: int) -> date:
        """The n-th working day after `day` (before it, where n is negative); `day` itself for 0."""
        if n == 0:
            return day
        year = day.year
        table = self._table(year)
        if n > 0:
            index = bisect_right(table, day.toordinal()) + n - 1
        else:
            index = bisect_left(table, day.toordinal()) + n
        while index >= len(table):
            index -= len(table)
            year += 1
            table = self._table(year)
        while index < 0:
            year -= 1
            table = self._table(year)
            index += len(table)
        return date.fromordinal(table[index])

    def working_days_between(self, start: date, end: date) -> int:
        """How many working days lie after `start` up to and including `end`; negative where `end` is earlier."""
        if end < start:
            return -self.working_days_between(end, start)
        count = bisect_right(self._table(end.year), end.toordinal())
        count -= bisect_right(self._table(start.year), start.toordinal())
        return count + sum(len(self._table(year)) for year in range(start.year, end.year))

    def next_working_day(self, day: date) -> date:
        """`day` if offices work on it, else the first working day after it."""
        return day if self.is_working_day(day) else self.add_working_days(day, 1)

    def due(self, start: datetime, limit: Limit, office_hours: Sequence[Period] = STANDARD_HOURS) -> Due:
        """When a limit that runs from `start` ends. Only limits in office hours look at `office_hours`.

        Raises:
            Invalid: `start` has no time zone, or the office is never open.
        """
        if limit.unit is not LimitUnit.OFFICE_HOURS:
            return self._ends(legal_day(start), limit.unit, limit.amount)
        due = self.due_with_suspensions(start, limit, (), office_hours)
        assert due is not None  # noqa: S101 - None means suspended, and here nothing is
        return due

    def five_day_duty(self, received: datetime) -> Due:
        """When an application counts as accepted unless all supplements were asked for (行政许可法 32).

        Raises:
            Invalid: `received` has no time zone.
        """
        return self.due(received, _FIVE_DAYS)

    def due_with_suspensions(
        self,
        start: datetime,
        limit: Limit,
        suspensions: Iterable[Suspension],
        office_hours: Sequence[Period] = STANDARD_HOURS,
    ) -> Due | None:
        """When the limit ends if the clock stood still from … to …; None while it still stands still.

        In days, the day the clock stops counts and the day it resumes does not, as a starting day does not.
        Suspensions may overlap and come in any order; what begins after the end is without effect.

        Raises:
            Invalid: an instant has no time zone, a suspension ends before it begins, or the office is never open.
        """
        begin = _local(start)
        stops = _merged(begin, suspensions)
        if limit.unit is LimitUnit.OFFICE_HOURS:
            return self._due_in_office_hours(begin, limit.amount, stops, office_hours)
        first = begin.date()
        amount = limit.amount
        end = self._counted(first, limit.unit, amount)
        for stop, resume in stops:
            if stop.date() > end:
                break
            if resume is None:
                return None
            if limit.unit is LimitUnit.CALENDAR_DAYS:
                amount += (resume.date() - stop.date()).days
            else:
                amount += self.working_days_between(stop.date(), resume.date())
            end = max(self._counted(first, limit.unit, amount), self.next_working_day(resume.date()))
        return self._end_of(first, end)

    def _counted(self, first: date, unit: LimitUnit, amount: int) -> date:
        if unit is LimitUnit.CALENDAR_DAYS:
            return self.next_working_day(first + timedelta(days=amount))
        return self.next_working_day(self.add_working_days(first, amount))

    def _end_of_days(self, first: date, unit: LimitUnit, amount: int) -> Due:
        if unit is LimitUnit.WORKING_DAYS:
            return self._end_of(first, self.add_working_days(first, amount))
        return self._end_of(first, self._counted(first, unit, amount))

    def _end_of(self, first: date, day: date) -> Due:
        return Due(datetime.combine(day, _DAY_END), self.version, self._provisional(first, day))

    def _provisional(self, first: date, last: date) -> bool:
        return any(year not in self._published for year in range(first.year, last.year + 1))

    def _due_in_office_hours(
        self,
        begin: datetime,
        amount: int,
        stops: Sequence[Suspension],
        office_hours: Sequence[Period],
    ) -> Due | None:
        if not office_hours:
            raise Invalid("office_hours", "empty", "at least one period")
        left = timedelta(hours=amount)
        for stop, resume in (*stops, (datetime.max.replace(tzinfo=CHINA_TIME), begin)):
            for opens, closes in self._open_time(begin, stop, office_hours):
                if closes - opens >= left:
                    at = (opens + left).astimezone(UTC)
                    return Due(at, self.version, self._provisional(begin.date(), opens.date()))
                left -= closes - opens
            if resume is None:
                return None
            begin = resume
        raise AssertionError("the last stretch of time never ends")

    def _open_time(
        self, begin: datetime, end: datetime, office_hours: Sequence[Period]
    ) -> Iterator[tuple[datetime, datetime]]:
        """The stretches of office time between two instants, in order."""
        day = self.next_working_day(begin.date())
        while day <= end.date():
            for period in office_hours:
                opens = max(begin, datetime.combine(day, period.opens, CHINA_TIME))
                closes = min(end, datetime.combine(day, period.closes, CHINA_TIME))
                if opens < closes:
                    yield opens, closes
            day = self.add_working_days(day, 1)

    def _table(self, year: int) -> list[int]:
        """The year's working days as sorted ordinals, built when first asked for."""
        table = self._tables.get(year)
        if table is None:
            table = self._tables[year] = self._build(year)
        return table

    def _build(self, year: int) -> list[int]:
        off = self._off
        if year not in self._years:
            off = off | {date(year, month, day).toordinal() for month, day in FIXED_HOLIDAYS}
        days = range(date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal() + 1)
        # Ordinal 1 is a Monday, so (ordinal - 1) % 7 is the weekday.
        return [day for day in days if day in self._extra or ((day - 1) % 7 < _SATURDAY and day not in off)]


def _local(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise Invalid("start", "has no time zone", "an aware datetime")
    return instant.astimezone(CHINA_TIME)


def _merged(begin: datetime, suspensions: Iterable[Suspension]) -> list[Suspension]:
    """Suspensions in order, local, clipped to what follows `begin`, overlapping ones joined."""
    pairs = [(_local(stop), None if resume is None else _local(resume)) for stop, resume in suspensions]
    merged: list[Suspension] = []
    for asked, resume in sorted(pairs, key=lambda pair: pair[0]):
        if resume is not None and resume < asked:
            raise Invalid("suspensions", "one ends before it begins", "from ≤ to")
        if resume is not None and resume < begin:
            continue
        stop = max(asked, begin)
        if merged:
            last_stop, last_resume = merged[-1]
            if last_resume is None:
                break
            if stop <= last_resume:
                merged[-1] = (last_stop, None if resume is None else max(resume, last_resume))
                continue
        merged.append((stop, resume))
    return merged
