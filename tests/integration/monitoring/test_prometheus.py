"""A real Prometheus asks real nodes: numbers, recorded series, exemplars, and every panel of the dashboard."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import monitoring
from monitoring import PrometheusServer
from tests.running import PATIENCE, eventually

pytestmark = pytest.mark.skipif(not PrometheusServer.available(), reason="prometheus is not on the PATH")

DASHBOARD = Path(monitoring.__file__).parent / "grafana" / "dashboard.json"
TRACE_ID = "5eed" * 8
CASES = 3


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def prometheus(town: Any, serve: Callable[[Any], str], tmp_path: Path) -> Iterator[httpx.Client]:
    """Has scraped three running nodes through which some cases went all the way."""
    town.start()
    targets = {code: serve(node) for code, node in town.nodes.items()}
    with (
        PrometheusServer(targets, tmp_path / "prometheus", free_port()) as server,
        httpx.Client(base_url=server.url, timeout=PATIENCE) as client,
    ):
        eventually(lambda: ask(client, "sum(up)") == [({}, 3.0)])
        for _ in range(CASES):
            case = town.hand_in(trace=f"00-{TRACE_ID}-{'1' * 16}-01")
            town.settle()
            town.approve(case)
            town.settle()
            town.hand_over(case)
            town.settle()
        done = time.time()
        eventually(lambda: ask(client, f"count(timestamp(kuayu_engine_alive) > {done})") == [({}, 3.0)])
        yield client


def ask(client: httpx.Client, query: str) -> list[tuple[dict[str, str], float]]:
    answer = client.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", answer
    return [(one["metric"], float(one["value"][1])) for one in answer["data"]["result"]]


def alert_states(client: httpx.Client) -> dict[str, str]:
    groups = client.get("/api/v1/rules", params={"type": "alert"}).json()["data"]["groups"]
    return {rule["name"]: rule["state"] for group in groups for rule in group["rules"]}


def panels() -> list[tuple[str, str]]:
    dashboard = json.loads(DASHBOARD.read_text("utf-8"))
    return [
        (panel["title"], target["expr"].replace("$node", ".*"))
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


def test_prometheus_has_the_numbers_traces_and_panels(prometheus: httpx.Client) -> None:
    # one event to review, two of the decision, two each of readiness and collection, all applied where they belong
    by_stage = 'sum by (stage) (kuayu_events_received_total{outcome="applied"})'
    assert sorted((labels["stage"], count) for labels, count in ask(prometheus, by_stage)) == [
        ("acceptance", 3.0 * CASES),
        ("pickup", 1.0 * CASES),
        ("review", 3.0 * CASES),
    ]
    assert ask(prometheus, "sum(kuayu_open_handovers)") == [({}, 0.0)]
    finished = 'kuayu_cases{node="430300", stage="pickup", status="collected"}'
    assert [count for _, count in ask(prometheus, finished)] == [CASES]
    [(_, hop)] = ask(
        prometheus, 'kuayu_hop_seconds_count{node="430100", stage="review", counterpart="430200"}'
    )
    assert hop == CASES
    [(_, waited)] = ask(prometheus, 'sum(kuayu_step_seconds_sum{step="collected"})')
    assert waited == pytest.approx(CASES * 2 * 3600, rel=0.05)

    span: dict[str, str | float] = {
        "query": "kuayu_hop_seconds_bucket",
        "start": time.time() - 300,
        "end": time.time() + 60,
    }
    exemplars = prometheus.get("/api/v1/query_exemplars", params=span).json()["data"]
    traces = {one["labels"]["trace_id"] for series in exemplars for one in series["exemplars"]}
    assert TRACE_ID in traces

    eventually(
        lambda: set(alert_states(prometheus).values()) == {"inactive"}
    )  # the clock's jumps may have rung one

    missing = panels()
    assert missing

    def all_shown() -> bool:
        missing[:] = [(title, expr) for title, expr in missing if not ask(prometheus, expr)]
        return not missing

    eventually(all_shown)


def test_it_is_stopped_and_leaves_nothing(tmp_path: Path) -> None:
    server = PrometheusServer({"430200": "127.0.0.1:9"}, tmp_path, free_port())
    with server:
        assert httpx.get(f"{server.url}/-/healthy", timeout=PATIENCE).status_code == 200
        process = server._process
        assert process is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    server.stop()  # again: nothing to do


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(RuntimeError, match=r"prometheus\.log"):
            PrometheusServer({}, tmp_path, taken.getsockname()[1]).start()
