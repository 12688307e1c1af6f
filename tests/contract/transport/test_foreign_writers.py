"""Topics are open to other systems' clients: whatever they write must be readable, or at least pass by."""

from collections.abc import Callable, Iterator
from itertools import count
from time import monotonic, time_ns
from typing import Any

import pytest
from kafka import KafkaProducer

from bus.transport import Consumer, Record, TopicPartition, TopicSpec, Transport
from tests.running import PATIENCE

# No foreign client writes to the broker in memory.
pytestmark = [
    pytest.mark.broker,
    pytest.mark.parametrize("ground", ["kafka-python", "confluent"], indirect=True),
]
NUMBERS = count(time_ns())


class NotUtf8(str):
    """A header name that kafka-python writes as bytes which are no UTF-8."""

    __slots__ = ()

    def encode(self, *_args: object, **_options: object) -> bytes:
        return b"\xff\xfe"


@pytest.fixture
def place(transport: Transport) -> TopicPartition:
    topic = f"foreign.{next(NUMBERS)}"
    transport.ensure_topics([TopicSpec(topic, 1)])
    return TopicPartition(topic, 0)


@pytest.fixture
def reader(transport: Transport, place: TopicPartition) -> Iterator[Consumer]:
    consumer = transport.consumer(f"foreign-{next(NUMBERS)}")
    consumer.assign({place: 0})
    yield consumer
    consumer.close()


@pytest.fixture
def foreign(bootstrap: str) -> Iterator[Callable[..., KafkaProducer]]:
    made: list[KafkaProducer] = []

    def make(**config: Any) -> KafkaProducer:
        made.append(KafkaProducer(bootstrap_servers=bootstrap, **config))
        return made[-1]

    yield make
    for producer in made:
        producer.close()


def read_to(consumer: Consumer, last: bytes) -> list[Record]:
    """Everything up to the record with that key."""
    records: list[Record] = []
    until = monotonic() + PATIENCE
    while monotonic() < until:
        records += consumer.poll(0.5, 100)
        if records and records[-1].key == last:
            return records
    raise AssertionError(f"only {records} came")


def test_garbage_passes_by(
    reader: Consumer,
    place: TopicPartition,
    foreign: Callable[..., KafkaProducer],
) -> None:
    producer = foreign(linger_ms=100)  # so that all share one batch
    garbage = [("name", b"value"), (NotUtf8("?"), b"value")]
    sent = [
        (b"1", b"a", [("name", b"value")]),
        (b"2", b"b", garbage),
        (b"3", b"c", [("name", b"value")]),
        (None, b"d", []),
        (b"\x00" * 100_000, b"e", [("", b"")]),
        *((b"", b"again", garbage) for _ in range(200)),
        (b"", b"last", []),
    ]
    for value, key, headers in sent:
        producer.send(place.topic, value, key, headers, 0)
    producer.flush(PATIENCE)
    records = read_to(reader, b"last")
    assert [record.offset for record in records] == list(range(len(sent)))
    assert [(record.value, record.key, list(record.headers)) for record in records] == [
        (value, key, [] if headers is garbage else headers) for value, key, headers in sent
    ]


def test_compressed_batches_are_read(
    reader: Consumer,
    place: TopicPartition,
    foreign: Callable[..., KafkaProducer],
) -> None:
    producer = foreign(compression_type="gzip", linger_ms=50)
    for number in range(50):
        producer.send(place.topic, b"value" * 50, b"%d" % number, [("name", b"%d" % number)], 0)
    producer.flush(PATIENCE)
    records = read_to(reader, b"49")
    assert [record.key for record in records] == [b"%d" % number for number in range(50)]
    assert {record.value for record in records} == {b"value" * 50}
    # Amid a compressed batch, too.
    reader.seek(place, 30)
    assert [record.offset for record in read_to(reader, b"49")] == list(range(30, 50))


def test_aborted_transactions_are_not_seen(
    reader: Consumer,
    place: TopicPartition,
    foreign: Callable[..., KafkaProducer],
) -> None:
    producer = foreign(transactional_id=f"foreign-{next(NUMBERS)}")
    producer.init_transactions()
    producer.begin_transaction()
    producer.send(place.topic, b"", b"aborted", partition=0)
    producer.flush(PATIENCE)
    producer.abort_transaction()
    producer.begin_transaction()
    producer.send(place.topic, b"", b"committed", partition=0)
    producer.commit_transaction()
    plain = foreign()
    plain.send(place.topic, b"", b"last", partition=0)
    plain.flush(PATIENCE)
    assert [record.key for record in read_to(reader, b"last")] == [b"committed", b"last"]
