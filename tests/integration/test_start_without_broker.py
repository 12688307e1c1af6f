"""A node starts where there is no broker, nor a topic: cases are taken in, and go their way once there are both."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from bus.transport import MemoryBroker, MemoryTransport, Transport, open_transport
from jurisdictions import load_directory
from kuayu.keys import add_key
from kuayu.node import Node
from kuayu.settings import Settings
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue
from tests.running import PATIENCE

CASE = json.loads((Path(__file__).parents[2] / "docs" / "first-case.json").read_text("utf-8"))
TOPOLOGY = DirectoryTopology(load_directory(), load_catalogue())


class Ground:
    """A broker that is away, and a way to it."""

    def __init__(self, driver: str, settings: Settings, broker: Any) -> None:
        self.driver = driver
        self.settings = settings
        self.broker = broker

    def transport(self) -> Transport:
        if self.driver == "memory":
            return MemoryTransport(self.broker)
        return open_transport(self.driver, self.settings.bootstrap_servers)

    def come_back(self) -> None:
        """With the topics of the node that it sends to, and none of its own."""
        self.broker.start()
        self.transport().ensure_topics(TOPOLOGY.topics(frozenset({"430100"})))


@pytest.fixture(
    params=[
        "memory",
        pytest.param("kafka-python", marks=pytest.mark.broker),
        pytest.param("confluent", marks=[pytest.mark.broker, pytest.mark.long]),
    ]
)
def ground(request: pytest.FixtureRequest, tmp_path: Path, broker_factory: Callable[..., Any]) -> Ground:
    keys = tmp_path / "keys.yaml"
    data = tmp_path / "data"
    if request.param == "memory":
        broker = MemoryBroker()
        broker.stop()
        return Ground("memory", Settings(data=data, keys=keys), broker)
    real = broker_factory()
    real.kill()
    settings = Settings(data=data, keys=keys, driver=request.param, bootstrap_servers=real.bootstrap)
    return Ground(request.param, settings, real)


def test_a_node_starts_without_a_broker(ground: Ground, tmp_path: Path, serving: Callable[..., Any]) -> None:
    key = add_key(
        tmp_path / "keys.yaml", caller="system:hall", name="hall", jurisdiction="430200", roles=["submit"]
    )
    node = Node("430200", ground.settings, transport=ground.transport())
    node.start()
    try:
        with serving(node.app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
            headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "one"}
            taken = client.post("/v1/cases", json=CASE, headers=headers)
            assert taken.status_code == 202, taken.text
            ready = client.get("/readyz")
            assert ready.status_code == 503
            assert any("no broker yet" in reason for reason in ready.json()["reasons"])
            assert ready.json()["positions"]["relay_behind"] == 1
            assert client.get("/livez").status_code == 200

            ground.come_back()
            until = time.monotonic() + 60
            while time.monotonic() < until:
                ready = client.get("/readyz")
                if ready.status_code == 200 and ready.json()["positions"]["relay_behind"] == 0:
                    break
                time.sleep(0.1)
            assert (ready.status_code, ready.json()["positions"]["relay_behind"]) == (200, 0), ready.text
        made = {spec.name: spec.partitions for spec in TOPOLOGY.topics(frozenset({"430200"}))}
        assert made.items() <= ground.transport().topics().items()
    finally:
        node.stop()
