"""Figures as JSON and as tables."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from kuayu.bench import figures as bench_figures
from kuayu.bench import report
from kuayu.bench.floor import Floor
from kuayu.bench.flow import Flow, check
from kuayu.bench.intake import Intake, Way
from kuayu.bench.node import Node
from kuayu.bench.peering import PEERS, Result
from kuayu.bench.raw import Raw
from kuayu.bench.scale import Scale
from kuayu.bench.speed import BenchError, Percentiles, Process, Speed, percentiles
from kuayu.bench.worker import Audit

RAW = Raw(20_000.0, 20.0, 10.0, 8.0, 40_000.0, 40.0, 30.0, 22.0)
PROCESS = Process(300.0, {"kuayu-writer": 250.0, "native": 50.0}, 90.0)
SPEED = Speed(
    cases=1_000,
    handed_in=4_000,
    cases_per_s=2_000.0,
    rounds_per_s=[2_000.0],
    python_us_per_case=750.0,
    cpu_us_per_case=1_000.0,
    broker_us_per_case=100.0,
    offered_per_s=1_000.0,
    review_ms=Percentiles(12.0, 40.0),
    collected_ms=Percentiles(20.0, 60.0),
    latency_ms=Percentiles(30.0, 90.0),
    processes={"acceptance": PROCESS, "review": PROCESS, "pickup": PROCESS},
    broker_rss_mb=240.0,
)
FLOW = Flow(
    speed=SPEED,
    answered_ms=Percentiles(5.0, 20.0),
    ledger_bytes_per_case=28_000.0,
    topic_bytes_per_case=5_000.0,
)
FLOOR = Floor(
    driver_us=150.0, native_us=50.0, codec_us=35.25, hashes_us=28.5, packing_us=4.25, database_us=82.0
)
INTAKE = Intake(
    single=Way(400.0, Percentiles(70.0, 150.0)),
    batch=Way(1_000.0, Percentiles(900.0, 990.0)),
    writer_cases_per_s=1_250.0,
    batch_to_writer=0.8,
)
NODE = Node(1.1, 1.0, 0.8, 105.0, 32)
CODEC = {
    "Receipt": {
        "bytes": 100,
        "encode_us": 4.0,
        "decode_us": 5.0,
        "fastavro_encode_us": 10.0,
        "fastavro_decode_us": 10.0,
    }
}
SCALE = Scale(400, 9.5, 340, 700.0, 707.0, 1.01)


def made(*results: Result) -> dict[str, Any]:
    return bench_figures.figures(
        bench_figures.machine() | {"cores": 2},
        quick=True,
        raws={"confluent": RAW, "kafka-python": RAW},
        flows={"confluent": FLOW, "kafka-python": FLOW},
        floors={"confluent": FLOOR, "kafka-python": FLOOR},
        peers=results,
        intake=INTAKE,
        codec=CODEC,
        scale=SCALE,
        nodes={"confluent": NODE, "kafka-python": NODE},
    )


SLOWER = Result(PEERS[0], SPEED._replace(cases_per_s=500.0), "")
FASTER = Result(PEERS[1], SPEED._replace(cases_per_s=2_500.0), "")
FAILED = Result(PEERS[2], None, "its packages can't be had")


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    return made(SLOWER, FASTER, FAILED)


def shown(figures: dict[str, Any]) -> str:
    out = io.StringIO()
    report.show(Console(file=out, width=160), figures)
    return out.getvalue()


def test_figures_survive_json(figures: dict[str, Any]) -> None:
    assert json.loads(json.dumps(figures)) == figures
    assert figures["machine"]["cores"] >= 1
    for driver in ("confluent", "kafka_python"):
        flow = figures["flow"][driver]
        assert flow["cases_per_s"] == 2_000.0
        assert flow["python_us_per_case"] == 750.0
        assert flow["latency_ms"] == {"p50": 30.0, "p99": 90.0}


def test_ratios_are_against_the_driver_alone(figures: dict[str, Any]) -> None:
    ratios = figures["flow"]["confluent"]["ratios"]
    assert ratios["records_to_produced"] == 0.5  # five events of each of 2,000 cases, of 20,000 records
    assert ratios["records_to_consumed"] == 0.25
    assert ratios["cpu_to_driver_cpu"] == 4.5  # 900 µs, of five times 40


def test_the_floor_is_told_part_by_part(figures: dict[str, Any]) -> None:
    for driver in ("confluent", "kafka_python"):
        flow = figures["flow"][driver]
        assert flow["floor"] == {
            "driver_us": 150.0,
            "native_us": 50.0,
            "codec_us": 35.25,
            "hashes_us": 28.5,
            "packing_us": 4.25,
            "database_us": 82.0,
            "total_us": 300.0,
            "cases_per_s": 4_444.4,  # of two cores, 450 µs a case with librdkafka's and the broker's
        }
        assert flow["ratios"]["python_to_floor"] == 2.5  # 750 µs of 300
    lines = [line.split() for line in shown(figures).splitlines()]
    [total] = [line for line in lines if "只算库" in line]
    assert total.count("300") == 2
    assert any("150 · 35 · 28" in " ".join(line) for line in lines)
    assert any("4 · 82" in " ".join(line) for line in lines)
    [ratio] = [line for line in lines if "Python ÷ libraries alone" in " ".join(line)]
    assert ratio.count("2.5") == 2


def test_a_driver_costs_what_the_five_records_of_a_case_cost_it() -> None:
    assert RAW.us_per_case == 5 * (10.0 + 30.0)
    assert RAW.python_us_per_case == 5 * (8.0 + 22.0)


def test_the_best_peer_is_the_fastest_that_was_measured(figures: dict[str, Any]) -> None:
    assert figures["best_peer"] == FASTER.peer.name
    assert figures["ratio_to_best_peer"] == 0.8
    assert made(SLOWER, FAILED)["ratio_to_best_peer"] == 4.0
    assert made(FAILED)["ratio_to_best_peer"] is None


def test_the_codec_is_so_many_times_as_fast_as_fastavro(figures: dict[str, Any]) -> None:
    assert figures["codec"]["encode_to_fastavro"] == 2.5
    assert figures["codec"]["decode_to_fastavro"] == 2.0


def test_a_peer_that_failed_is_there_with_its_reason(figures: dict[str, Any]) -> None:
    failed = figures["peers"][FAILED.peer.name]
    assert failed["cases_per_s"] is None
    assert failed["error"] == "its packages can't be had"
    text = shown(figures)
    assert "not measured" in text
    assert f"{FAILED.peer.name}: its packages can't be had" in text


def test_the_table_says_where_a_peer_is_faster(figures: dict[str, Any]) -> None:
    lines = shown(figures).splitlines()
    [faster] = [line for line in lines if "faster than ours" in line]
    assert FASTER.peer.name in faster
    assert "0.80" in faster


def test_the_tables_are_plain_where_there_is_no_terminal(figures: dict[str, Any]) -> None:
    text = shown(figures)
    assert "\x1b" not in text
    assert "30 · 90" in text
    assert "exactly once within Kafka" in text


def test_percentiles_are_of_the_whole_span_from_arrival() -> None:
    begun = {str(n): 100.0 for n in range(100)}
    done = {str(n): 100.0 + n / 1_000 for n in range(100)}
    assert percentiles(begun, done) == pytest.approx((50.0, 99.0))


def test_a_case_that_never_arrived_has_no_percentile() -> None:
    with pytest.raises(BenchError, match="1 of 2 cases were lost"):
        percentiles({"a": 1.0, "b": 1.0}, {"a": 2.0})


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
