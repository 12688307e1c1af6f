"""Results are kept line by line, and a run that is worse by ratio is found, whatever the machine's speed."""

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kuayu.bench import history

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)


def figures(**ratios: float) -> dict[str, Any]:
    flow = {
        "cases_per_s": 2_000.0,
        "python_us_per_case": 750.0,
        "cpu_us_per_case": 1_000.0,
        "latency_ms": {"p50": 30.0, "p99": 90.0},
        "ratios": {
            "records_to_produced": 0.5,
            "records_to_consumed": 0.25,
            "cpu_to_driver_cpu": 4.5,
            "python_to_floor": 3.0,
        },
    }
    return {
        "quick": True,
        "machine": {"processor": "a", "cores": 2, "system": "Linux", "python": "3.11.7"},
        "flow": {
            "confluent": flow,
            "kafka_python": copy.deepcopy(flow),
            "guarantees": {"effects": "exactly once"},
        },
        "peers": {"confluent_kafka": {"cases_per_s": 1_000.0}, "quixstreams": {"cases_per_s": None}},
        "ratio_to_best_peer": 2.0,
        "intake": {"batch_to_writer": 0.8},
        "codec": {"encode_to_fastavro": 2.5, "decode_to_fastavro": 2.0},
        "scale": {"ten_times_the_cases": 9.5, "all_to_four": 1.0},
    } | ratios


def test_the_newest_run_of_the_same_kind_is_compared_with(tmp_path: Path) -> None:
    file = tmp_path / "docs" / "history.jsonl"
    assert history.last(file, quick=True) is None
    history.record(file, figures(ratio_to_best_peer=3.0), AT)
    history.record(file, figures(ratio_to_best_peer=2.0), AT)
    history.record(file, figures() | {"quick": False}, AT)
    assert len(file.read_text(encoding="utf-8").splitlines()) == 3
    found = history.last(file, quick=True)
    assert found is not None
    assert found["ratios"]["ratio_to_best_peer"] == 2.0
    assert found["at"] == "2026-11-22T10:00:00+00:00"
    assert found["machine"]["cores"] == 2
    assert found["peers"] == {"confluent_kafka": 1_000.0, "quixstreams": None}


def test_the_same_run_has_not_changed() -> None:
    changes = history.compare(figures(), history.entry(figures(), AT))
    assert len(changes) == 12
    assert not any(change.worse for change in changes)


def test_a_machine_of_half_the_speed_is_no_regression() -> None:
    slower = figures()
    slower["flow"]["confluent"]["cases_per_s"] = 1_000.0
    slower["flow"]["confluent"]["python_us_per_case"] = 1_500.0
    assert not any(change.worse for change in history.compare(slower, history.entry(figures(), AT)))


@pytest.mark.parametrize(
    ("path", "within", "beyond"),
    [
        ("flow.confluent.ratios.records_to_produced", 0.38, 0.37),
        ("flow.kafka_python.ratios.cpu_to_driver_cpu", 5.6, 5.7),
        ("flow.confluent.ratios.python_to_floor", 3.7, 3.8),
        ("ratio_to_best_peer", 1.51, 1.49),
        ("scale.ten_times_the_cases", 11.8, 11.9),
    ],
)
def test_a_ratio_that_is_worse_by_more_than_the_tolerance_is_named(
    path: str, within: float, beyond: float
) -> None:
    *places, last = path.split(".")
    for value, expected in ((within, []), (beyond, [path])):
        now = figures()
        place = now
        for name in places:
            place = place[name]
        place[last] = value
        changes = history.compare(now, history.entry(figures(), AT))
        assert [change.ratio for change in changes if change.worse] == expected


def test_what_one_of_the_runs_lacks_is_not_compared() -> None:
    before = history.entry(figures(), AT)
    before["ratios"]["ratio_to_best_peer"] = None
    changes = history.compare(figures(), before)
    assert "ratio_to_best_peer" not in {change.ratio for change in changes}
    assert len(changes) == 11


def test_a_run_from_before_a_ratio_was_measured_is_compared_by_the_others() -> None:
    before = history.entry(figures(), AT)
    for driver in ("confluent", "kafka_python"):
        del before["ratios"][f"flow.{driver}.ratios.python_to_floor"]
    changes = history.compare(figures(), before)
    assert len(changes) == 10
    assert not any("python_to_floor" in change.ratio for change in changes)


@pytest.mark.parametrize("line", ["not JSON", "[]", json.dumps({"quick": True})])
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "history.jsonl"
    history.record(file, figures(), AT)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(line + "\n")
    with pytest.raises(history.HistoryError, match="line 2"):
        history.last(file, quick=True)
