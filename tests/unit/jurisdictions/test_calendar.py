from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jurisdictions import (
    CHINA_TIME,
    Calendar,
    CalendarYear,
    Directory,
    Holiday,
    Invalid,
    Limit,
    LimitUnit,
    Period,
    load_directory,
)

CALENDAR = load_directory().calendar
DAYS = st.dates(date(2010, 1, 1), date(2032, 12, 31))


def china(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo("Asia/Shanghai"))  # type: ignore[arg-type,misc]


def end_of(day: date) -> datetime:
    """24:00 in China."""
    return datetime.combine(day + timedelta(days=1), time(0), ZoneInfo("Asia/Shanghai"))


def working_days(n: int) -> Limit:
    return Limit(LimitUnit.WORKING_DAYS, n)


def calendar_days(n: int) -> Limit:
    return Limit(LimitUnit.CALENDAR_DAYS, n)


def office_hours(n: int) -> Limit:
    return Limit(LimitUnit.OFFICE_HOURS, n)


AT_ONCE = Limit(LimitUnit.AT_ONCE)


@pytest.mark.parametrize(
    ("start", "n", "end"),
    [
        (date(2026, 2, 12), 5, date(2026, 2, 26)),
        (date(2025, 9, 29), 10, date(2025, 10, 20)),
        (date(2026, 4, 30), 3, date(2026, 5, 8)),
        (date(2026, 2, 26), -5, date(2026, 2, 12)),
        (date(2026, 2, 15), 1, date(2026, 2, 24)),
        (date(2026, 2, 15), -1, date(2026, 2, 14)),
        (date(2025, 12, 31), 1, date(2026, 1, 4)),
        (date(2026, 10, 3), 0, date(2026, 10, 3)),
    ],
)
def test_working_days_follow_the_published_calendar(start: date, n: int, end: date) -> None:
    assert CALENDAR.add_working_days(start, n) == end


def test_weekends_worked_are_those_published() -> None:
    weekends = [
        day
        for day in (date(2025, 1, 1) + timedelta(days=n) for n in range(730))
        if day.weekday() >= 5 and CALENDAR.is_working_day(day)
    ]
    assert weekends == [
        *(date(2025, *day) for day in ((1, 26), (2, 8), (4, 27), (9, 28), (10, 11))),
        *(date(2026, *day) for day in ((1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10))),
    ]


@pytest.mark.parametrize(("year", "days"), [(2025, 248), (2026, 248)])
def test_a_year_has_248_working_days(year: int, days: int) -> None:
    # 365 days less 104 weekend days less 13 holidays of the law; exchanged days cancel out.
    assert CALENDAR.working_days_between(date(year - 1, 12, 31), date(year, 12, 31)) == days


@given(DAYS, st.integers(1, 400))
def test_what_is_added_is_what_lies_between(day: date, n: int) -> None:
    end = CALENDAR.add_working_days(day, n)
    assert CALENDAR.is_working_day(end)
    assert CALENDAR.working_days_between(day, end) == n
    assert CALENDAR.working_days_between(end, day) == -n


@given(DAYS, st.integers(1, 300), st.integers(1, 300))
def test_adding_in_two_steps_is_adding_at_once(day: date, first: int, second: int) -> None:
    two_steps = CALENDAR.add_working_days(CALENDAR.add_working_days(day, first), second)
    assert two_steps == CALENDAR.add_working_days(day, first + second)


@given(DAYS, st.integers(1, 300))
def test_counting_back_undoes_counting_on(day: date, n: int) -> None:
    working = CALENDAR.next_working_day(day)
    assert CALENDAR.add_working_days(CALENDAR.add_working_days(working, n), -n) == working


def test_the_starting_day_does_not_count_and_the_day_ends_at_midnight_in_china() -> None:
    due = CALENDAR.due(china(2026, 2, 12, 0, 0), working_days(5))
    assert due.at == end_of(date(2026, 2, 26)) == datetime(2026, 2, 26, 16, tzinfo=UTC)
    assert due.at.tzinfo is UTC
    assert CALENDAR.due(china(2026, 2, 12, 23, 59), working_days(5)) == due
    assert CALENDAR.due(china(2026, 2, 13, 0, 0), working_days(5)) != due


def test_the_local_day_decides_not_the_one_of_the_given_zone() -> None:
    late_in_utc = datetime(2026, 3, 2, 17, tzinfo=UTC)  # 3 March, 01:00 in China
    assert CALENDAR.due(late_in_utc, working_days(1)).at == end_of(date(2026, 3, 4))


@given(st.datetimes(datetime(1992, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001 - made aware below
def test_legal_time_is_that_of_shanghai(naive: datetime) -> None:
    instant = naive.replace(tzinfo=UTC)
    assert instant.astimezone(CHINA_TIME).replace(tzinfo=None) == instant.astimezone(
        ZoneInfo("Asia/Shanghai")
    ).replace(tzinfo=None)


@pytest.mark.parametrize(
    ("start", "days", "end"),
    [
        (date(2026, 3, 2), 3, date(2026, 3, 5)),
        (date(2026, 3, 5), 3, date(2026, 3, 9)),  # Sunday → Monday
        (date(2026, 2, 12), 10, date(2026, 2, 24)),  # inside the Spring Festival
        (date(2026, 2, 4), 10, date(2026, 2, 14)),  # a Saturday that is worked
    ],
)
def test_calendar_days_that_end_on_a_day_off_roll_on(start: date, days: int, end: date) -> None:
    begin = datetime.combine(start, time(10), CHINA_TIME)
    assert CALENDAR.due(begin, calendar_days(days)).at == end_of(end)


def test_at_once_is_the_same_day_or_the_next_the_office_works() -> None:
    assert CALENDAR.due(china(2026, 3, 5, 16, 59), AT_ONCE).at == end_of(date(2026, 3, 5))
    assert CALENDAR.due(china(2026, 3, 7, 10), AT_ONCE).at == end_of(date(2026, 3, 9))


@pytest.mark.parametrize(
    ("start", "hours", "end"),
    [
        (china(2026, 3, 5, 9, 30), 2, china(2026, 3, 5, 11, 30)),
        (china(2026, 3, 5, 11), 2, china(2026, 3, 5, 14)),  # over lunch
        (china(2026, 3, 6, 16, 30), 2, china(2026, 3, 9, 10, 30)),  # over the weekend
        (china(2026, 3, 7, 12), 1, china(2026, 3, 9, 10)),  # from a Saturday
        (china(2026, 3, 5, 20), 7, china(2026, 3, 6, 17)),  # a whole day, to its last minute
        (china(2026, 2, 14, 16), 8, china(2026, 2, 24, 17)),  # a worked Saturday, then the festival
    ],
)
def test_office_hours_count_while_the_office_is_open(start: datetime, hours: int, end: datetime) -> None:
    assert CALENDAR.due(start, office_hours(hours)).at == end


def test_each_office_has_its_own_hours(directory: Directory) -> None:
    hours = directory.jurisdiction("433101").office_hours
    assert hours == (Period(time(9), time(12)), Period(time(13, 30), time(17, 30)))
    assert CALENDAR.due(china(2026, 3, 5, 11), office_hours(2), hours).at == china(2026, 3, 5, 14, 30)
    with pytest.raises(Invalid, match="office_hours"):
        CALENDAR.due(china(2026, 3, 5, 11), office_hours(2), ())


def test_the_five_day_duty_counts_working_days_from_receipt() -> None:
    received = china(2026, 2, 12, 15)
    assert CALENDAR.five_day_duty(received) == CALENDAR.due(received, working_days(5))
    assert CALENDAR.five_day_duty(received).at == end_of(date(2026, 2, 26))


def test_due_dates_beyond_the_published_years_are_provisional() -> None:
    settled = CALENDAR.due(china(2026, 12, 1), working_days(20))
    assert not settled.provisional
    assert settled.calendar_version == CALENDAR.version
    assert CALENDAR.due(china(2026, 12, 30), working_days(5)).provisional
    assert CALENDAR.due(china(2026, 12, 30), office_hours(30)).provisional
    assert CALENDAR.due(china(2026, 12, 31), calendar_days(1)).provisional
    assert CALENDAR.due(china(2011, 3, 1), working_days(1)).provisional


def test_an_unpublished_year_has_weekends_and_the_holidays_with_fixed_dates() -> None:
    for year in (2027, 2031):
        assert CALENDAR.is_provisional(year)
        off = [
            (day.month, day.day)
            for day in (date(year, 1, 1) + timedelta(days=n) for n in range(365))
            if day.weekday() < 5 and not CALENDAR.is_working_day(day)
        ]
        fixed = [(1, 1), (5, 1), (5, 2), (10, 1), (10, 2), (10, 3)]
        assert off == [day for day in fixed if date(year, *day).weekday() < 5]
    assert not CALENDAR.is_provisional(2026)


def test_a_published_year_replaces_the_guess_and_names_itself() -> None:
    holiday = Holiday("春节", "Spring Festival", date(2028, 1, 25), date(2028, 1, 31))
    year = CalendarYear("2028.1", 2028, date(2027, 11, 1), "示例", (holiday,), (date(2028, 2, 5),))
    calendar = Calendar([year])
    due = calendar.due(china(2028, 1, 24), working_days(5))
    assert (due.at, due.calendar_version, due.provisional) == (end_of(date(2028, 2, 5)), "2028.1", False)


def test_new_year_arrangements_reach_into_the_year_before() -> None:
    new_year = Holiday("元旦", "New Year", date(2018, 12, 30), date(2019, 1, 1))
    years = [
        CalendarYear("2018.1", 2018, date(2017, 11, 30), "示例", (), ()),
        CalendarYear("2019.1", 2019, date(2018, 12, 6), "示例", (new_year,), (date(2018, 12, 29),)),
    ]
    calendar = Calendar(years)
    assert calendar.is_working_day(date(2018, 12, 29))
    assert not calendar.is_working_day(date(2018, 12, 31))


# Suspension


@pytest.mark.parametrize(
    ("limit", "suspensions", "end"),
    [
        # stopped on Tuesday, resumed on Friday: Wednesday to Friday do not count
        (working_days(5), [(china(2026, 3, 3, 10), china(2026, 3, 6, 10))], date(2026, 3, 12)),
        (working_days(5), [(china(2026, 3, 3, 10), china(2026, 3, 3, 17))], date(2026, 3, 9)),
        # overlapping ones count once, in whatever order
        (
            working_days(5),
            [(china(2026, 3, 4), china(2026, 3, 6, 10)), (china(2026, 3, 3, 10), china(2026, 3, 5))],
            date(2026, 3, 12),
        ),
        # after the end: without effect
        (working_days(5), [(china(2026, 3, 20), None)], date(2026, 3, 9)),
        # before the start: only what lies behind it
        (working_days(5), [(china(2026, 2, 24), china(2026, 3, 3))], date(2026, 3, 10)),
        (working_days(5), [(china(2026, 2, 24), china(2026, 2, 25))], date(2026, 3, 9)),
        # stopped on the last day, resumed on a Sunday: that day's remainder is the next working day
        (working_days(5), [(china(2026, 3, 9, 9), china(2026, 3, 15, 9))], date(2026, 3, 16)),
        # a second suspension that only the first one makes possible
        (
            working_days(5),
            [(china(2026, 3, 3), china(2026, 3, 6)), (china(2026, 3, 11), china(2026, 3, 13))],
            date(2026, 3, 16),
        ),
        (calendar_days(3), [(china(2026, 3, 3), china(2026, 3, 5))], date(2026, 3, 9)),
        (AT_ONCE, [(china(2026, 3, 2, 11), china(2026, 3, 4, 11))], date(2026, 3, 4)),
    ],
)
def test_suspended_time_does_not_count(
    limit: Limit, suspensions: list[tuple[datetime, datetime | None]], end: date
) -> None:
    due = CALENDAR.due_with_suspensions(china(2026, 3, 2, 10), limit, suspensions)
    assert due is not None
    assert due.at == end_of(end)


def test_office_hours_stand_still_to_the_minute() -> None:
    suspensions = [(china(2026, 3, 2, 10, 30), china(2026, 3, 2, 14))]
    due = CALENDAR.due_with_suspensions(china(2026, 3, 2, 10), office_hours(2), suspensions)
    assert due is not None
    assert due.at == china(2026, 3, 2, 15, 30)


@pytest.mark.parametrize("limit", [working_days(5), calendar_days(5), office_hours(5), AT_ONCE])
def test_while_the_clock_stands_nothing_is_due(limit: Limit) -> None:
    begin = china(2026, 3, 2, 10)
    assert CALENDAR.due_with_suspensions(begin, limit, [(china(2026, 3, 2, 11), None)]) is None
    both = [(china(2026, 3, 2, 11), None), (china(2026, 3, 2, 12), china(2026, 3, 3))]
    assert CALENDAR.due_with_suspensions(begin, limit, both) is None


LIMITS = st.one_of(
    st.integers(1, 60).map(working_days),
    st.integers(1, 60).map(calendar_days),
    st.integers(1, 60).map(office_hours),
    st.just(AT_ONCE),
)
INSTANTS = st.datetimes(datetime(2025, 1, 1), datetime(2026, 12, 31), timezones=st.just(CHINA_TIME))  # noqa: DTZ001
SUSPENSIONS = st.lists(
    st.tuples(INSTANTS, st.integers(0, 40 * 24)).map(
        lambda pair: (pair[0], pair[0] + timedelta(hours=pair[1]))
    ),
    max_size=4,
)


@given(INSTANTS, LIMITS, SUSPENSIONS)
def test_suspensions_never_shorten_and_their_order_is_nothing(
    start: datetime, limit: Limit, suspensions: list[tuple[datetime, datetime]]
) -> None:
    due = CALENDAR.due_with_suspensions(start, limit, suspensions)
    assert due is not None
    assert due.at >= CALENDAR.due(start, limit).at
    assert CALENDAR.due_with_suspensions(start, limit, suspensions[::-1]) == due
    assert CALENDAR.due_with_suspensions(start, limit, [*suspensions, *suspensions]) == due


@given(INSTANTS, st.integers(1, 30), SUSPENSIONS)
def test_working_days_count_one_by_one_outside_suspensions(
    start: datetime, n: int, suspensions: list[tuple[datetime, datetime]]
) -> None:
    """A slow oracle: walk the days; a day counts unless the clock stood still at its beginning.

    A clock that resumes after the last day counted ends with the first working day from then on.
    """
    stops = sorted(
        (max(stop, start).date(), resume.date()) for stop, resume in suspensions if resume >= start
    )
    day, left, end = start.date(), n, start.date()
    while left:
        day += timedelta(days=1)
        if CALENDAR.is_working_day(day) and not any(stop < day <= resume for stop, resume in stops):
            left -= 1
            end = day
    for stop, resume in stops:
        if stop <= end < resume:
            end = CALENDAR.next_working_day(resume)
    due = CALENDAR.due_with_suspensions(start, working_days(n), suspensions)
    assert due is not None
    assert due.at == end_of(end)


def test_an_extension_moves_the_limit() -> None:
    limit = working_days(20)
    assert limit.extended(10) == working_days(30)
    with pytest.raises(Invalid, match="below 1"):
        limit.extended(0)
    with pytest.raises(Invalid, match="at once"):
        AT_ONCE.extended(1)


@pytest.mark.parametrize(("unit", "amount"), [(LimitUnit.AT_ONCE, 1), (LimitUnit.WORKING_DAYS, 0)])
def test_a_limit_and_its_unit_fit(unit: LimitUnit, amount: int) -> None:
    with pytest.raises(Invalid, match="amount"):
        Limit(unit, amount)


def test_an_instant_without_a_zone_is_refused() -> None:
    naive = datetime(2026, 3, 2)  # noqa: DTZ001 - the point
    with pytest.raises(Invalid, match="time zone"):
        CALENDAR.due(naive, working_days(5))
    with pytest.raises(Invalid, match="time zone"):
        CALENDAR.due_with_suspensions(china(2026, 3, 2), working_days(5), [(naive, None)])


def test_a_suspension_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(Invalid, match="suspensions"):
        CALENDAR.due_with_suspensions(
            china(2026, 3, 2), working_days(5), [(china(2026, 3, 5), china(2026, 3, 4))]
        )


def test_how_far_the_calendar_is_published() -> None:
    published = {2026: date(2025, 11, 4), 2027: date(2026, 11, 3), 2028: None, 2029: date(2027, 11, 2)}
    years = [
        CalendarYear(f"{year}.1", year, day, None, holidays=(), working_weekends=())
        for year, day in published.items()
    ]
    calendar = Calendar(years)
    assert calendar.published_through(date(2026, 11, 2)) == date(2027, 12, 31)
    assert calendar.published_through(date(2027, 12, 31)) == date(2027, 12, 31)
    assert calendar.published_through(date(2028, 3, 1)) == date(2028, 2, 29), "not even for this day"
