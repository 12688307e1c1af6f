"""What every transport does alike. What each can promise beyond:

memory: deterministic; nothing fails that was not asked to; `done` is called in the owner's thread, from `poll`,
`flush` or `close`; nothing outlives the process; commits are seen at once; an idempotent retry does not exist, so a
lost acknowledgement stays lost.

kafka-python: idempotent, acks=all; order per partition holds through retries for up to 30 s, after which what was
sent fails and what came behind may be written without it; `done` is called in kafka-python's sender thread; of two
sends too large for the topic together but not alone both arrive, as batches are split; a batch that is damaged is
asked for again; offsets for lag tools are written by a second client.

confluent: as kafka-python, but `done` is called in the owner's thread, from `poll`, `flush` or `close`; where a topic
takes less than MAX_RECORD_BYTES the whole batch fails retriably; after a fatal error of librdkafka the next send raises
RetriableError and the one after it goes through a new client.

All: positions are kept by the caller alone; a record whose header names are not UTF-8 comes without headers;
aborted transactions of foreign writers are not seen.
"""

import time

import pytest

from bus.transport import (
    MAX_RECORD_BYTES,
    Consumer,
    Outbound,
    PermanentError,
    Producer,
    Record,
    RetriableError,
    TopicPartition,
    TopicSpec,
    Transport,
)
from tests.contract.transport.records import NUMBERS, failure_of, new_topic, outbound, read, values, write
from tests.running import PATIENCE


def test_order_is_kept_in_each_partition(
    transport: Transport, producer: Producer, consumer: Consumer
) -> None:
    topic = new_topic(transport, 3)
    write(producer, (outbound(topic, number, number % 3) for number in range(1500)))
    consumer.assign({TopicPartition(topic, partition): 0 for partition in range(3)})
    records = read(consumer, 1500, limit=100)
    for partition in range(3):
        of_it = [record for record in records if record.partition == partition]
        assert values(of_it) == list(range(partition, 1500, 3))
        assert [record.offset for record in of_it] == list(range(500))


def test_bytes_survive(transport: Transport, producer: Producer, consumer: Consumer) -> None:
    topic = new_topic(transport)
    headers = [
        ("ce_id", b"01J"),
        ("ce_id", b"twice"),
        ("空", "值".encode()),
        ("empty", b""),
        ("long", b"\xff" * 300),
    ]
    sent = [
        Outbound(topic, 0, b"", b"", []),
        Outbound(topic, 0, b"\x00case", None, headers),
        Outbound(topic, 0, b"k" * 70, bytes(range(256)) * 40, headers * 20),
    ]
    before = time.time()
    write(producer, sent)
    consumer.assign({TopicPartition(topic, 0): 0})
    for record, read_back in zip(sent, read(consumer, len(sent)), strict=True):
        assert read_back.place == TopicPartition(topic, 0)
        assert (read_back.key, read_back.value, list(read_back.headers)) == (
            record.key,
            record.value,
            record.headers,
        )
        assert before - 60 < read_back.appended_ms / 1000 < time.time() + 60


def test_paused_partitions_rest(transport: Transport, producer: Producer, consumer: Consumer) -> None:
    topic = new_topic(transport, 2)
    resting, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    write(producer, (outbound(topic, number, number % 2) for number in range(100)))
    consumer.assign({resting: 0, other: 0})
    records = read(consumer, 10, limit=10)
    consumer.pause([resting])
    seen = sum(record.partition == 0 for record in records)
    records += read(consumer, 100 - 50 + seen - len(records), limit=10)
    assert sum(record.partition == 0 for record in records) == seen
    assert consumer.poll(0.3, 100) == []
    consumer.seek(resting, 40)
    assert consumer.poll(0.3, 100) == []
    consumer.resume([resting])
    assert values(read(consumer, 10)) == list(range(80, 100, 2))
    consumer.pause([resting])
    consumer.assign({resting: 48})
    assert values(read(consumer, 2)) == [96, 98]


def test_what_a_paused_partition_had_in_store_comes_after_all(
    transport: Transport,
    producer: Producer,
    consumer: Consumer,
) -> None:
    topic = new_topic(transport, 3)
    places = [TopicPartition(topic, partition) for partition in range(3)]
    write(producer, (outbound(topic, number, number % 3) for number in range(300)))
    consumer.assign(dict.fromkeys(places, 0))
    records: list[Record] = []
    for place in places:  # each is paused amid its records
        consumer.pause([place])
        consumer.resume(set(places) - {place})
        records += read(consumer, 21, limit=7)
    consumer.resume(places)
    records += read(consumer, 300 - len(records))
    for place in places:
        of_it = values([record for record in records if record.partition == place.partition])
        assert of_it == list(range(place.partition, 300, 3))


def test_a_record_too_large_is_refused_for_good(
    transport: Transport,
    producer: Producer,
    consumer: Consumer,
) -> None:
    topic = new_topic(transport)
    assert isinstance(
        failure_of(producer, Outbound(topic, 0, b"k", bytes(MAX_RECORD_BYTES), [])), PermanentError
    )
    largest = bytes(MAX_RECORD_BYTES - 1000)
    write(producer, [Outbound(topic, 0, b"k", largest, [])])
    consumer.assign({TopicPartition(topic, 0): 0})
    assert [record.value for record in read(consumer, 1)] == [largest]


@pytest.mark.parametrize("partition", [0, 5])
def test_what_is_missing_may_come_yet(transport: Transport, producer: Producer, partition: int) -> None:
    topic = new_topic(transport) if partition else f"contract.{next(NUMBERS)}"
    assert isinstance(failure_of(producer, outbound(topic, 0, partition)), RetriableError)
    write(producer, [outbound(new_topic(transport), 1)])


def test_a_topic_that_comes_late_is_read(
    transport: Transport, producer: Producer, consumer: Consumer
) -> None:
    topic = f"contract.{next(NUMBERS)}"
    consumer.assign({TopicPartition(topic, 0): 0})
    with_nothing = time.monotonic() + 1
    while time.monotonic() < with_nothing:
        try:
            assert consumer.poll(0.2, 10) == []
        except RetriableError:
            continue
    transport.ensure_topics([TopicSpec(topic, 1)])
    write(producer, [outbound(topic, 1)])
    records: list[Record] = []
    until = time.monotonic() + PATIENCE
    while not records and time.monotonic() < until:
        try:
            records += consumer.poll(0.5, 10)
        except RetriableError:
            continue
    assert values(records) == [1]


def test_a_burst_is_acknowledged_in_order(
    transport: Transport, producer: Producer, consumer: Consumer
) -> None:
    topic = new_topic(transport)
    body, headers = bytes(750), [(f"ce_{number}", b"0123456789") for number in range(12)]
    write(producer, (Outbound(topic, 0, b"%d" % number, body, headers) for number in range(20_000)))
    consumer.assign({TopicPartition(topic, 0): 0})
    assert [int(record.key or b"") for record in read(consumer, 20_000, limit=1000)] == list(range(20_000))
