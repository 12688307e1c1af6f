"""The legal clock of a case: limits of every unit, extended and suspended."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from cases.clock import LegalClock
from jurisdictions import CHINA_TIME, Directory, Invalid, Item, Limit, LimitUnit, legal_day
from schemas.models import Suspension

MONDAY = datetime(2026, 3, 2, 12, tzinfo=CHINA_TIME)


@pytest.fixture
def clock(directory: Directory) -> LegalClock:
    return LegalClock(directory)


@pytest.fixture
def item(directory: Directory) -> Any:
    def build(unit: LimitUnit, amount: int = 0) -> Item:
        limit = Limit(unit, amount)
        return msgspec.structs.replace(directory.items[0], promised=limit, statutory=None)

    return build


@pytest.mark.parametrize(
    ("unit", "amount", "extension", "due"),
    [
        (LimitUnit.WORKING_DAYS, 5, 0, "03-10 00:00"),
        (LimitUnit.WORKING_DAYS, 5, 10, "03-24 00:00"),
        (LimitUnit.CALENDAR_DAYS, 5, 0, "03-10 00:00"),  # the 7th is a Saturday
        (LimitUnit.CALENDAR_DAYS, 5, 3, "03-11 00:00"),
        (LimitUnit.AT_ONCE, 0, 0, "03-03 00:00"),
        (LimitUnit.AT_ONCE, 0, 2, "03-05 00:00"),
        (LimitUnit.OFFICE_HOURS, 4, 0, "03-02 17:00"),
        (LimitUnit.OFFICE_HOURS, 4, 1, "03-04 00:00"),
    ],
)
def test_limits_of_every_unit(
    clock: LegalClock, item: Any, unit: LimitUnit, amount: int, extension: int, due: str
):
    times = clock.accepted(item(unit, amount), clock.collected(MONDAY), MONDAY, extension_days=extension)
    assert times.promised is not None
    assert times.promised.astimezone(CHINA_TIME).strftime("%m-%d %H:%M") == due
    assert times.statutory is None
    assert times.collected == MONDAY


def test_suspended_days_do_not_count(clock: LegalClock, item: Any):
    stop = Suspension(since=MONDAY, until=MONDAY + timedelta(days=7))
    times = clock.accepted(item(LimitUnit.WORKING_DAYS, 5), clock.collected(MONDAY), MONDAY, [stop])
    assert times.promised is not None
    assert legal_day(times.promised - timedelta(seconds=1)).isoformat() == "2026-03-16"


def test_a_result_is_served_within_ten_working_days(clock: LegalClock):
    before_new_year = datetime(2026, 2, 12, 12, tzinfo=CHINA_TIME)
    assert legal_day(clock.serve_by(before_new_year) - timedelta(seconds=1)).isoformat() == "2026-03-04"


@pytest.mark.parametrize("year", [1900, 9500])
def test_years_that_no_calendar_counts_are_refused(clock: LegalClock, year: int):
    with pytest.raises(Invalid, match="outside of all calendars"):
        clock.duty(MONDAY.replace(year=year))
