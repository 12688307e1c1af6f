"""Whether a measured series is flat: a robust line through its second half, against a bound for its growth.

The first half is for caches to fill and pools to open. The line is Theil and Sen's (the median of the slopes between
all pairs), which single peaks and garbage collection's saw teeth do not tilt.
"""

from collections.abc import Sequence
from itertools import combinations
from statistics import median
from typing import NamedTuple

LEAST_SAMPLES = 8


class Judgement(NamedTuple):
    """Of one series: medians of its two ends, and what the line of its second half grows in that time."""

    name: str
    first: float
    last: float
    growth: float
    bound: float

    @property
    def flat(self) -> bool:
        """Whether it grows by no more than its bound."""
        return self.growth <= self.bound

    def __str__(self) -> str:
        verdict = "flat" if self.flat else "GROWS"
        return f"{self.name}: {self.first:.1f} → {self.last:.1f}, {self.growth:+.1f} of at most {self.bound:.1f}: {verdict}"


def judge(name: str, times: Sequence[float], values: Sequence[float], bound: float) -> Judgement:
    """Judge a series of `values` at `times` (seconds, rising). `bound`: growth allowed within the second half.

    Raises:
        ValueError: fewer than 8 samples.
    """
    if len(values) < LEAST_SAMPLES:
        raise ValueError(f"{name}: {len(values)} samples; at least {LEAST_SAMPLES} are needed")
    middle = (times[0] + times[-1]) / 2
    half = [(at, value) for at, value in zip(times, values, strict=True) if at >= middle]
    slope = median((b - a) / (t - s) for (s, a), (t, b) in combinations(half, 2))
    end = max(1, len(values) // 8)
    return Judgement(
        name, median(values[:end]), median(values[-end:]), slope * (half[-1][0] - half[0][0]), bound
    )
