"""One place for each driver: a way to open it, and to do to its broker what no transport does."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest
from kafka import KafkaAdminClient
from kafka import TopicPartition as KafkaPlace
from kafka.errors import KafkaError

from bus.transport import (
    Consumer,
    MemoryBroker,
    MemoryTransport,
    Producer,
    TopicPartition,
    Transport,
    open_transport,
)
from tests.contract.transport.records import CLIENT, NUMBERS


@dataclass
class Ground:
    """A broker and one driver to reach it."""

    driver: str
    open: Callable[[], Transport]
    expire: Callable[[TopicPartition, int], None]
    """Let the records before that offset expire."""
    delete: Callable[[str], None]
    """Delete the topic."""
    committed: Callable[[str], Mapping[TopicPartition, int]]
    """The offsets that a lag tool sees under this group id."""


def memory_ground() -> Ground:
    broker = MemoryBroker()
    return Ground(
        "memory",
        lambda: MemoryTransport(broker),
        lambda place, before: broker.delete_records(place.topic, place.partition, before),
        broker.delete_topic,
        broker.committed,
    )


def kafka_ground(driver: str, bootstrap: str, admin: KafkaAdminClient) -> Ground:
    def committed(group: str) -> Mapping[TopicPartition, int]:
        try:
            found = admin.list_group_offsets([group])[group]
        except KafkaError:
            return {}  # nothing was committed yet, so there is no such group
        return {TopicPartition(*place): at.offset for place, at in found.items()}

    return Ground(
        driver,
        lambda: open_transport(driver, bootstrap),
        lambda place, before: admin.delete_records({KafkaPlace(*place): before}, 5_000),
        lambda topic: admin.delete_topics([topic], 5_000),
        committed,
    )


@pytest.fixture(
    params=[
        "memory",
        pytest.param("kafka-python", marks=pytest.mark.broker),
        pytest.param("confluent", marks=pytest.mark.broker),
    ],
)
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    if request.param == "memory":
        yield memory_ground()
        return
    if request.param == "confluent":
        pytest.importorskip("confluent_kafka", reason="the extra `confluent` is not installed")
    bootstrap = request.getfixturevalue("bootstrap")
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    yield kafka_ground(request.param, bootstrap, admin)
    admin.close()


@pytest.fixture
def transport(ground: Ground) -> Iterator[Transport]:
    opened = ground.open()
    yield opened
    opened.close()


@pytest.fixture
def producer(transport: Transport) -> Iterator[Producer]:
    made = transport.producer(CLIENT)
    yield made
    made.close()


@pytest.fixture
def consumer(transport: Transport) -> Iterator[Consumer]:
    made = transport.consumer(f"430100-review-{next(NUMBERS)}")
    yield made
    made.close()
