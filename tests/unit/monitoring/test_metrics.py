"""The observer: what is counted under which labels, whatever is sent to us."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from bus import Observer, Received
from bus.envelope import Envelope
from jurisdictions import load_directory
from monitoring import Metrics
from schemas import load_catalogue

DIRECTORY, CATALOGUE = load_directory(), load_catalogue()
NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)
INBOX = "kuayu.review.430100"
LANE = "kuayu.acceptance.430200/1>kuayu.review.430100/2"
TRACE = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


def envelope(**changes: Any) -> Envelope:
    values: dict[str, Any] = {
        "id": "1-1",
        "type": "CaseAccepted",
        "source": "430200/acceptance",
        "subject": "430200-000001",
        "acted_at": NOON,
        "recorded_at": NOON,
        "lane": LANE,
        "incarnation": 1,
        "number": 1,
        "term": 1,
        "correlation": "430200-000001",
        "causation": "1-1",
        "digest": bytes(32),
        "trace": TRACE,
    }
    return Envelope(**(values | changes))


def fresh() -> Metrics:
    return Metrics(CollectorRegistry(), "430100", directory=DIRECTORY, catalogue=CATALOGUE)


@pytest.fixture
def metrics() -> Metrics:
    return fresh()


@pytest.fixture
def count(metrics: Metrics) -> Callable[..., float | None]:
    def get(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(f"kuayu_{name}", labels)

    return get


def test_it_is_an_observer(metrics: Metrics) -> None:
    observer: Observer = metrics
    observer.committed(0.01, 3, 5)
    assert metrics.registry.get_sample_value("kuayu_rows_written_total") == 5
    assert metrics.registry.get_sample_value("kuayu_commit_items_sum") == 3


def test_records_are_counted_by_outcome(metrics: Metrics, count: Callable[..., float | None]) -> None:
    metrics.received([Received("applied", envelope(), INBOX, 0.25)])
    again = Received("duplicate", envelope(), INBOX, None)
    metrics.received([again, again])
    labels = {"stage": "review", "type": "CaseAccepted", "counterpart": "430200"}
    assert count("events_received_total", **labels, outcome="applied") == 1
    assert count("events_received_total", **labels, outcome="duplicate") == 2
    hop = {"source_stage": "acceptance", "stage": "review", "counterpart": "430200"}
    assert count("hop_seconds_sum", **hop) == 0.25
    assert count("hop_seconds_count", **hop) == 1


def test_sent_is_counted_by_receiver(metrics: Metrics, count: Callable[..., float | None]) -> None:
    metrics.sent(LANE, ["CaseAccepted", "CaseAccepted"])
    assert count("events_sent_total", stage="acceptance", type="CaseAccepted", counterpart="430100") == 2


def test_clocks_that_disagree_make_no_negative_hop(
    metrics: Metrics, count: Callable[..., float | None]
) -> None:
    metrics.received([Received("applied", envelope(), INBOX, -3.0)])
    hop = {"source_stage": "acceptance", "stage": "review", "counterpart": "430200"}
    assert count("hop_seconds_sum", **hop) == 0


@given(
    st.lists(
        st.tuples(
            st.text(max_size=20), st.text(max_size=20), st.sampled_from([INBOX, "kuayu.receipts.430100"])
        ),
        min_size=1,
        max_size=50,
    )
)
def test_labels_say_only_what_the_directory_and_the_catalogue_know(sent: list[tuple[str, str, str]]) -> None:
    metrics = fresh()
    metrics.received(
        [
            Received("waiting", envelope(type=type_, source=source), topic, None)
            for type_, source, topic in sent
        ]
    )
    [received] = [family for family in metrics.registry.collect() if family.name == "kuayu_events_received"]
    assert sum(s.value for s in received.samples if s.name.endswith("_total")) == len(sent)
    for sample in received.samples:
        assert sample.labels["type"] in {*CATALOGUE.events, "other"}
        assert sample.labels["counterpart"] in {*DIRECTORY.nodes(), "other"}
        assert sample.labels["stage"] in {"review", "receipts"}


def test_a_hop_carries_its_trace_now_and_then(metrics: Metrics) -> None:
    for _ in range(3):
        metrics.received([Received("applied", envelope(), INBOX, 0.25)])
    metrics.received([Received("applied", envelope(trace="nonsense"), INBOX, 4.0)])
    text = generate_latest(metrics.registry).decode()  # type: ignore[no-untyped-call]
    lines = [line for line in text.splitlines() if "# {" in line]
    assert len(lines) == 1
    assert f'trace_id="{"ab" * 16}"' in lines[0]
    assert 'le="0.5"' in lines[0]


def test_alarms_are_counted_kept_and_logged_once_a_second(
    metrics: Metrics, count: Callable[..., float | None]
) -> None:
    with structlog.testing.capture_logs() as logs:
        for number in range(5):
            metrics.alarm("lane_stopped", f"number {number}")
        metrics.alarm("parked", "another")
    assert count("alarms_total", kind="lane_stopped") == 5
    assert [alarm.detail for alarm in metrics.alarms][-2:] == ["number 4", "another"]
    assert [(log["kind"], log["detail"]) for log in logs] == [
        ("lane_stopped", "number 0"),
        ("parked", "another"),
    ]


def test_kinds_of_alarms_are_bounded(metrics: Metrics, count: Callable[..., float | None]) -> None:
    for number in range(200):
        metrics.alarm(f"kind {number}", "")
    [alarms] = [family for family in metrics.registry.collect() if family.name == "kuayu_alarms"]
    assert len({sample.labels["kind"] for sample in alarms.samples}) <= 51
    assert (count("alarms_total", kind="other") or 0) >= 149
    assert len(metrics.alarms) == 100


def test_nothing_is_lost_between_threads(metrics: Metrics, count: Callable[..., float | None]) -> None:
    events = [envelope(type=type_) for type_ in CATALOGUE.events]

    def work(_: int) -> None:
        for event in events * 20:
            metrics.received([Received("applied", event, INBOX, 0.01)])
            metrics.sent(LANE, [event.type])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    for type_ in CATALOGUE.events:
        labels = {"stage": "review", "type": type_, "counterpart": "430200", "outcome": "applied"}
        assert count("events_received_total", **labels) == 160
        assert count("events_sent_total", stage="acceptance", type=type_, counterpart="430100") == 160
    hop = {"source_stage": "acceptance", "stage": "review", "counterpart": "430200"}
    assert count("hop_seconds_count", **hop) == 160 * len(CATALOGUE.events)


def test_calls_of_webhooks_are_timed_by_outcome(metrics: Metrics, count: Callable[..., float | None]) -> None:
    metrics.webhook("one", "delivered", 0.2)
    metrics.webhook("two", "failed", 3.0)
    metrics.webhook("two", "failed", 3.0)
    assert count("webhook_seconds_count", outcome="delivered") == 1
    assert count("webhook_seconds_count", outcome="failed") == 2
