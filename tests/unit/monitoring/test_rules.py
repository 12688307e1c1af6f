"""Configuration and rules, by Prometheus' own tool: it says whether each alert fires when it should, and only then."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

import monitoring

FOLDER = Path(monitoring.__file__).parent / "prometheus"
CASES = Path(__file__).parent / "rules_test.yaml"
needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (part of Prometheus) is not on the PATH"
)


def promtool(*arguments: str | Path) -> None:
    found = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_a_configuration_names_each_node(tmp_path: Path) -> None:
    path = tmp_path / "prometheus.yml"
    monitoring.write_config({"430200": "127.0.0.1:8200", "430100": "127.0.0.1:8100"}, path)
    config = yaml.safe_load(path.read_text("utf-8"))
    [job] = config["scrape_configs"]
    assert job["static_configs"] == [
        {"targets": ["127.0.0.1:8100"], "labels": {"node": "430100"}},
        {"targets": ["127.0.0.1:8200"], "labels": {"node": "430200"}},
    ]
    assert all(Path(file).is_file() for file in config["rule_files"])


@needs_promtool
def test_the_configurations_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "prometheus.yml"
    monitoring.write_config({"430200": "127.0.0.1:8200"}, path)
    promtool("check", "config", path)
    promtool("check", "config", FOLDER / "prometheus.yml")


@needs_promtool
def test_the_rules_are_valid() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", FOLDER / "rules.yml")


@needs_promtool
def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    cases = yaml.safe_load(CASES.read_text("utf-8"))
    cases["rule_files"] = [str(FOLDER / "rules.yml")]
    path = tmp_path / "cases.yaml"
    path.write_text(yaml.safe_dump(cases, allow_unicode=True), "utf-8")
    promtool("test", "rules", path)


def test_every_alert_has_a_case_that_fires_it() -> None:
    rules = yaml.safe_load((FOLDER / "rules.yml").read_text("utf-8"))
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    cases = yaml.safe_load(CASES.read_text("utf-8"))
    for alert in alerts:
        fired = [
            bool(case["exp_alerts"])
            for test in cases["tests"]
            for case in test["alert_rule_test"]
            if case["alertname"] == alert
        ]
        assert set(fired) == {True, False}, f"{alert} is not shown to fire and not to fire"
