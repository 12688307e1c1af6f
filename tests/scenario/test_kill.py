"""Nodes as processes of their own on a real broker: killed, frozen, cut off, fed with garbage. Nothing is lost or doubled."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from bus import Ledger
from bus.ledger import tables
from bus.transport import Outbound, TopicPartition, open_transport
from jurisdictions import Required, Serves, load_directory
from kuayu.broker import LocalBroker
from kuayu.inspection import check_ledger
from kuayu.keys import add_key
from kuayu.node import create_topics
from kuayu.settings import Settings

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

ZHUZHOU, CHANGSHA, XIANGTAN = "430200", "430100", "430300"
PATIENCE = 90.0
"""Seconds in which everything must have settled; generous, for slow machines."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Nodes:
    """Three nodes on a broker of their own."""

    def __init__(self, folder: Path, broker: LocalBroker, driver: str) -> None:
        self.folder = folder
        self.broker = broker
        self.driver = driver
        self.ports = {code: free_port() for code in (ZHUZHOU, CHANGSHA, XIANGTAN)}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.key = add_key(
            folder / "keys.yaml",
            caller="system:hall",
            name="hall",
            jurisdiction=ZHUZHOU,
            roles=["submit", "read"],
        )
        create_topics(self.settings(), frozenset(self.ports))

    def settings(self) -> Settings:
        return Settings(
            bootstrap_servers=self.broker.bootstrap,
            driver=self.driver,
            data=self.folder,
            keys=self.folder / "keys.yaml",
        )

    def start(self, code: str) -> None:
        environment = os.environ | {
            "KUAYU_BOOTSTRAP_SERVERS": self.broker.bootstrap,
            "KUAYU_DRIVER": self.driver,
            "KUAYU_DATA": str(self.folder),
            "KUAYU_KEYS": str(self.folder / "keys.yaml"),
            "KUAYU_HTTP": f"127.0.0.1:{self.ports[code]}",
        }
        with (self.folder / f"{code}.log").open("ab") as log:
            self.running[code] = subprocess.Popen(
                [sys.executable, "-m", "kuayu", "node", code], env=environment, stdout=log, stderr=log
            )

    def ready(self, code: str) -> None:
        def answers() -> bool:
            try:
                return httpx.get(self.url(code, "/readyz"), timeout=2).status_code == 200
            except httpx.HTTPError:
                return False

        until(answers, lambda: (self.folder / f"{code}.log").read_text()[-2000:])

    def url(self, code: str, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[code]}{path}"

    def kill(self, code: str, how: signal.Signals = signal.SIGKILL) -> None:
        process = self.running.pop(code)
        process.send_signal(how)
        process.wait(30)

    def stop(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)
        self.running.clear()

    def hand_in(self, first: int, count: int) -> list[str]:
        """Hand in so many instant cases, trying again with the same keys until each is taken."""
        body = [submission() | {"key": f"case-{number}"} for number in range(first, first + count)]
        ids: dict[int, str] = {}

        def taken() -> bool:
            try:
                answer = httpx.post(
                    self.url(ZHUZHOU, "/v1/cases"),
                    json=body,
                    headers={"Authorization": f"Bearer {self.key}"},
                    timeout=10,
                )
            except httpx.HTTPError:
                return False
            if answer.status_code >= 500:
                return False
            for index, result in enumerate(answer.json()["results"]):
                if result["status"] == 202:
                    ids[index] = result["case"]["case_id"]
            return len(ids) == count

        until(taken, lambda: "not taken")
        return list(ids.values())

    def tally(self, code: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(self.url(code, "/v1/tally"), timeout=5).json()
        return answer

    def settled(self, count: int) -> None:
        """Every case is delivered, and every hand-over receipted, everywhere."""

        def done() -> bool:
            try:
                tallies = [self.tally(code) for code in self.ports]
            except httpx.HTTPError:
                return False
            return tallies[0]["collected"] == count and all(tally["open_handovers"] == 0 for tally in tallies)

        until(done, lambda: str([self.tally(code) for code in self.running]))

    def prove(self, ids: list[str]) -> None:
        """Stop everything; each ledger is sound, and each case was delivered exactly once."""
        self.stop()
        for code in self.ports:
            problems, _ = check_ledger(self.settings(), code)
            assert problems == []
        ledger = Ledger(self.settings().ledger_url(ZHUZHOU))
        with ledger.read() as connection:
            cases = connection.execute(select(tables.case.c.subject, tables.case.c.status)).all()
        ledger.close()
        assert sorted(row.subject for row in cases) == sorted(ids)
        assert {row.status for row in cases} == {"delivered"}
        for code in (CHANGSHA, XIANGTAN):
            ledger = Ledger(self.settings().ledger_url(code))
            with ledger.read() as connection:
                number = connection.execute(select(func.count()).select_from(tables.case)).scalar_one()
            ledger.close()
            assert number == len(ids)


def until(done: Callable[[], bool], explain: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not done():
        if time.monotonic() > deadline:
            pytest.fail(f"not in {PATIENCE:.0f} s: {explain()}")
        time.sleep(0.1)


def submission() -> dict[str, Any]:
    directory = load_directory()
    item = next(
        item
        for item in directory.items
        if item.owner == CHANGSHA and item.instant and item.result.electronic and Serves.PERSON in item.serves
    )
    return {
        "item_code": item.code,
        "belonging": CHANGSHA,
        "channel": "counter",
        "applicant": {
            "person": {
                "name": "张伟明",
                "document_kind": "identity_card",
                "document_number": "11010519491231002X",
            }
        },
        "materials": [
            {"code": m.code, "name": m.name_zh, "form": "copy", "digest": "ab" * 32}
            for m in item.materials
            if m.required is not Required.NO
        ],
        "delivery": {"kind": "electronic", "jurisdiction": XIANGTAN},
    }


@pytest.fixture(params=["kafka-python", "confluent"])
def nodes(
    request: pytest.FixtureRequest, tmp_path: Path, broker_factory: Callable[..., LocalBroker]
) -> Iterator[Nodes]:
    broker = broker_factory({"log.retention.check.interval.ms": "500"})
    made = Nodes(tmp_path, broker, request.param)
    try:
        for code in made.ports:
            made.start(code)
        for code in made.ports:
            made.ready(code)
        yield made
    finally:
        made.stop()


def test_any_node_killed_under_load_loses_and_doubles_nothing(nodes: Nodes) -> None:
    ids: list[str] = []
    for turn, victim in enumerate((CHANGSHA, ZHUZHOU, XIANGTAN)):
        ids += nodes.hand_in(turn * 40, 40)
        nodes.kill(victim)
        nodes.start(victim)
    nodes.ready(ZHUZHOU)
    ids += nodes.hand_in(120, 20)
    nodes.settled(140)
    nodes.prove(ids)


def test_a_broker_killed_and_started_again_loses_and_doubles_nothing(nodes: Nodes) -> None:
    ids = nodes.hand_in(0, 40)
    nodes.broker.kill()
    ids += nodes.hand_in(40, 40)  # a broker outage does not stop intake
    nodes.broker.start()
    ids += nodes.hand_in(80, 20)
    nodes.settled(100)
    nodes.prove(ids)


def test_a_frozen_node_that_returns_after_another_took_over_stops(nodes: Nodes) -> None:
    ids = nodes.hand_in(0, 20)
    frozen = nodes.running.pop(CHANGSHA)
    frozen.send_signal(signal.SIGSTOP)
    old_port = nodes.ports[CHANGSHA]
    nodes.ports[CHANGSHA] = free_port()
    nodes.start(CHANGSHA)
    nodes.ready(CHANGSHA)
    frozen.send_signal(signal.SIGCONT)
    ids += nodes.hand_in(20, 20)
    assert frozen.wait(PATIENCE) != 0  # fenced at its next commit, it ends itself
    assert old_port != nodes.ports[CHANGSHA]
    nodes.settled(40)
    nodes.prove(ids)


def test_garbage_in_an_inbox_is_quarantined_and_hurts_no_case(nodes: Nodes) -> None:
    transport = open_transport("kafka-python", nodes.broker.bootstrap)
    producer = transport.producer("vandal")
    topic = f"kuayu.review.{CHANGSHA}"
    for number in range(50):
        headers = [("ce_type", b"kuayu.CaseAccepted"), ("ce_id", b"%d" % number)]
        producer.send(Outbound(topic, number % 8, b"x", os.urandom(200), headers), lambda _: None)
    assert producer.flush(20)
    ids = nodes.hand_in(0, 30)
    nodes.settled(30)
    assert nodes.tally(CHANGSHA)["quarantined"] == 50
    producer.close()
    transport.close()
    nodes.prove(ids)


def test_events_that_expired_before_their_receiver_returned_arrive_all_the_same(nodes: Nodes) -> None:
    ids = nodes.hand_in(0, 20)
    nodes.settled(20)
    nodes.kill(CHANGSHA)
    ids += nodes.hand_in(20, 20)
    topic = f"kuayu.review.{CHANGSHA}"
    until(lambda: nodes.tally(ZHUZHOU)["open_handovers"] == 20, lambda: str(nodes.tally(ZHUZHOU)))
    expire(nodes.broker.bootstrap, topic)
    nodes.start(CHANGSHA)
    nodes.ready(CHANGSHA)
    nodes.settled(40)
    nodes.prove(ids)


def expire(bootstrap: str, topic: str) -> None:
    """Delete every record of a topic, as retention does."""
    from kafka import KafkaAdminClient  # noqa: PLC0415
    from kafka import TopicPartition as KafkaPartition

    transport = open_transport("kafka-python", bootstrap)
    partitions = transport.topics()[topic]
    consumer = transport.consumer("expiry")
    consumer.assign({TopicPartition(topic, number): None for number in range(partitions)})
    ends = consumer.ends(10)
    consumer.close()
    transport.close()
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.delete_records({KafkaPartition(place.topic, place.partition): end for place, end in ends.items()})
    admin.close()


def test_submissions_over_http_are_taken_once_whatever_is_repeated(nodes: Nodes) -> None:
    first = nodes.hand_in(0, 10)
    again = nodes.hand_in(0, 10)
    assert first == again
    nodes.settled(10)
    nodes.prove(first)
    assert json.dumps(first)
