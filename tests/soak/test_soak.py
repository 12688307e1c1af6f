"""The soak in small: its machinery runs, measures every node, and finds nothing. A verdict on leaks takes `make soak`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kuayu.demo.region import CODES

ROOT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.broker
@pytest.mark.timeout(420)
def test_a_short_soak_measures_every_node_and_adds_up(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KUAYU_")}
    run = subprocess.run(
        [sys.executable, "-m", "tests.soak.soak", "--minutes", "0.5", "--out", "soak.json"],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": f"{ROOT}:{ROOT / 'producers/sdk'}", "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    report = json.loads((tmp_path / "soak.json").read_text())
    assert report["differences"] == []
    assert report["cases"] > 20
    assert report["rows"] > report["cases"]
    assert set(report["samples"]) == {*CODES, "broker"}
    for code in CODES:
        assert len(report["samples"][code]) >= 10
        assert all(sample["own"] > 10 and sample["files"] > 5 for sample in report["samples"][code])
    assert sum(report["nonsense"].values()) > 10
