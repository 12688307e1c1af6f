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

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import pytest

from bus.transport import (
    MAX_RECORD_BYTES,
    Consumer,
    MemoryBroker,
    MemoryTransport,
    Outbound,
    OutOfRangeError,
    PermanentError,
    Producer,
    Record,
    RetriableError,
    TopicPartition,
    TopicSpec,
    Transport,
    TransportError,
    open_transport,
)
from tests.running import PATIENCE, answered

CLIENT = "430200-relay"
NUMBERS = count(time.time_ns())


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


def new_topic(transport: Transport, partitions: int = 1) -> str:
    name = f"contract.{next(NUMBERS)}"
    transport.ensure_topics([TopicSpec(name, partitions, {"message.timestamp.type": "LogAppendTime"})])
    return name


def outbound(topic: str, number: int, partition: int = 0) -> Outbound:
    return Outbound(topic, partition, b"case", b"%d" % number, [("ce_sequence", b"%d" % number)])


class Answers:
    """Collects what `done` was called with, by the number of the send."""

    def __init__(self) -> None:
        self.by_number: dict[int, list[TransportError | None]] = {}
        self.order: list[int] = []

    def of(self, number: int) -> Callable[[TransportError | None], None]:
        def done(error: TransportError | None) -> None:
            self.by_number.setdefault(number, []).append(error)
            self.order.append(number)

        return done


def write(producer: Producer, records: Iterable[Outbound]) -> None:
    """Send, and see each acknowledged exactly once, in order for each partition."""
    answers = Answers()
    sent = list(records)
    for number, record in enumerate(sent):
        while True:
            try:
                producer.send(record, answers.of(number))
                break
            except RetriableError:  # the buffer is full
                producer.poll(0.01)
                time.sleep(0.001)
    assert producer.flush(PATIENCE)
    assert answers.by_number == {number: [None] for number in range(len(sent))}
    for partition in {record.partition for record in sent}:
        numbers = [number for number in answers.order if sent[number].partition == partition]
        assert numbers == sorted(numbers)


def read(consumer: Consumer, wanted: int, limit: int = 500) -> list[Record]:
    """Poll until that many records came."""
    records: list[Record] = []
    until = time.monotonic() + PATIENCE
    while len(records) < wanted and time.monotonic() < until:
        got = consumer.poll(0.5, limit)
        assert len(got) <= limit
        records += got
    came = [(record.partition, record.offset) for record in records[-50:]]
    assert len(records) == wanted, f"up to {came}; the ends are {answered(lambda: consumer.ends(5))}"
    return records


def failure_of(producer: Producer, record: Outbound) -> TransportError:
    """How a send fails, be it at once or later."""
    answers = Answers()
    try:
        producer.send(record, answers.of(0))
    except TransportError as error:
        producer.flush(PATIENCE)
        assert not answers.order
        return error
    assert producer.flush(PATIENCE)
    ((error_or_none,),) = answers.by_number.values()
    assert error_or_none is not None
    return error_or_none


def out_of_range(consumer: Consumer) -> tuple[OutOfRangeError, list[Record]]:
    """The error that polling ends in, and what was read before it."""
    records: list[Record] = []
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            records += answered(lambda: consumer.poll(0.5, 500))
        except OutOfRangeError as error:
            return error, records
    raise AssertionError("no OutOfRangeError came")


def values(records: Sequence[Record]) -> list[int]:
    return [int(record.value or b"-1") for record in records]


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


def test_reading_begins_where_it_is_told_to(
    transport: Transport, producer: Producer, consumer: Consumer
) -> None:
    topic = new_topic(transport)
    place = TopicPartition(topic, 0)
    write(producer, (outbound(topic, number) for number in range(10)))
    consumer.assign({place: 0})
    assert values(read(consumer, 4, limit=4)) == [0, 1, 2, 3]

    again = transport.consumer(CLIENT)
    again.assign({place: 4})
    assert values(read(again, 6)) == [4, 5, 6, 7, 8, 9]
    again.assign({place: None})
    assert values(read(again, 10)) == list(range(10))
    again.assign({place: 10})
    assert again.poll(0.2, 10) == []
    write(producer, [outbound(topic, 10)])
    assert values(read(again, 1)) == [10]
    again.seek(place, 7)
    assert values(read(again, 4)) == [7, 8, 9, 10]
    again.close()
    assert values(read(consumer, 7)) == [4, 5, 6, 7, 8, 9, 10]


def test_earliest_is_what_is_left(
    ground: Any, transport: Transport, producer: Producer, consumer: Consumer
) -> None:
    topic = new_topic(transport)
    place = TopicPartition(topic, 0)
    write(producer, (outbound(topic, number) for number in range(10)))
    ground.expire(place, 6)
    consumer.assign({place: None})
    assert values(read(consumer, 4)) == [6, 7, 8, 9]


def test_what_expired_is_told_and_reading_goes_on_where_sought(
    ground: Any,
    transport: Transport,
    producer: Producer,
    consumer: Consumer,
) -> None:
    topic = new_topic(transport, 2)
    place, other = TopicPartition(topic, 0), TopicPartition(topic, 1)
    write(producer, (outbound(topic, number, number % 2) for number in range(20)))
    ground.expire(place, 5)
    consumer.assign({place: 2, other: 0})
    error, records = out_of_range(consumer)
    assert (error.place, error.asked, error.earliest, error.end) == (place, 2, 5, 10)
    again, more = out_of_range(consumer)
    assert again.args == error.args
    consumer.seek(place, error.earliest)
    records += more
    records += read(consumer, 15 - len(records))
    assert values([record for record in records if record.partition == 0]) == [10, 12, 14, 16, 18]
    assert values([record for record in records if record.partition == 1]) == list(range(1, 20, 2))


def test_a_position_beyond_the_end_is_out_of_range(
    transport: Transport,
    producer: Producer,
    consumer: Consumer,
) -> None:
    topic = new_topic(transport)
    place = TopicPartition(topic, 0)
    write(producer, (outbound(topic, number) for number in range(3)))
    consumer.assign({place: 7})
    error, _ = out_of_range(consumer)
    assert (error.asked, error.earliest, error.end) == (7, 0, 3)
    consumer.seek(place, 3)
    write(producer, [outbound(topic, 3)])
    assert values(read(consumer, 1)) == [3]


def test_a_topic_made_anew(ground: Any, transport: Transport, producer: Producer, consumer: Consumer) -> None:
    topic = new_topic(transport)
    place = TopicPartition(topic, 0)
    write(producer, (outbound(topic, number) for number in range(5)))
    consumer.assign({place: 0})
    read(consumer, 5)
    ground.delete(topic)
    until = time.monotonic() + PATIENCE
    while topic in answered(transport.topics) and time.monotonic() < until:
        time.sleep(0.05)
    assert transport.ensure_topics([TopicSpec(topic, 1)]) == [topic]
    error, _ = out_of_range(consumer)
    assert (error.asked, error.earliest, error.end) == (5, 0, 0)
    consumer.seek(place, 0)
    attempts = Answers()
    for number in count():
        try:
            producer.send(outbound(topic, 100), attempts.of(number))
        except RetriableError:
            continue
        assert producer.flush(PATIENCE)
        if attempts.by_number[number] == [None]:
            break
        assert time.monotonic() < until + PATIENCE
    assert values(read(consumer, 1)) == [100]


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


def test_ends(transport: Transport, producer: Producer, consumer: Consumer) -> None:
    topic = new_topic(transport, 2)
    assert consumer.ends(5) == {}
    write(producer, (outbound(topic, number) for number in range(7)))
    consumer.assign({TopicPartition(topic, 0): 3, TopicPartition(topic, 1): None})
    assert answered(lambda: consumer.ends(5)) == {TopicPartition(topic, 0): 7, TopicPartition(topic, 1): 0}
    consumer.assign({TopicPartition(f"{topic}.missing", 0): 0})
    with pytest.raises(RetriableError):
        consumer.ends(1)


def test_positions_are_shown_to_lag_tools(ground: Any, transport: Transport) -> None:
    topic = new_topic(transport, 2)
    client = f"430300-pickup-{next(NUMBERS)}"
    places = TopicPartition(topic, 0), TopicPartition(topic, 1)
    consumer = transport.consumer(client)
    consumer.assign(dict.fromkeys(places, 0))
    positions = {places[0]: 4, places[1]: 1}
    until = time.monotonic() + PATIENCE
    while ground.committed(client) != positions:
        consumer.commit(positions)
        consumer.poll(0.2, 10)
        assert time.monotonic() < until
    consumer.close()


def test_topics_are_ensured_once(transport: Transport) -> None:
    old, new = (f"contract.{next(NUMBERS)}" for _ in range(2))
    config = {"message.timestamp.type": "LogAppendTime", "retention.ms": "86400000"}
    assert transport.ensure_topics([TopicSpec(old, 2, config)]) == [old]
    assert transport.ensure_topics([TopicSpec(old, 2, config), TopicSpec(new, 1)]) == [new]
    assert transport.ensure_topics([TopicSpec(old, 2), TopicSpec(new, 1)]) == []
    with pytest.raises(PermanentError, match=rf"{old} has 2 partitions, not 3"):
        transport.ensure_topics([TopicSpec(old, 3)])
    found = transport.topics()
    assert (found[old], found[new]) == (2, 1)
    assert not any(name.startswith("__") for name in found)


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


@pytest.mark.parametrize("driver", ["memory", "kafka-python", "confluent"])
def test_a_broker_away_is_named(driver: str) -> None:
    if driver == "memory":
        broker = MemoryBroker()
        broker.stop()
        with pytest.raises(RetriableError, match="away"):
            MemoryTransport(broker).topics()
        return
    with no_thread_left(), socket.create_server(("127.0.0.1", 0)) as taken:
        bootstrap = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(RetriableError, match=bootstrap):  # somebody listens, but says nothing
            open_transport(driver, bootstrap).topics()
    with no_thread_left(), pytest.raises(RetriableError, match=bootstrap):  # nobody listens
        open_transport(driver, bootstrap).topics()


def test_an_unknown_driver_is_named() -> None:
    with pytest.raises(ValueError, match=r"'pigeon'.*kafka-python"):
        open_transport("pigeon", "127.0.0.1:9092")


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bus.transport.confluent", None)
    with pytest.raises(ImportError, match=r'"confluent" is not installed: pip install "kuayu\[confluent\]"'):
        open_transport("confluent", "127.0.0.1:9092")


@contextmanager
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + PATIENCE
    while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
        time.sleep(0.01)
    assert not left


def test_closing_leaves_nothing_behind(ground: Any) -> None:
    answers = Answers()
    with no_thread_left():
        transport = ground.open()
        topic = new_topic(transport)
        producer = transport.producer(CLIENT)
        consumer = transport.consumer(f"430100-review-{next(NUMBERS)}")
        consumer.assign({TopicPartition(topic, 0): 0})
        for number in range(100):
            producer.send(outbound(topic, number), answers.of(number))
        producer.close()
        assert answers.by_number == {number: [None] for number in range(100)}
        read(consumer, 100)
        consumer.close()
        transport.close()


def test_a_burst_is_acknowledged_in_order(
    transport: Transport, producer: Producer, consumer: Consumer
) -> None:
    topic = new_topic(transport)
    body, headers = bytes(750), [(f"ce_{number}", b"0123456789") for number in range(12)]
    write(producer, (Outbound(topic, 0, b"%d" % number, body, headers) for number in range(20_000)))
    consumer.assign({TopicPartition(topic, 0): 0})
    assert [int(record.key or b"") for record in read(consumer, 20_000, limit=1000)] == list(range(20_000))
