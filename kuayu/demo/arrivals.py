"""When cases come: by day, weekday and hour, over-dispersed and in bursts. Times are the simulated calendar's.

Shapes: counters 9–12 and 13–17 with a peak at ten; online 70 % by day, 25 % in the evening, weekends at 35 % of a
weekday; day totals with a variance of twice their mean (negative binomial); more after holidays and around the turn of
a month. They are like a real counter's, and none is a published figure.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final

from jurisdictions import CHINA_TIME, Calendar

_COUNTER_HOURS: Final = {9: 19, 10: 23, 11: 15, 13: 8, 14: 15, 15: 13, 16: 7}
_ONLINE_HOURS: Final = (
    dict.fromkeys(range(8, 18), 70 / 10)
    | dict.fromkeys(range(18, 23), 25 / 5)
    | dict.fromkeys((*range(8), 23), 5 / 9)
)
_WEEKDAYS: Final = (24, 21, 19, 19, 17)
_WEEKEND_ONLINE: Final = 0.35
_AFTER_HOLIDAY: Final = 1.8
_LONG_HOLIDAY: Final = 5
_TURN_OF_MONTH: Final = 1.3
_TURN_DAYS: Final = 2


class Arrivals:
    """A stream of instants at which cases come in, with whether they come online."""

    def __init__(self, random: Random, calendar: Calendar, *, a_day: float, online: float) -> None:
        """`a_day`: mean of a working day; `online`: share of what comes online on it."""
        self._random = random
        self._calendar = calendar
        self._a_day = a_day
        self._online = online

    def since(self, first: date) -> Iterator[tuple[datetime, bool]]:
        """Instants from the day `first` on, in order, for ever."""
        day = first
        while True:
            found = [
                (self._instant(day, _COUNTER_HOURS), False)
                for _ in range(self._total(self._counter_mean(day)))
            ]
            found += [
                (self._instant(day, _ONLINE_HOURS), True) for _ in range(self._total(self._online_mean(day)))
            ]
            yield from sorted(found)
            day += timedelta(days=1)

    def _counter_mean(self, day: date) -> float:
        if not self._calendar.is_working_day(day):
            return 0.0
        weight = _WEEKDAYS[min(day.weekday(), 4)] * len(_WEEKDAYS) / sum(_WEEKDAYS)
        return self._a_day * (1 - self._online) * weight * self._burst(day)

    def _online_mean(self, day: date) -> float:
        mean = self._a_day * self._online
        return mean * (self._burst(day) if self._calendar.is_working_day(day) else _WEEKEND_ONLINE)

    def _burst(self, day: date) -> float:
        before = self._calendar.add_working_days(day, -1)
        if (day - before).days > _LONG_HOLIDAY:
            return _AFTER_HOLIDAY
        near = (
            self._calendar.add_working_days(day, _TURN_DAYS).month != day.month
            or self._calendar.add_working_days(day, -_TURN_DAYS).month != day.month
        )
        return _TURN_OF_MONTH if near else 1.0

    def _total(self, mean: float) -> int:
        """Negative binomial with variance 2 × mean: Poisson with a gamma-distributed mean."""
        return self._poisson(self._random.gammavariate(mean, 1.0)) if mean > 0 else 0

    def _poisson(self, mean: float) -> int:
        count, left = 0, mean
        while True:
            left += math.log(1.0 - self._random.random())
            if left < 0:
                return count
            count += 1

    def _instant(self, day: date, hours: Mapping[int, float]) -> datetime:
        [hour] = self._random.choices(list(hours), list(hours.values()))
        start = datetime.combine(day, time(hour), CHINA_TIME)
        return start + timedelta(seconds=self._random.uniform(0, 3600))
