"""docker-compose.yml keeps what it promises: pinned images, health checks, loopback addresses, a node for each code."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NODES = {name: service for name, service in SERVICES.items() if name.startswith("node-")}


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_is_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9/.-]+:v?\d[\w.-]*", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_the_loopback_address(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "topics"])
def test_each_lasting_service_has_a_health_check_and_keeps_its_data(name: str) -> None:
    service = SERVICES[name]
    by_image = service["image"].startswith("kuayu:")  # its Dockerfile has one
    assert "healthcheck" in service or (by_image and "HEALTHCHECK" in (ROOT / "Dockerfile").read_text())
    assert {volume.partition(":")[0] for volume in service["volumes"]} <= set(COMPOSE["volumes"])


@pytest.mark.parametrize("name", NODES)
def test_each_node_has_a_ledger_of_its_own_and_is_watched(name: str) -> None:
    code = name.removeprefix("node-")
    assert NODES[name]["command"] == ["node", code]
    assert NODES[name]["environment"]["KUAYU_LEDGER"].endswith(f"/ledger_{code}")
    assert f"CREATE DATABASE ledger_{code};" in COMPOSE["configs"]["databases"]["content"]
    assert f"{name}:8080" in COMPOSE["configs"]["prometheus"]["content"]


def test_there_is_a_node_for_each_of_the_four_jurisdictions() -> None:
    assert sorted(NODES) == ["node-430100", "node-430200", "node-430300", "node-440100"]
