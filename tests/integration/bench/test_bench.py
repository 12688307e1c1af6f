"""A tiny run of the whole bench over a real broker: every figure is there, and every case came through."""

import json
from pathlib import Path

import pytest

from kuayu.bench import run_bench


@pytest.mark.broker
@pytest.mark.timeout(400)  # two brokers and six processes have to start
def test_a_tiny_run_fills_every_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "build" / "bench.json"
    assert run_bench(quick=True, out=out, cases=60, records=500) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["machine"]["python"]
    for driver in ("confluent", "kafka_python"):
        raw, flow = figures["raw"][driver], figures["flow"][driver]
        assert all(
            raw[f"{way}_{unit}"] > 0 for way in ("produce", "consume") for unit in ("per_s", "mb_per_s")
        )
        assert flow["cases"] == 60
        assert flow["cases_per_s"] > 0
        assert 0 < flow["answered_ms"]["p50"] <= flow["latency_ms"]["p50"] <= flow["latency_ms"]["p99"]
        assert flow["ledger_bytes_per_case"] > 0
        assert flow["topic_bytes_per_case"] > 0
        assert flow["ratios"]["records_to_produced"] > 0
        assert set(flow["processes"]) == {"acceptance", "review", "pickup"}
        assert all(process["rss_mb"] > 0 for process in flow["processes"].values())
    assert "cases/s" in capsys.readouterr().out
