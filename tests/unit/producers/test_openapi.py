"""The OpenAPI document against the running application: requests that it allows, and requests that it does not."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from producers.models import Submission

CONFIG = """
[checks]
# What a schema can't say (check digits, agreements, the state of a case) is refused with 422, 409 or 412; a case that
# was made up is not found.
positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "412", "422"]
# 207: a batch refuses its wrong items one by one. 413: too large goes before wrong.
negative_data_rejection.expected-statuses = ["207", "400", "401", "404", "405", "412", "413", "422"]
"""


@pytest.mark.long
def test_the_document_says_what_the_application_does(hall: Any, keys: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"),
            *(f"{hall.address}/openapi.json", "--header", f"Authorization: Bearer {keys['hall'].key}"),
            *("--checks", "all", "--mode", "all", "--max-examples", "5", "--seed", "1", "--no-color"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert run.returncode == 0, (
        "\n".join(line[:300] for line in run.stdout.splitlines()) + run.stderr[-2_000:]
    )
    assert "7 selected / 7 total" in run.stdout


def test_every_example_of_the_document_is_taken(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    body = document["paths"]["/v1/cases"]["post"]["requestBody"]["content"]["application/json"]
    statuses = {
        name: client.post("/v1/cases", json=example["value"]).status_code
        for name, example in body["examples"].items()
    }
    assert statuses == {"one": 202, "batch": 207}


def test_every_route_wants_a_key(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["security"]
            assert {"401", "403", "422"} <= operation["responses"].keys()


def test_the_document_stands_alone(client: httpx.Client) -> None:
    body = client.get("/openapi.json").text
    assert "#/$defs" not in body
    assert set(Submission.model_fields) <= set(
        client.get("/openapi.json").json()["paths"]["/v1/cases"]["post"]["requestBody"]["content"][
            "application/json"
        ]["schema"]["anyOf"][0]["properties"]
    )
