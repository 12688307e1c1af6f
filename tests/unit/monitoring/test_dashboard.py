"""The dashboard as Grafana is given it. Its queries are asked of a real Prometheus in the integration tests."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

import monitoring

GRAFANA = Path(monitoring.__file__).parent / "grafana"
DASHBOARD: dict[str, Any] = json.loads((GRAFANA / "dashboard.json").read_text("utf-8"))


def test_panels_ask_the_provisioned_datasource() -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yaml").read_text("utf-8"))
    uids = {source["uid"] for source in provisioned["datasources"]}
    asked = {target["datasource"]["uid"] for panel in DASHBOARD["panels"] for target in panel["targets"]} | {
        variable["datasource"]["uid"] for variable in DASHBOARD["templating"]["list"]
    }
    assert asked == uids


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above
