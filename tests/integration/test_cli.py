"""The command line as a person uses it: help that teaches, one line for an error, nothing done twice."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from typer.testing import CliRunner

from bus import Ledger
from bus.ledger import tables
from bus.transport import MemoryBroker, MemoryTransport
from jurisdictions import load_directory
from kuayu.cli import app
from kuayu.node import Node
from kuayu.settings import Settings
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue

COMMANDS = [
    "demo",
    "node",
    "key",
    "send",
    "case",
    "verify",
    "audit",
    "replay-log",
    "bench",
    "broker",
    "topics",
    "schemas",
    "directory",
    "held",
    "ledger",
]


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(app, list(arguments), env=environment)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches_every_command(command: str) -> None:
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert len(shown.output) > 300


@pytest.mark.parametrize("arguments", [("schemas", "lint"), ("schemas", "check"), ("directory", "lint")])
def test_what_the_program_ships_is_in_order(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 0


def test_a_broken_directory_is_named(tmp_path: Path) -> None:
    for file in (Path(__file__).parents[2] / "jurisdictions" / "data").rglob("*.yaml"):
        target = tmp_path / file.relative_to(Path(__file__).parents[2] / "jurisdictions" / "data")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(file.read_text("utf-8").replace("430200", "43020"), encoding="utf-8")
    shown = run("directory", "lint", str(tmp_path))
    assert shown.exit_code == 1
    assert "jurisdictions.yaml" in shown.output


@pytest.mark.parametrize(
    ("arguments", "environment", "named"),
    [
        (("node", "999999"), {}, "999999|code"),
        (("node", "430200", "--stage", "lunch"), {}, "lunch"),
        (("node", "430200"), {"KUAYU_HTTP": "nowhere"}, "KUAYU_HTTP"),
        (("node", "430200"), {"KUAYU_HTTP": "::1:8080"}, "KUAYU_HTTP"),
        (("node", "430200"), {"KUAYU_BOOTSTRAP_SERVERS": "[::1"}, "KUAYU_BOOTSTRAP_SERVERS: host:port"),
        (("node", "430200"), {"KUAYU_BOOTSTRAP_SERVERS": "10.0.0.1:9092"}, "KUAYU_ALLOW_REMOTE_BROKER"),
        (("node", "430200"), {"KUAYU_DRIVER": "pigeon"}, "KUAYU_DRIVER"),
        (("node", "430200"), {"KUAYU_TLS_CA": "nothing.pem"}, "KUAYU_TLS_CA: nothing.pem"),
        (("node", "430200"), {"KUAYU_TLS_KEY": "key.pem"}, "KUAYU_TLS_CA"),
        (("topics", "list"), {"KUAYU_TLS_CA": "", "KUAYU_TLS_KEY": "key.pem"}, "KUAYU_TLS_CERTIFICATE"),
        (("topics", "create"), {"KUAYU_TLS_CA": "README.md"}, "KUAYU_TLS_CA: README.md: no certificate"),
        (("case", "430200-nothing"), {}, "no ledger"),
        (("verify", "430200"), {}, "no ledger"),
        (("send", "nothing.txt"), {}, "nothing.txt"),
        (("held", "list", "--at", "430200"), {}, "no ledger"),
        (("held", "list", "--to", "http://127.0.0.1:1"), {}, "127.0.0.1:1"),
        (("held", "export", "430200"), {}, "--topic or --file"),
        (("held", "export", "430200", "--file", "x"), {}, "no ledger"),
        (("held", "repair", "1", "--reason", "x"), {}, "--data or --patch"),
        (("topics", "list"), {"KUAYU_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "127.0.0.1:1"),
    ],
)
def test_an_error_is_one_line_and_a_code(
    arguments: tuple[str, ...], environment: dict[str, str], named: str, tmp_path: Path
) -> None:
    environment = {"KUAYU_DATA": str(tmp_path), "KUAYU_BOOTSTRAP_SERVERS": "127.0.0.1:1"} | environment
    shown = run(*arguments, **environment)
    assert shown.exit_code == 2
    line = shown.stderr.strip()
    assert line.startswith("kuayu: ")
    assert "\n" not in line
    assert any(part in line for part in named.split("|"))


def test_a_key_is_shown_once_and_kept_as_a_hash(tmp_path: Path) -> None:
    file = tmp_path / "keys.yaml"
    options = ("--caller", "clerk:li", "--jurisdiction", "430100", "--role", "review")
    key = run("key", str(file), *options).output.strip()
    assert len(key) > 20
    assert key not in file.read_text()
    before = file.read_text()
    wrong = run("key", str(file), *options[:-1], "emperor")
    assert wrong.exit_code == 2
    assert file.read_text() == before


@pytest.fixture
def node(tmp_path: Path, serving: Callable[..., Any]) -> Iterator[tuple[str, str, Path]]:
    broker = MemoryBroker()
    directory = load_directory()
    topics = DirectoryTopology(directory, load_catalogue()).topics(frozenset({"430200", "430100", "430300"}))
    MemoryTransport(broker).ensure_topics(topics)
    keys = tmp_path / "keys.yaml"
    key = run(
        "key", str(keys), "--caller", "system:hall", "--jurisdiction", "430200", "--role", "submit"
    ).output.strip()
    made = Node("430200", Settings(data=tmp_path, keys=keys), transport=MemoryTransport(broker))
    made.start()
    with serving(made.app) as url:
        yield url, key, tmp_path
    made.stop()


def test_a_file_is_sent_once_however_often(node: tuple[str, str, Path]) -> None:
    url, key, folder = node
    case = json.loads((Path(__file__).parents[2] / "docs" / "first-case.json").read_text("utf-8"))
    file = folder / "cases.json"
    file.write_text(json.dumps([case, case | {"belonging": "350100"}], ensure_ascii=False), encoding="utf-8")
    first = run("send", str(file), "--to", url, "--api-key", key)
    assert first.exit_code == 1, first.output
    assert "1 taken, 1 not taken" in first.output
    case_id = first.output.split()[1]
    again = run("send", str(file), "--to", url, "--api-key", key)
    assert case_id in again.output
    shown = run("case", case_id, "--rows", KUAYU_DATA=str(folder))
    assert shown.exit_code == 0
    assert "受理" in shown.output
    assert "SubmitCase" in shown.output
    proven = run("verify", "430200", KUAYU_DATA=str(folder))
    assert proven.exit_code == 0
    assert "2 rows, 0 problems" in proven.output


def test_a_wrong_key_and_a_broken_file_are_named(node: tuple[str, str, Path]) -> None:
    url, key, folder = node
    file = folder / "cases.csv"
    with file.open("w", encoding="utf-8", newline="") as text:
        csv.writer(text).writerows([["item_code", "belonging"], ["x", "430100"]])
    broken = run("send", str(file), "--to", url, "--api-key", key)
    assert broken.exit_code == 2
    assert "cases.csv" in broken.stderr
    case = (Path(__file__).parents[2] / "docs" / "first-case.json").read_text("utf-8")
    (folder / "one.json").write_text(case, encoding="utf-8")
    stranger = run("send", str(folder / "one.json"), "--to", url, "--api-key", "not-a-key")
    assert stranger.exit_code == 2


def test_a_ledger_is_backed_up_while_its_node_runs_and_put_back_when_none_does(
    node: tuple[str, str, Path],
) -> None:
    url, key, folder = node
    case = json.loads((Path(__file__).parents[2] / "docs" / "first-case.json").read_text("utf-8"))
    file, backup = folder / "cases.json", folder / "430200.backup"
    file.write_text(json.dumps([case], ensure_ascii=False), encoding="utf-8")
    here = {"KUAYU_DATA": str(folder)}
    assert run("send", str(file), "--to", url, "--api-key", key).exit_code == 0
    made = run("ledger", "backup", "430200", str(backup), **here)
    assert made.exit_code == 0, made.output
    assert "2 rows, 0 problems" in made.output
    assert run("ledger", "backup", "430200", str(backup), **here).exit_code == 2  # never overwritten
    refused = run("ledger", "restore", "430200", str(backup), **here)
    assert refused.exit_code == 2
    assert "a node has the ledger open" in refused.output
    assert run("ledger", "declare", "430200", **here).exit_code == 2
    elsewhere = {"KUAYU_DATA": str(folder / "new")}
    restored = run("ledger", "restore", "430200", str(backup), **elsewhere)
    assert restored.exit_code == 0, restored.output
    assert "up to row 2" in restored.output
    assert run("verify", "430200", **elsewhere).exit_code == 0
    assert run("ledger", "declare", "430200", **elsewhere).exit_code == 0


def test_compaction_drops_what_is_older_than_it_was_told(node: tuple[str, str, Path]) -> None:
    url, key, folder = node
    case = json.loads((Path(__file__).parents[2] / "docs" / "first-case.json").read_text("utf-8"))
    file = folder / "cases.json"
    file.write_text(json.dumps([case], ensure_ascii=False), encoding="utf-8")
    assert run("send", str(file), "--to", url, "--api-key", key).exit_code == 0
    kept = run("ledger", "compact", "430200", KUAYU_DATA=str(folder))
    assert "dropped: 0 idempotency keys" in kept.output, kept.output
    ledger = Ledger(f"sqlite:///{folder}/430200.db")
    with ledger.engine.begin() as connection:  # as if it had been long ago
        connection.execute(update(tables.batch).values(committed_at=0))
    dropped = run("ledger", "compact", "430200", KUAYU_DATA=str(folder))
    assert "dropped: 1 idempotency keys" in dropped.output
    ledger.close()


@pytest.mark.parametrize("command", ["backup", "restore", "declare", "compact", "archive", "abandon"])
def test_a_ledger_that_is_not_there_is_one_line(command: str, tmp_path: Path) -> None:
    other = tmp_path / "no.backup"
    if command == "restore":
        other.write_bytes(b"no ledger at all")
    arguments = ["431100", "--reason", "gone"] if command == "abandon" else []
    arguments += [str(other)] if command in ("backup", "restore", "archive") else []
    shown = run("ledger", command, "430100", *arguments, KUAYU_DATA=str(tmp_path))
    assert shown.exit_code == 2
    assert shown.output.startswith("kuayu: ")
    assert shown.output.count("\n") == 1
