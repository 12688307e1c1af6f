"""Nodes as processes of their own on a real broker: killed, frozen, cut off, fed with garbage. Nothing is lost or doubled."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
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
from bus.transport.kafka_client import DIRECT
from jurisdictions import Required, Serves, load_directory
from kuayu.broker import LocalBroker
from kuayu.inspection import check_ledger
from kuayu.node import create_topics
from kuayu.settings import Settings
from tests.chaos.region import Lost, Node, until
from tests.running import PATIENCE, answered, eventually, stand_still

pytestmark = [pytest.mark.broker, pytest.mark.timeout(300)]

ZHUZHOU, CHANGSHA, XIANGTAN = "430200", "430100", "430300"


class Nodes:
    """Three nodes on a broker of their own."""

    def __init__(self, folder: Path, broker: LocalBroker, driver: str) -> None:
        self.broker = broker
        self.settings = Settings(bootstrap_servers=broker.bootstrap, driver=driver, data=folder)
        environment = os.environ | {"KUAYU_BOOTSTRAP_SERVERS": broker.bootstrap, "KUAYU_DRIVER": driver}
        self.by_code = {
            code: Node(code, folder, self.settings.ledger_url(code), environment)
            for code in (ZHUZHOU, CHANGSHA, XIANGTAN)
        }
        self.ids: list[str] = []
        """Every case that was handed in, in order."""
        create_topics(self.settings, frozenset(self.by_code))

    def __getitem__(self, code: str) -> Node:
        return self.by_code[code]

    def stop(self) -> None:
        for node in self.by_code.values():
            node.stop()

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait; if in vain, say what the nodes say."""
        try:
            until(done, what)
        except Lost as lost:
            said = [f"{node.tally()}\n{node.log.read_text()[-2000:]}" for node in self.by_code.values()]
            raise AssertionError("\n".join([str(lost), *said])) from lost

    def ready(self, *codes: str) -> None:
        for code in codes:
            self.until(self[code].ready, f"{code} is ready")

    def tally(self, code: str) -> dict[str, Any]:
        found = eventually(self[code].tally)
        assert found is not None
        return found

    def hand_in(self, count: int) -> None:
        """Hand in so many more instant cases, trying again with the same keys until each is taken."""
        first = len(self.ids)
        self.ids += self.send([f"case-{number}" for number in range(first, first + count)])

    def send(self, keys: list[str]) -> list[str]:
        """Hand in a case for each key; the ids, once all are taken."""
        body = [submission() | {"key": key} for key in keys]
        headers = {"Authorization": f"Bearer {self[ZHUZHOU].keys.hall}"}
        ids: dict[int, str] = {}

        def taken() -> bool:
            with suppress(httpx.HTTPError):
                answer = httpx.post(f"{self[ZHUZHOU].url}/v1/cases", json=body, headers=headers, timeout=10)
                results = answer.json()["results"] if answer.status_code < 500 else []
                for index, result in enumerate(results):
                    if result["status"] == 202:
                        ids[index] = result["case"]["case_id"]
            return len(ids) == len(keys)

        self.until(taken, "every case is taken")
        return [ids[index] for index in range(len(keys))]

    def settle(self) -> None:
        """Wait until every case is delivered and every hand-over receipted, everywhere; then prove it.

        Each ledger is sound, and each case is there exactly once, at each of the three.
        """

        def done() -> bool:
            tallies = [tally for node in self.by_code.values() if (tally := node.tally())]
            return (
                len(tallies) == len(self.by_code)
                and tallies[0]["collected"] == len(self.ids)
                and all(tally["open_handovers"] == 0 for tally in tallies)
            )

        self.until(done, "every case is delivered and every hand-over receipted")
        for code, node in self.by_code.items():
            assert check_ledger(self.settings, code).problems == []
            ledger = Ledger(node.ledger)
            with ledger.read() as connection:
                rows = connection.execute(select(tables.case.c.subject, tables.case.c.status)).all()
            ledger.close()
            assert sorted(row.subject for row in rows) == sorted(self.ids)
            assert {row.status for row in rows} == {"delivered"}


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
    broker = LocalBroker(folder / "broker").start()
    made = Nodes(folder, broker, request.param)
    try:
        for node in made.by_code.values():
            node.start()
        made.ready(*made.by_code)
        yield made
    finally:
        made.stop()
        broker.kill()


def test_any_node_killed_under_load_loses_and_doubles_nothing(nodes: Nodes) -> None:
    for victim in (CHANGSHA, ZHUZHOU, XIANGTAN):
        nodes.hand_in(40)
        nodes[victim].kill()
        nodes[victim].start()
    nodes.ready(ZHUZHOU)
    nodes.hand_in(20)
    nodes.settle()


@pytest.mark.long
def test_a_broker_killed_and_started_again_loses_and_doubles_nothing(nodes: Nodes) -> None:
    nodes.hand_in(40)
    nodes.broker.kill()
    nodes.hand_in(40)  # a broker outage does not stop intake
    nodes.broker.start()
    nodes.hand_in(20)
    nodes.settle()


def test_a_frozen_node_that_returns_after_another_took_over_stops(nodes: Nodes) -> None:
    nodes.hand_in(20)
    nodes.settle()  # who is frozen within a commit keeps the ledger's lock
    frozen = nodes[CHANGSHA].leave()
    stand_still(frozen)
    nodes[CHANGSHA].start()
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
        producer.send(Outbound(topic, number % 2, b"x", os.urandom(200), headers), lambda _: None)
    assert producer.flush(PATIENCE)
    producer.close()
    transport.close()
    nodes.hand_in(30)
    nodes.settle()
    assert nodes.tally(CHANGSHA)["quarantined"] == before + 50


@pytest.mark.long
def test_events_that_expired_before_their_receiver_returned_arrive_all_the_same(nodes: Nodes) -> None:
    nodes[CHANGSHA].kill()
    nodes.hand_in(20)
    nodes.until(lambda: nodes[ZHUZHOU].backlog() == 20, "all are handed over")
    expire(nodes.broker.bootstrap, f"kuayu.review.{CHANGSHA}")
    nodes[CHANGSHA].start()
    nodes.ready(CHANGSHA)
    nodes.settle()


def test_what_is_handed_in_again_is_not_done_again(nodes: Nodes) -> None:
    keys = [f"case-{number}" for number in range(10)]
    assert nodes.send(keys) == nodes.ids[:10]
    nodes.settle()


@pytest.mark.long
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
        nodes[code].back_up(file)  # while it runs
    nodes.hand_in(20)
    nodes.settle()
    keys = [f"case-{number}" for number in range(len(nodes.ids))]
    for code in restored:
        nodes[code].kill()
    for code, file in backups.items():
        nodes[code].restore(file)
        nodes[code].start()
    nodes.ready(*restored)
    assert nodes.send(keys[-20:]) == nodes.ids[-20:]  # what was lost is not done again
    nodes.hand_in(10)
    nodes.settle()


def expire(bootstrap: str, topic: str) -> None:
    """Delete every record of a topic, as retention does."""
    transport = open_transport("kafka-python", bootstrap)
    partitions = answered(transport.topics)[topic]
    consumer = transport.consumer("expiry")
    consumer.assign({TopicPartition(topic, number): None for number in range(partitions)})
    ends = answered(lambda: consumer.ends(10))
    consumer.close()
    transport.close()
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, proxy_url=DIRECT)
    admin.delete_records({KafkaPartition(place.topic, place.partition): end for place, end in ends.items()})
    admin.close()
