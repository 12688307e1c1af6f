"""What the nodes say of themselves while the demonstration runs: their tallies, and how long hand-overs took."""

import asyncio
from collections import defaultdict
from itertools import pairwise
from typing import Final, NamedTuple

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from kuayu.demo.region import NodeProcess
from monitoring import Tally

_HOPS: Final = "kuayu_hop_seconds"


class Hop(NamedTuple):
    """Hand-overs to a stage: how many, and their latency in seconds (from commit to commit)."""

    events: int
    p50: float
    p99: float


class Readings(NamedTuple):
    """One look at all nodes: tallies by jurisdiction, latencies by receiving stage."""

    tallies: dict[str, Tally]
    hops: dict[str, Hop]

    def total(self, field: str) -> int:
        """A number of the tallies, over all nodes."""
        return sum(getattr(tally, field) for tally in self.tallies.values())


async def read(client: httpx.AsyncClient, nodes: dict[str, NodeProcess]) -> Readings:
    """Ask all nodes at once.

    Raises:
        httpx.HTTPError: one does not answer.
    """
    tallies = await asyncio.gather(*(client.get(f"{node.url}/v1/tally") for node in nodes.values()))
    metrics = await asyncio.gather(*(client.get(f"{node.url}/metrics") for node in nodes.values()))
    for answer in (*tallies, *metrics):
        answer.raise_for_status()
    return Readings(
        {
            code: msgspec.json.decode(answer.content, type=Tally)
            for code, answer in zip(nodes, tallies, strict=True)
        },
        hops([answer.text for answer in metrics]),
    )


def hops(expositions: list[str]) -> dict[str, Hop]:
    """Latencies by receiving stage, from the histograms of several nodes together."""
    buckets: dict[str, dict[float, float]] = defaultdict(lambda: defaultdict(float))
    for exposition in expositions:
        text = "".join(line for line in exposition.splitlines(keepends=True) if _HOPS in line)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == f"{_HOPS}_bucket":
                    buckets[sample.labels["stage"]][float(sample.labels["le"])] += sample.value
    return {
        stage: Hop(int(max(counts.values())), _quantile(counts, 0.5), _quantile(counts, 0.99))
        for stage, counts in buckets.items()
        if max(counts.values())
    }


def _quantile(cumulative: dict[float, float], share: float) -> float:
    """As Prometheus's histogram_quantile has it: even within a bucket, the last bound beyond it."""
    bounds = sorted(cumulative)
    wanted = share * cumulative[bounds[-1]]
    for lower, upper in pairwise([0.0, *bounds]):
        if cumulative[upper] >= wanted:
            if upper == float("inf"):
                return lower
            below = cumulative.get(lower, 0.0)
            return lower + (upper - lower) * (wanted - below) / (cumulative[upper] - below)
    return bounds[-1]
