"""A local system that speaks Kafka, by Confluent's client: it hands cases in, is answered, and reads our inboxes.

桂阳 431021 collects for 韶关 440200 here; no other test uses their topics. The schemas come from the node's own endpoints.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.serialization import MessageField, SerializationContext

import web
from bus import Engine, Ledger
from bus.transport import open_transport
from cases import AcceptanceStage
from jurisdictions import load_directory
from kuayu.topology import DirectoryTopology
from producers import Producers
from schemas import load_catalogue, load_schemas
from tests.registry_client import AvroDeserializer, AvroSerializer, SchemaRegistryClient
from tests.running import PATIENCE, Watching, serving
from web import Callers, Context

pytestmark = pytest.mark.broker

INTAKE, REPLIES, INBOX = "kuayu.intake.431021", "kuayu.intake-replies.431021", "kuayu.review.440200"
NOBODY = "9" * 31
Json = dict[str, Any]


@pytest.fixture(scope="module")
def node(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The node's address."""
    directory, schemas, catalogue = load_directory(), load_schemas(), load_catalogue()
    topology = DirectoryTopology(directory, catalogue)
    transport = open_transport("kafka-python", bootstrap)
    transport.ensure_topics(topology.topics(frozenset({"431021", "440200"})))
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('node')}/431021.db")
    ledger.create()
    made = Producers("431021", ledger)
    engine = Engine(
        ledger,
        transport,
        [AcceptanceStage("431021", directory)],
        schemas=schemas,
        topology=topology,
        observer=Watching(),
        projections=made.projections,
        intakes=made.intakes,
    )
    context = Context(
        code="431021",
        stages=("acceptance",),
        engine=engine,
        directory=directory,
        schemas=schemas,
        catalogue=catalogue,
        callers=Callers(),
    )
    engine.start()
    app = web.create_app(context, [made.router(context)])
    with serving(app) as address:
        yield address
    engine.stop()
    assert engine.failure is None
    transport.close()
    ledger.close()


class System(NamedTuple):
    """What a local system has: a producer, a consumer, and serializers that ask the node for schemas."""

    producer: Producer
    bootstrap: str
    write: Callable[[Json], bytes]
    read: Callable[[str, bytes], Json]

    def hand_in(
        self, key: str | None, value: bytes, headers: dict[str, str | bytes | None] | None = None
    ) -> None:
        self.producer.produce(INTAKE, key=key, value=value, headers=headers or {})
        assert self.producer.flush(PATIENCE) == 0

    def reading(self, topic: str, wanted: Callable[[Any, Json], bool], count: int = 1) -> list[Json]:
        """Read a topic from its beginning until so many wanted records have come."""
        consumer = Consumer(
            {"bootstrap.servers": self.bootstrap, "group.id": "local-system", "enable.auto.commit": False}
        )
        partitions = consumer.list_topics(topic, PATIENCE).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        found: list[Json] = []
        until = time.monotonic() + PATIENCE
        while len(found) < count:
            assert time.monotonic() < until, f"{len(found)} of {count} records came"
            record = consumer.poll(0.2)
            if record is not None:
                assert record.error() is None
                data = self.read(topic, record.value() or b"")
                if wanted(record, data):
                    found.append(data)
        consumer.close()
        return found

    def answers(self, key: str, count: int = 1) -> list[Json]:
        found = self.reading(REPLIES, lambda record, _: record.key() == key.encode(), count)
        assert all(answer["key"] == key for answer in found)
        return found


@pytest.fixture
def system(node: str, bootstrap: str) -> Iterator[System]:
    with SchemaRegistryClient({"url": node}) as registry:
        serializer = AvroSerializer(
            registry,
            conf={
                "auto.register.schemas": False,
                "use.latest.version": True,
                "subject.name.strategy": lambda _context, _name: "kuayu.CaseSubmitted",
            },
        )
        deserializer = AvroDeserializer(registry)
        yield System(
            Producer({"bootstrap.servers": bootstrap}),
            bootstrap,
            lambda data: serializer(data, SerializationContext(INTAKE, MessageField.VALUE)),
            lambda topic, value: deserializer(value, SerializationContext(topic, MessageField.VALUE)),
        )


@pytest.fixture
def application() -> Json:
    item = load_directory().implement("002009002001", "440200")
    assert item.name_zh == "无犯罪记录证明"
    return {
        "item_code": item.code,
        "belonging": "440200",
        "channel": "terminal",
        "applicant": {
            "person": {
                "name": "李一",
                "document_kind": "identity_card",
                "document_number": "430202199001010011",
            }
        },
        "materials": [
            {"code": material.code, "name": material.name_zh, "form": "copy", "may_follow": False}
            for material in item.materials
            if material.required == "yes"
        ],
        "delivery": {"kind": "counter", "jurisdiction": "431021"},
        "reference": "GY-1",
    }


def test_a_submission_is_answered_and_reaches_the_owners_inbox(system: System, application: Json) -> None:
    system.hand_in("gy-0001", system.write(application), {"kuayu-caller": b"gy-hall"})
    [answer] = system.answers("gy-0001")
    assert answer["outcome"] == "accepted"
    assert answer["case_number"].startswith(application["item_code"])
    assert answer["times"]["collected"] < answer["duty_due"]  # collected: the owner has five working days
    assert answer["error_code"] is None
    [collected] = system.reading(INBOX, lambda record, _: record.key() == answer["case_id"].encode())
    assert collected["file"]["case_number"] == answer["case_number"]
    assert collected["file"]["applicant"]["person"]["name"] == "李一"
    assert collected["file"]["reference"] == "GY-1"


def test_a_key_opens_one_case(system: System, application: Json) -> None:
    for reference in ("GY-2", "GY-2", "GY-3"):
        system.hand_in("gy-0002", system.write(application | {"reference": reference}))
    first, second, other = system.answers("gy-0002", 3)
    assert second == first
    assert (other["outcome"], other["error_code"]) == ("refused", "key_reused")


@pytest.mark.parametrize(
    ("key", "change", "code", "field"),
    [
        ("gy-bad-1", {"item_code": NOBODY}, "unknown_item", "item_code"),
        ("gy-bad-2", {"materials": []}, "material_missing", "materials"),
        ("gy-bad-3", {"applicant": {}}, "invalid", "applicant"),
    ],
)
def test_a_refusal_names_error_and_field(
    system: System, application: Json, key: str, change: Json, code: str, field: str
) -> None:
    system.hand_in(key, system.write(application | change))
    [answer] = system.answers(key)
    assert (answer["outcome"], answer["error_code"], answer["error_field"]) == ("refused", code, field)
    assert "/" in answer["error_reason"]
    assert answer["case_id"] is None


@pytest.mark.parametrize(
    ("value", "code"),
    [(b"", "undecodable"), (b"garbage", "undecodable"), (b"\0\0\0\0\1{}", "schema_unknown")],
)
def test_what_is_no_submission_is_answered_too(system: System, value: bytes, code: str) -> None:
    key = f"gy-garbage-{value.hex()}"
    system.hand_in(key, value)
    [answer] = system.answers(key)
    assert (answer["outcome"], answer["error_code"]) == ("refused", code)


def test_a_record_without_a_key_is_answered_at_its_place(system: System, application: Json) -> None:
    system.hand_in(None, system.write(application))
    [answer] = system.reading(REPLIES, lambda record, _: record.key().startswith(INTAKE.encode()))
    assert (answer["error_code"], answer["error_field"]) == ("key_invalid", "key")


def test_many_are_each_answered_once(system: System, application: Json) -> None:
    value = system.write(application)
    for number in range(200):
        system.producer.produce(INTAKE, key=f"gy-many-{number}", value=value)
    assert system.producer.flush(PATIENCE) == 0
    found = system.reading(REPLIES, lambda record, _: record.key().startswith(b"gy-many-"), 200)
    assert {answer["outcome"] for answer in found} == {"accepted"}
    assert len({answer["case_number"] for answer in found}) == 200
