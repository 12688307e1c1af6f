"""The histogram of many observations at once says what prometheus_client's own would."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from monitoring._timings import Timings
from monitoring.metrics import HOP_BUCKETS, STEP_BUCKETS

SECONDS = st.floats(0, 10_000_000) | st.sampled_from([*HOP_BUCKETS, *STEP_BUCKETS])


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.lists(SECONDS, min_size=1)), max_size=5))
def test_it_says_what_the_librarys_own_histogram_says(told: list[tuple[str, list[float]]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    timings = Timings(ours, "seconds", "Text.", STEP_BUCKETS, ("who",))
    histogram = Histogram("seconds", "Text.", ("who",), buckets=STEP_BUCKETS, registry=theirs)
    for who, seconds in told:
        timings.observe((who,), seconds)
        for each in seconds:
            histogram.labels(who).observe(each)
    assert _told(ours) == _told(theirs)


def _told(registry: CollectorRegistry) -> list[tuple[str, float]]:
    """Names with labels, and values to nine digits: sums may be made in another order."""
    lines = [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return [(name, float(f"{float(value):.9g}")) for name, _, value in pairs]
