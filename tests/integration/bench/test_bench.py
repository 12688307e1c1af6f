"""Tiny runs of the bench's parts over a real broker: every figure is there, and every case came through."""

from pathlib import Path

import pytest

from jurisdictions import load_directory
from kuayu.bench import flow, intake, peering
from kuayu.bench.peering import PEERS, Peer
from kuayu.broker import LocalBroker
from schemas import load_schemas

OURS_TO_RUN = [peer for peer in PEERS if peer.lock is None]
"""Those that need no packages of their own."""


@pytest.mark.broker
@pytest.mark.timeout(400)  # a broker and nine processes have to start
def test_our_flow_and_its_peers(tmp_path: Path) -> None:
    missing = Peer("missing", "confluent", OURS_TO_RUN[0].guarantees, tmp_path / "no.lock")
    broken = Peer("broken", "no_such_script", OURS_TO_RUN[0].guarantees)
    with LocalBroker(tmp_path / "broker") as broker:
        ours = flow.measure(
            "confluent", broker, tmp_path / "ledgers", cases=60, rounds=2, seconds=1.0, warm_up=20
        )
        results = list(
            peering.measure(
                [*OURS_TO_RUN, missing, broken],
                broker,
                tmp_path,
                load_directory(),
                load_schemas(),
                cases=60,
                rounds=1,
                seconds=1.0,
            )
        )
    speed = ours.speed
    assert speed.cases == 60
    assert len(speed.rounds_per_s) == 2
    assert min(speed.rounds_per_s) > 0
    assert 0 < ours.answered_ms.p50 <= speed.collected_ms.p50 <= speed.latency_ms.p99
    assert speed.review_ms.p50 > 0
    assert ours.ledger_bytes_per_case > 0
    assert ours.topic_bytes_per_case > 0
    assert set(speed.processes) == {"acceptance", "review", "pickup"}
    for result in results[:-2]:
        assert result.error == ""
        assert result.speed is not None
        assert result.speed.cases_per_s > 0
        assert 0 < result.speed.review_ms.p50 <= result.speed.latency_ms.p99
    assert [result.speed for result in results[-2:]] == [None, None]
    assert "no.lock" in results[-2].error
    assert "no_such_script" in results[-1].error


@pytest.mark.broker
@pytest.mark.timeout(300)  # a broker, a worker and a node have to start
def test_the_way_in(tmp_path: Path) -> None:
    taken = intake.measure(tmp_path / "intake", cases=600)
    assert 0 < taken.single.answer_ms.p50 <= taken.single.answer_ms.p99
    assert taken.batch.cases_per_s > 0
    assert taken.writer_cases_per_s > 0
