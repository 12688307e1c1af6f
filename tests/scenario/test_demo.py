"""The demonstration as a person runs it: a process of its own, real broker, four nodes, and sums that hold."""

import csv
import gzip
import io
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.running import PATIENCE

pytestmark = [pytest.mark.broker, pytest.mark.timeout(420)]

OUTCOMES = ("collected", "refused", "not accepted", "withdrawn", "open", "parked")
AGREED = "the numbers add up, and all nodes agree"


def start(folder: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("KUAYU_")}
    return subprocess.Popen(
        [sys.executable, "-m", "kuayu", "demo", *arguments],
        cwd=folder,
        env=inherited | {"COLUMNS": "120", "PYTHONUNBUFFERED": "1"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def numbers(output: str) -> dict[str, int]:
    """The rows of the summary by their English names."""
    rows = re.findall(r"│\s*[=+]?\s*\S+ ([a-z ]+?)(?: \(.*\))?\s*│\s*(\d+) │", output)
    return {name: int(number) for name, number in rows}


def check_sums(output: str) -> dict[str, int]:
    found = numbers(output)
    assert found["handed in"] == sum(found[outcome] for outcome in OUTCOMES), output
    assert AGREED in output
    return found


def started_below(process: subprocess.Popen[str]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


@pytest.mark.long
def test_cases_run_through_on_a_given_broker_whose_topics_must_be_fresh(
    tmp_path: Path, broker_factory: Any
) -> None:
    broker = broker_factory()
    arguments = ("--cases", "60", "--mix", "stress", "--seed", "3")
    demo = start(tmp_path, *arguments, KUAYU_BOOTSTRAP_SERVERS=broker.bootstrap)
    output, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, output
    found = check_sums(output)
    assert found["handed in"] == 60
    assert found["collected"] > 20
    assert found["refused"] + found["not accepted"] + found["withdrawn"] > 0
    assert re.search(r"quarantined\s*│ 1 / 1 │", output)
    assert broker.alive

    again = start(tmp_path, *arguments, KUAYU_BOOTSTRAP_SERVERS=broker.bootstrap)
    output, _ = again.communicate(timeout=2 * PATIENCE)
    assert again.returncode == 2
    assert "were used before" in output


LOG = {
    "taken": [("T10 Determine necessity to stop indication", 2)],
    "held": [
        ("T10 Determine necessity to stop indication", 1),
        ("T16 Report reasons to hold request", 2),
        ("T20 Print report Y to stop indication", 5),
    ],
    "needless": [
        ("T10 Determine necessity to stop indication", 2),
        ("T15 Print document X request unlicensed", 3),
    ],
    "left": [("T02 Check confirmation of receipt", 1)],
}


@pytest.mark.long
def test_a_log_is_replayed_and_every_case_accounted_for(tmp_path: Path) -> None:
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["case:concept:name", "case:channel", "concept:name", "org:resource", "time:timestamp"])
    first = datetime(2011, 10, 3, 8, tzinfo=UTC)
    cases = [*["taken"] * 6, *["held"] * 2, *["needless"] * 3, *["left"] * 4]
    for number, kind in enumerate(cases):
        at = first + timedelta(hours=7 * number)
        rows.writerow([f"zaak {number}", "Desk", "Confirmation of receipt", "Clerk", at.isoformat()])
        for activity, days in LOG[kind]:
            moment = (at + timedelta(days=days)).isoformat()
            rows.writerow([f"zaak {number}", "Desk", activity, "Clerk", moment])
    log = tmp_path / "excerpt.csv.gz"
    log.write_bytes(gzip.compress(text.getvalue().encode()))

    demo = start(tmp_path, "--log", str(log))
    output, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, output
    found = check_sums(output)
    expected = {"handed in": 15, "collected": 8, "not accepted": 3, "open": 4}
    assert {name: found[name] for name in expected} == expected
    assert "suspend 2" in output
    assert "resume 2" in output


@pytest.mark.long
def test_an_interruption_ends_everything_cleanly_and_the_sums_hold(tmp_path: Path) -> None:
    demo = start(tmp_path, "--mix", "stress")
    try:
        assert demo.stdout is not None
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if line.startswith("Kafka"):  # the last line before the cases begin
                break
        urls = re.findall(r"(http://\S+)/metrics", "".join(lines))
        assert len(urls) == 4, lines
        while sum(httpx.get(f"{url}/v1/tally", timeout=PATIENCE).json()["handed_in"] for url in urls) < 25:
            time.sleep(0.3)
        below = started_below(demo)
        demo.send_signal(signal.SIGINT)
        output, _ = demo.communicate(timeout=2 * PATIENCE)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 0, output
    assert check_sums(output)["handed in"] >= 25
    _, alive = psutil.wait_procs(below, timeout=PATIENCE)
    assert not alive


@pytest.mark.long
def test_a_killed_demonstration_leaves_nothing(tmp_path: Path) -> None:
    demo = start(tmp_path)
    with demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("Kafka"):
                break
        below = started_below(demo)
        demo.kill()
    assert len(below) > 4, "four nodes and a broker"
    _, alive = psutil.wait_procs(below, timeout=PATIENCE)
    assert not alive


def test_what_cannot_run_says_why(tmp_path: Path) -> None:
    log = tmp_path / "broken.csv"
    log.write_text("case:concept:name,concept:name,time:timestamp\n1,Dreamt,2026-03-02T09:00Z\n")
    for arguments, reason in [
        (("--log", str(log)), "broken.csv, line 2, concept:name"),
        (("--mix", "dull"), "realistic or stress"),
    ]:
        demo = start(tmp_path, *arguments)
        output, _ = demo.communicate(timeout=PATIENCE)
        assert demo.returncode == 2
        assert reason in output
        assert not (tmp_path / "var").exists()
