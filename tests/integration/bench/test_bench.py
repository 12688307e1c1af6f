"""Tiny runs of the bench's parts over a real broker: every figure is there, and every case came through."""

from pathlib import Path

import pytest

from jurisdictions import load_directory
from kuayu.bench import floor, flow, intake, node, peering, raw
from kuayu.bench.peering import PEERS
from kuayu.broker import LocalBroker
from schemas import load_schemas

PLAIN = next(peer for peer in PEERS if peer.name == "confluent_kafka")
"""It needs no packages of its own."""


@pytest.mark.long
@pytest.mark.broker
@pytest.mark.timeout(600)  # a broker and nine processes have to start
def test_our_flow_and_a_peer(tmp_path: Path) -> None:
    missing = PLAIN._replace(name="missing", lock=tmp_path / "no.lock")
    broken = PLAIN._replace(name="broken", script="no_such_script")
    with LocalBroker(tmp_path / "broker") as broker:
        ours = flow.measure(
            "confluent", broker, tmp_path / "ledgers", cases=60, rounds=2, seconds=60.0, warm_up=20
        )
        results = list(
            peering.measure(
                [PLAIN, missing, broken],
                broker,
                tmp_path,
                load_directory(),
                load_schemas(),
                cases=60,
                rounds=1,
                seconds=60.0,
            )
        )
        driver = raw.measure("confluent", broker.bootstrap, 2_000)
    alone = floor.measure(tmp_path / "ledgers", 50, driver)
    speed = ours.speed
    assert speed.cases == 60
    assert len(speed.rounds_per_s) == 2
    assert min(speed.rounds_per_s) > 0
    assert 0 < ours.answered_ms.p50 <= speed.collected_ms.p50 <= speed.latency_ms.p99
    assert speed.review_ms.p50 > 0
    assert ours.ledger_bytes_per_case > 0
    assert ours.topic_bytes_per_case > 0
    assert min(alone) > 0
    assert alone.driver_us + alone.native_us == pytest.approx(driver.us_per_case)
    assert alone.total_us == sum(alone) - alone.native_us
    assert [len(rows) for rows in floor.read(tmp_path / "ledgers", 50)] == [200, 200, 150]
    assert set(speed.processes) == {"acceptance", "review", "pickup"}
    plain, not_installed, ended = results
    assert plain.error == ""
    assert plain.speed is not None
    assert plain.speed.cases_per_s > 0
    assert 0 < plain.speed.review_ms.p50 <= plain.speed.latency_ms.p99
    assert not_installed.speed is ended.speed is None
    assert "no.lock" in not_installed.error
    assert "no_such_script" in ended.error


@pytest.mark.long
@pytest.mark.broker
def test_the_way_in(tmp_path: Path) -> None:
    taken = intake.measure(tmp_path / "intake", cases=600)
    assert 0 < taken.single.answer_ms.p50 <= taken.single.answer_ms.p99
    assert taken.batch.cases_per_s > 0
    assert taken.writer_cases_per_s > 0


@pytest.mark.long
@pytest.mark.broker
def test_a_node_that_does_nothing(tmp_path: Path, bootstrap: str) -> None:
    idle = node.measure("kafka-python", bootstrap, tmp_path / "node", idle_seconds=0.5)
    assert 0 < idle.start_cpu_s <= idle.start_s * 2
    assert idle.idle_cpu_pct < 100
    assert 20 < idle.rss_mb < 1_000
    assert idle.handles > 3
