"""The legal clock of a case: its four times and what is due, by the calendar of the directory."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from jurisdictions import Directory, Due, Invalid, Item, Limit, LimitStart, LimitUnit
from schemas.models import Suspension, Times

_SERVICE: Final = Limit(LimitUnit.WORKING_DAYS, 10)
_FIRST_YEAR: Final = 1993
_LAST_YEAR: Final = 9000
_UNITS_OF_DAYS: Final = (LimitUnit.WORKING_DAYS, LimitUnit.CALENDAR_DAYS)


def _countable(instant: datetime) -> datetime:
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise Invalid("acted_at", "outside of all calendars", f"a year from {_FIRST_YEAR} to {_LAST_YEAR}")
    return instant


class LegalClock:
    """Due instants by one directory's calendar. Pure: it never looks at the time of day.

    Its methods raise Invalid for an instant outside of the years that calendars count.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._calendar = directory.calendar

    def collected(self, at: datetime) -> Times:
        """The times of an application that has only been collected."""
        return Times(collected=at, provisional=False, calendar_version=self._calendar.version)

    def duty(self, received: datetime) -> Due:
        """When a collected application counts as accepted: five working days after receipt (行政许可法 32)."""
        return self._calendar.five_day_duty(_countable(received))

    def serve_by(self, decided: datetime) -> datetime:
        """Until when a result has to be served: ten working days after the decision (行政许可法 44, 82)."""
        return self._calendar.due(_countable(decided), _SERVICE).at

    def accepted(
        self,
        item: Item,
        times: Times,
        at: datetime,
        suspensions: Iterable[Suspension] = (),
        extension_days: int = 0,
    ) -> Times:
        """The times of a case accepted `at`, with the limits of its item, extended and less what was suspended.

        A limit that starts from another instant than acceptance (the end of an application window or of a public
        notice) is counted from acceptance and provisional, as that instant is not known to the case.
        """
        stops = [(_countable(stop.since), _countable(stop.until)) for stop in suspensions]
        promised = self._due(item, item.promised, _countable(at), stops, extension_days)
        statutory = self._due(item, item.statutory, at, stops, extension_days)
        return replace(
            times,
            accepted=at,
            promised=promised and promised.at,
            statutory=statutory and statutory.at,
            provisional=_may_move(item.promised, promised) or _may_move(item.statutory, statutory),
            calendar_version=self._calendar.version,
        )

    def _due(
        self,
        item: Item,
        limit: Limit | None,
        at: datetime,
        stops: Sequence[tuple[datetime, datetime]],
        extension_days: int,
    ) -> Due | None:
        if limit is None:
            return None
        if extension_days:
            limit = (
                limit.extended(extension_days)
                if limit.unit in _UNITS_OF_DAYS
                else Limit(LimitUnit.WORKING_DAYS, extension_days, limit.starts)
            )
        if limit.unit is not LimitUnit.OFFICE_HOURS:
            if not stops:
                return self._calendar.due(at, limit)
            return self._calendar.due_with_suspensions(at, limit, stops)
        hours = self._directory.jurisdiction(item.owner).office_hours
        return self._calendar.due_with_suspensions(at, limit, stops, hours)


def _may_move(limit: Limit | None, due: Due | None) -> bool:
    """Whether a due instant depends on a calendar to come, or on an instant that the case does not know."""
    if limit is None or due is None:
        return False
    return due.provisional or limit.starts is not LimitStart.ACCEPTANCE
