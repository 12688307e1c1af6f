"""`kuayu held` against two nodes on the real broker: parked here, known there, exported, repaired, and all of it proven."""

import json
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka import KafkaConsumer, TopicPartition
from typer.testing import CliRunner

from bus import Engine
from bus.verification import verify
from kuayu.cli import app
from kuayu.keys import add_key
from kuayu.node import Node
from kuayu.settings import Settings
from tests.running import PATIENCE, eventually

pytestmark = pytest.mark.broker

ZHUZHOU, CHANGSHA = "430200", "430100"
LETTERS = "kuayu.dead-letters.430100"
CASE = Path(__file__).parents[2] / "docs" / "first-case.json"


class Two(NamedTuple):
    """Zhuzhou, which hands in, and Changsha, where the review stumbles over everything until it is mended."""

    zhuzhou: Node
    changsha: Node
    urls: dict[str, str]
    hall: str
    key: str
    settings: Settings
    broken: pytest.MonkeyPatch

    @property
    def engines(self) -> tuple[Engine, Engine]:
        return self.zhuzhou.engine, self.changsha.engine

    def run(self, *arguments: str) -> Any:
        environment = {
            "KUAYU_DATA": str(self.settings.data),
            "KUAYU_BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "KUAYU_NODE": self.urls[CHANGSHA],
            "KUAYU_KEY": self.key,
        }
        return CliRunner().invoke(app, ["held", *arguments], env=environment)

    def send(self) -> None:
        arguments = ["send", str(CASE), "--to", self.urls[ZHUZHOU], "--api-key", self.hall]
        sent = CliRunner().invoke(app, arguments)
        assert sent.exit_code == 0, sent.output

    def told(self) -> set[tuple[str, str]]:
        """What Zhuzhou knows of what it handed over and is not simply applied."""
        books = self.zhuzhou.engine.books
        return {
            (row.status, row.code)
            for lane in list(books.lanes.values())
            if lane.outward
            for row in books.exceptions(lane, 1, lane.number).values()
        }

    def settled(self) -> bool:
        lanes = list(self.zhuzhou.engine.books.lanes.values())
        return any(lane.outward and lane.mark == lane.number > 0 for lane in lanes) and not self.told()


@pytest.fixture
def two(broker_factory: Callable[..., Any], tmp_path: Path, serving: Callable[..., Any]) -> Iterator[Two]:
    keys = tmp_path / "keys.yaml"
    hall = add_key(keys, caller="system:hall", name="hall", jurisdiction=ZHUZHOU, roles=["submit"])
    key = add_key(keys, caller="operator:wang", name="wang", jurisdiction=CHANGSHA, roles=["operate"])
    settings = Settings(bootstrap_servers=broker_factory().bootstrap, data=tmp_path, keys=keys)
    nodes = Node(ZHUZHOU, settings), Node(CHANGSHA, settings)
    broken = pytest.MonkeyPatch()
    review = nodes[1].engine.records.handlers[f"{CHANGSHA}/review"]
    broken.setattr(review, "decide", lambda _state, _message: 1 / 0)
    for node in nodes:
        node.start()
    with serving(nodes[0].app) as zhuzhou, serving(nodes[1].app) as changsha:
        yield Two(*nodes, {ZHUZHOU: zhuzhou, CHANGSHA: changsha}, hall, key, settings, broken)
    broken.undo()
    for node in nodes:
        node.stop()


def records(bootstrap: str, topic: str, count: int) -> list[Any]:
    """The first records of a topic's partitions."""
    consumer = KafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    consumer.assign([TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()])
    found: list[Any] = []
    until = time.monotonic() + PATIENCE
    while len(found) < count and time.monotonic() < until:
        found += [record for batch in consumer.poll(500).values() for record in batch]
    consumer.close()
    return found


def test_a_parked_case_from_its_error_to_its_repair(two: Two, tmp_path: Path) -> None:
    two.send()
    eventually(lambda: two.told() == {("parked", "handler_error")}, *two.engines)

    listed = json.loads(two.run("list", "--status", "parked", "--json").output)
    [event] = listed["held"]
    row = str(event["row"])
    assert two.run("list", "--at", CHANGSHA).output == two.run("list").output
    shown = two.run("show", row, "--at", CHANGSHA)
    assert shown.exit_code == 0
    for part in ("ZeroDivisionError at ", "430200/acceptance", "parked handler_error", '"applicant": "***"'):
        assert part in shown.output
    assert two.run("show", row).output == shown.output

    for _ in range(2):
        exported = two.run("export", CHANGSHA, "--topic", LETTERS)
        assert exported.output == f"1 dead letters written to {LETTERS}\n"
    first, second = records(two.settings.bootstrap_servers, LETTERS, 2)
    assert (first.key, first.value, first.headers) == (second.key, second.value, second.headers)
    [original] = records(two.settings.bootstrap_servers, f"kuayu.review.{CHANGSHA}", 1)
    assert (first.key, first.value) == (original.key, original.value)
    said = dict(first.headers)
    assert said.items() >= dict(original.headers).items()
    assert said["__connect.errors.topic"] == f"kuayu.review.{CHANGSHA}".encode()
    assert said["__connect.errors.offset"] == str(original.offset).encode()
    assert said["__connect.errors.exception.class.name"] == b"ZeroDivisionError"
    inbox = two.run("export", CHANGSHA, "--topic", f"kuayu.review.{CHANGSHA}")
    assert (inbox.exit_code, inbox.stderr.count("\n")) == (2, 1)
    file = tmp_path / "letters.jsonl"
    file.touch(0o644)
    assert two.run("export", CHANGSHA, "--file", str(file)).exit_code == 0
    assert len(file.read_text().splitlines()) == 1
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    assert "0 events settled" in two.run("replay").output
    two.broken.undo()
    assert "1 events settled; nothing was changed (dry run)" in two.run("replay", row, "--dry-run").output
    assert two.told() == {("parked", "handler_error")}
    patch = tmp_path / "patch.json"
    patch.write_text(json.dumps({"file": {"reference": "A-1"}}))
    repaired = two.run("repair", row, "--patch", str(patch), "--reason", "电话核实 / by phone")
    assert "applied repaired" in repaired.output
    eventually(two.settled, *two.engines)
    again = two.run("refuse", row, "--code", "late", "--reason", "晚 / late")
    assert (again.exit_code, again.stderr.count("\n")) == (2, 1)
    assert "404" in again.stderr
    [applied] = [e for e in two.changsha.ledger.history(event["case"]) if e.code == "repaired"]
    assert (applied.actor, applied.cause) == ("operator:wang", event["row"])
    for node in (two.zhuzhou, two.changsha):
        assert verify(node.ledger, node.engine.records) == []


def test_a_case_parked_by_one_version_goes_on_with_the_next(
    two: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    two.send()
    eventually(lambda: two.told() == {("parked", "handler_error")}, *two.engines)
    two.changsha.stop()
    two.broken.undo()
    same = Node(CHANGSHA, two.settings)
    same.start()
    eventually(lambda: same.engine.retrying.left == 0, same.engine)
    assert len(same.engine.books.held) == 1
    same.stop()
    monkeypatch.setattr("kuayu.node.judging_version", lambda *_: "newer")
    newer = Node(CHANGSHA, two.settings)
    newer.start()
    try:
        eventually(lambda: not newer.engine.books.held, newer.engine)
        eventually(two.settled, *two.engines)
    finally:
        newer.stop()
