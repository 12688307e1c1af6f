"""Figures as JSON and as a table."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from kuayu.bench import report
from kuayu.bench.flow import BenchError, Flow, Percentiles, Process, check, percentiles
from kuayu.bench.raw import Raw
from kuayu.bench.worker import Audit

RAW = Raw(20_000.0, 20.0, 10.0, 40_000.0, 40.0, 30.0)
PROCESS = Process(300.0, {"kuayu-writer": 250.0, "native": 50.0}, 90.0)
FLOW = Flow(
    cases=1_000,
    cases_per_s=2_000.0,
    python_us_per_case=750.0,
    cpu_us_per_case=1_000.0,
    broker_us_per_case=100.0,
    offered_per_s=1_000.0,
    answered_ms=Percentiles(5.0, 20.0),
    review_ms=Percentiles(12.0, 40.0),
    latency_ms=Percentiles(30.0, 90.0),
    ledger_bytes_per_case=28_000.0,
    topic_bytes_per_case=5_000.0,
    processes={"acceptance": PROCESS, "review": PROCESS, "pickup": PROCESS},
    broker_rss_mb=240.0,
)


@pytest.fixture
def figures() -> dict[str, Any]:
    return report.figures(
        report.machine(), {"kafka-python": RAW, "confluent": RAW}, {"kafka-python": FLOW, "confluent": FLOW}
    )


def test_figures_survive_json(figures: dict[str, Any]) -> None:
    assert json.loads(json.dumps(figures)) == figures
    assert figures["flow"]["kafka_python"]["latency_ms"] == {"p50": 30.0, "p99": 90.0}
    assert figures["machine"]["cores"] >= 1


def test_ratios_are_against_the_driver_alone(figures: dict[str, Any]) -> None:
    ratios = figures["flow"]["confluent"]["ratios"]
    assert ratios["records_to_produced"] == 0.5  # five events of each of 2,000 cases, of 20,000 records
    assert ratios["records_to_consumed"] == 0.25
    assert ratios["cpu_to_driver_cpu"] == 4.5  # 900 µs, of five times 40


def test_the_table_is_plain_where_there_is_no_terminal(figures: dict[str, Any]) -> None:
    out = io.StringIO()
    report.show(Console(file=out, width=120), figures)
    text = out.getvalue()
    assert "\x1b" not in text
    assert "2,000" in text
    assert "30 · 90" in text


def test_percentiles_are_of_the_whole_span_from_arrival() -> None:
    begun = {str(n): 100.0 for n in range(100)}
    done = {str(n): 100.0 + n / 1_000 for n in range(100)}
    assert percentiles(begun, done) == pytest.approx((50.0, 99.0))


SOUND = Audit(cases=10, delivered=10, doubled=0, problems=[], bytes=1)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (Audit(10, 9, 0, [], 1), "9 delivered"),
        (Audit(11, 10, 0, [], 1), "11 known"),
        (Audit(10, 10, 1, [], 1), "1 cases in which something took effect twice"),
        (Audit(10, 10, 0, ["row 3 is missing"], 1), "row 3 is missing"),
    ],
)
def test_a_lost_or_doubled_case_fails_the_bench(wrong: Audit, said: str) -> None:
    check([SOUND, SOUND, SOUND], 10)
    with pytest.raises(BenchError, match=said):
        check([SOUND, wrong, SOUND], 10)
