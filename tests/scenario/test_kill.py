"""Nodes as processes of their own on a real broker: killed, frozen, cut off, fed with garbage. Nothing is lost or doubled."""

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
from kafka import KafkaAdminClient
from kafka import TopicPartition as KafkaPartition
from sqlalchemy import select

from bus import Ledger
from bus.ledger import tables
from bus.transport import Outbound, TopicPartition, open_transport
from bus.transport.kafka_sockets import DIRECT
from jurisdictions import Required, Serves, load_directory
from kuayu.broker import LocalBroker
from kuayu.inspection import check_ledger
from kuayu.keys import add_key
from kuayu.ledgers import back_up_and_prove, restore_backup
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
        self.ids: list[str] = []
        """Every case that was handed in, in order."""
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

    def hand_in(self, count: int) -> None:
        """Hand in so many more instant cases, trying again with the same keys until each is taken."""
        first = len(self.ids)
        self.ids += self.send([f"case-{number}" for number in range(first, first + count)])

    def send(self, keys: list[str]) -> list[str]:
        """Hand in a case for each key; the ids, once all are taken."""
        body = [submission() | {"key": key} for key in keys]
        ids: dict[int, str] = {}

        def taken() -> bool:
            try:
                headers = {"Authorization": f"Bearer {self.key}"}
                answer = httpx.post(self.url(ZHUZHOU, "/v1/cases"), json=body, headers=headers, timeout=10)
            except httpx.HTTPError:
                return False
            if answer.status_code >= 500:
                return False
            for index, result in enumerate(answer.json()["results"]):
                if result["status"] == 202:
                    ids[index] = result["case"]["case_id"]
            return len(ids) == len(keys)

        until(taken, lambda: "not taken")
        return [ids[index] for index in range(len(keys))]

    def tally(self, code: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(self.url(code, "/v1/tally"), timeout=5).json()
        return answer

    def settle(self) -> None:
        """Wait until every case is delivered and every hand-over receipted, everywhere; then prove it.

        Each ledger is sound, and each case is there exactly once, at each of the three.
        """

        def done() -> bool:
            try:
                tallies = [self.tally(code) for code in self.ports]
            except httpx.HTTPError:
                return False
            return tallies[0]["collected"] == len(self.ids) and all(t["open_handovers"] == 0 for t in tallies)

        until(done, lambda: str([self.tally(code) for code in self.running]))
        for code in self.ports:
            assert check_ledger(self.settings(), code).problems == []
            ledger = Ledger(self.settings().ledger_url(code))
            with ledger.read() as connection:
                rows = connection.execute(select(tables.case.c.subject, tables.case.c.status)).all()
            ledger.close()
            assert sorted(row.subject for row in rows) == sorted(self.ids)
            assert {row.status for row in rows} == {"delivered"}


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


@pytest.fixture(scope="module", params=["kafka-python", pytest.param("confluent", marks=pytest.mark.long)])
def nodes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """One region for all tests of a driver: what one fault leaves behind, the next one meets."""
    folder = tmp_path_factory.mktemp("region")
    with LocalBroker(folder / "broker") as broker:
        made = Nodes(folder, broker, request.param)
        try:
            for code in made.ports:
                made.start(code)
            for code in made.ports:
                made.ready(code)
            yield made
        finally:
            made.stop()


def test_any_node_killed_under_load_loses_and_doubles_nothing(nodes: Nodes) -> None:
    for victim in (CHANGSHA, ZHUZHOU, XIANGTAN):
        nodes.hand_in(40)
        nodes.kill(victim)
        nodes.start(victim)
    nodes.ready(ZHUZHOU)
    nodes.hand_in(20)
    nodes.settle()


def test_a_broker_killed_and_started_again_loses_and_doubles_nothing(nodes: Nodes) -> None:
    nodes.hand_in(40)
    nodes.broker.kill()
    nodes.hand_in(40)  # a broker outage does not stop intake
    nodes.broker.start()
    nodes.hand_in(20)
    nodes.settle()


def test_a_frozen_node_that_returns_after_another_took_over_stops(nodes: Nodes) -> None:
    nodes.hand_in(20)
    frozen = nodes.running.pop(CHANGSHA)
    frozen.send_signal(signal.SIGSTOP)
    nodes.ports[CHANGSHA] = free_port()
    nodes.start(CHANGSHA)
    nodes.ready(CHANGSHA)
    frozen.send_signal(signal.SIGCONT)
    nodes.hand_in(20)
    assert frozen.wait(PATIENCE) != 0  # fenced at its next commit, it ends itself
    nodes.settle()


def test_garbage_in_an_inbox_is_quarantined_and_hurts_no_case(nodes: Nodes) -> None:
    before = nodes.tally(CHANGSHA)["quarantined"]
    transport = open_transport("kafka-python", nodes.broker.bootstrap)
    producer = transport.producer("vandal")
    topic = f"kuayu.review.{CHANGSHA}"
    for number in range(50):
        headers = [("ce_type", b"kuayu.CaseAccepted"), ("ce_id", b"%d" % number)]
        producer.send(Outbound(topic, number % 8, b"x", os.urandom(200), headers), lambda _: None)
    assert producer.flush(20)
    producer.close()
    transport.close()
    nodes.hand_in(30)
    nodes.settle()
    assert nodes.tally(CHANGSHA)["quarantined"] == before + 50


def test_events_that_expired_before_their_receiver_returned_arrive_all_the_same(nodes: Nodes) -> None:
    nodes.kill(CHANGSHA)
    nodes.hand_in(20)
    until(lambda: bool(nodes.tally(ZHUZHOU)["open_handovers"] == 20), lambda: str(nodes.tally(ZHUZHOU)))
    expire(nodes.broker.bootstrap, f"kuayu.review.{CHANGSHA}")
    nodes.start(CHANGSHA)
    nodes.ready(CHANGSHA)
    nodes.settle()


def test_what_is_handed_in_again_is_not_done_again(nodes: Nodes) -> None:
    keys = [f"case-{number}" for number in range(10)]
    assert nodes.send(keys) == nodes.ids[:10]
    nodes.settle()


@pytest.mark.parametrize(
    "restored", [(ZHUZHOU,), (CHANGSHA,), (ZHUZHOU, CHANGSHA)], ids=["sender", "receiver", "both"]
)
def test_nodes_restored_from_older_backups_agree_with_the_others(
    nodes: Nodes, tmp_path: Path, restored: tuple[str, ...]
) -> None:
    nodes.hand_in(10)
    nodes.settle()
    backups = {code: tmp_path / f"{code}.db" for code in restored}
    for code, file in backups.items():
        assert back_up_and_prove(nodes.settings(), code, file)[0] == []  # while it runs
    nodes.hand_in(20)
    nodes.settle()
    keys = [f"case-{number}" for number in range(len(nodes.ids))]
    for code in restored:
        nodes.kill(code)
    for code, file in backups.items():
        restore_backup(nodes.settings(), code, file)
        nodes.start(code)
    for code in restored:
        nodes.ready(code)
    assert nodes.send(keys[-20:]) == nodes.ids[-20:]  # what was lost is not done again
    nodes.hand_in(10)
    nodes.settle()


def expire(bootstrap: str, topic: str) -> None:
    """Delete every record of a topic, as retention does."""
    transport = open_transport("kafka-python", bootstrap)
    partitions = transport.topics()[topic]
    consumer = transport.consumer("expiry")
    consumer.assign({TopicPartition(topic, number): None for number in range(partitions)})
    ends = consumer.ends(10)
    consumer.close()
    transport.close()
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, proxy_url=DIRECT)
    admin.delete_records({KafkaPartition(place.topic, place.partition): end for place, end in ends.items()})
    admin.close()
