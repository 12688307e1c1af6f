"""Time: the machine's clock, what waits for an instant although the clock may be set, and the broker's clock beside it."""

from collections import deque
from datetime import UTC, datetime, timedelta

SAMPLES = 5
"""A difference of clocks is the smallest of so many: a record that was under way for long looks like a fast clock."""


class SystemClock:
    """The machine's clock, UTC, whole milliseconds."""

    def now(self) -> datetime:
        instant = datetime.now(UTC)
        return instant - timedelta(microseconds=instant.microsecond % 1000)


def ahead(until: datetime, now: datetime, span: timedelta) -> bool:
    """Whether `until` is still to come.

    What lies further ahead than the `span` that it was set for is not waited for: the clock was set back.
    """
    return until - span <= now < until


class BrokerClock:
    """How far this machine's clock is from the broker's, by records that were read as soon as they were appended."""

    def __init__(self) -> None:
        self._samples: deque[int] = deque(maxlen=SAMPLES)

    def heard(self, now_ms: int, appended_ms: int) -> None:
        """A fresh record: both instants in milliseconds since 1970, ours and the broker's (LogAppendTime)."""
        self._samples.append(now_ms - appended_ms)

    @property
    def offset(self) -> float | None:
        """Seconds that our clock is ahead of the broker's; None before enough was heard.

        A little too large by the time that records are under way.
        """
        return min(self._samples) / 1000 if len(self._samples) == SAMPLES else None
