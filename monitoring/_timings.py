"""A histogram that takes many observations at once: prometheus_client's own takes two locks for each of them."""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf
from threading import Lock
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Exemplar, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

SAMPLE_EVERY: Final = 1.0
"""Seconds between two exemplars of one series: one a scrape is seen."""
_TRACE_ID: Final = slice(3, 35)
"""Where a W3C `traceparent` has its trace id."""


class _Series:
    """What was observed under one set of labels."""

    __slots__ = ("counts", "exemplars", "sample_at", "sum")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * buckets
        self.exemplars: list[Exemplar | None] = [None] * buckets
        self.sum = 0.0
        self.sample_at = 0.0


class Timings(Collector):
    """Seconds by labels, in classic buckets; from any thread."""

    def __init__(
        self,
        registry: CollectorRegistry,
        name: str,
        text: str,
        buckets: Sequence[float],
        labels: tuple[str, ...],
    ) -> None:
        """`buckets` are upper bounds, the last but infinity."""
        self._name, self._text, self._labels = name, text, labels
        self._bounds = tuple(buckets)
        self._names = [floatToGoString(bound) for bound in (*buckets, inf)]  # type: ignore[no-untyped-call]
        self._series: dict[tuple[str, ...], _Series] = {}
        self._lock = Lock()
        registry.register(self)

    def observe(self, labels: tuple[str, ...], seconds: Sequence[float], trace: str = "") -> None:
        """Add observations, at least one; the `traceparent` is the last one's, and shown as exemplar now and then."""
        with self._lock:
            series = self._series.get(labels)
            if series is None:
                series = self._series[labels] = _Series(len(self._names))
            for each in seconds:
                series.counts[bisect_left(self._bounds, each)] += 1
            series.sum += sum(seconds)
            trace_id = trace[_TRACE_ID]
            if len(trace_id) == 32 and time.monotonic() >= series.sample_at:  # noqa: PLR2004 - W3C trace context
                series.sample_at = time.monotonic() + SAMPLE_EVERY
                last = seconds[-1]
                told = Exemplar({"trace_id": trace_id}, last, time.time())
                series.exemplars[bisect_left(self._bounds, last)] = told

    def describe(self) -> Iterator[HistogramMetricFamily]:
        """What it is, without samples."""
        yield HistogramMetricFamily(self._name, self._text, labels=self._labels)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """All series as they stand."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        with self._lock:
            for labels, series in self._series.items():
                counts = zip(self._names, accumulate(series.counts), series.exemplars, strict=True)
                buckets: list[Any] = [each if each[2] else each[:2] for each in counts]
                family.add_metric(labels, buckets, series.sum)
        yield family
