"""docker-compose.yml keeps what it promises: pinned images, health checks, loopback addresses, a watched node each."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PROMETHEUS = ROOT / "monitoring/prometheus"
ONCE = {"topics", "keys"}
NODES = {name: service for name, service in SERVICES.items() if name.startswith("node-")}


def mounts(name: str) -> list[tuple[str, str, str]]:
    """Source, place in the container, and mode of each."""
    parts = [volume.split(":") for volume in SERVICES[name].get("volumes", [])]
    return [(source, target, mode[0] if mode else "rw") for source, target, *mode in parts]


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_is_pinned(name: str) -> None:
    assert re.fullmatch(r"[a-z0-9/.-]+:v?\d[\w.-]*", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_the_loopback_address(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in ONCE])
def test_each_lasting_service_has_a_health_check_and_keeps_its_data(name: str) -> None:
    service = SERVICES[name]
    by_image = service["image"].startswith("kuayu:")  # its Dockerfile has one
    assert "healthcheck" in service or (by_image and "HEALTHCHECK" in (ROOT / "Dockerfile").read_text())
    assert not set(COMPOSE["volumes"]).isdisjoint(source for source, _, _ in mounts(name))


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there_and_files_of_ours_are_not_written(name: str) -> None:
    for source, _, mode in mounts(name):
        if source.startswith("./"):
            assert (ROOT / source).exists()
            assert mode == "ro"
        else:
            assert source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", NODES)
def test_each_node_has_a_ledger_and_keys_of_its_own_and_is_watched(name: str) -> None:
    code = name.removeprefix("node-")
    environment = NODES[name]["environment"]
    assert NODES[name]["command"] == ["node", code]
    assert environment["KUAYU_LEDGER"].endswith(f"/ledger_{code}")
    assert f"CREATE DATABASE ledger_{code};" in COMPOSE["configs"]["databases"]["content"]
    assert environment["KUAYU_KEYS"] == f"/etc/kuayu/{code}.yaml"
    assert ("keys", "/etc/kuayu", "ro") in mounts(name)
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text(encoding="utf-8"))
    targets = [
        target for group in config["scrape_configs"][0]["static_configs"] for target in group["targets"]
    ]
    assert f"{name}:8080" in targets


def test_prometheus_reads_our_configuration_and_keeps_exemplars() -> None:
    assert ("./monitoring/prometheus", "/etc/prometheus", "ro") in mounts("prometheus")
    assert {
        "--config.file=/etc/prometheus/prometheus.yml",
        "--enable-feature=exemplar-storage",
    } <= set(SERVICES["prometheus"]["command"])


def test_grafana_finds_the_dashboard_where_its_provider_looks() -> None:
    provisioned = {target: source for source, target, _ in mounts("grafana")}
    folder = ROOT / provisioned["/etc/grafana/provisioning"]
    (provider,) = yaml.safe_load((folder / "dashboards/kuayu.yaml").read_text(encoding="utf-8"))["providers"]
    assert any(target.startswith(f"{provider['options']['path']}/") for target in provisioned)


def test_there_is_a_node_for_each_of_the_four_jurisdictions() -> None:
    assert sorted(NODES) == ["node-430100", "node-430200", "node-430300", "node-440100"]
