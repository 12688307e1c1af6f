"""The faults of the broker in memory, each as its name says: what other tests build on must itself be right."""

from collections.abc import Iterable
from functools import partial

import pytest

from bus.transport import (
    MemoryBroker,
    MemoryTransport,
    Outbound,
    OutOfRangeError,
    Producer,
    RetriableError,
    TopicPartition,
    TopicSpec,
    TransportError,
)

TOPIC = "inbox"
PLACE = TopicPartition(TOPIC, 0)


class Sender:
    """Sends numbers and remembers what was heard of each."""

    def __init__(self, producer: Producer) -> None:
        self.producer = producer
        self.heard: list[tuple[int, TransportError | None]] = []

    def send(self, *numbers: int, topic: str = TOPIC) -> None:
        for number in numbers:
            record = Outbound(topic, 0, b"case", b"%d" % number, [])
            self.producer.send(record, partial(self._hear, number))

    def _hear(self, number: int, error: TransportError | None) -> None:
        self.heard.append((number, error))

    @property
    def acknowledged(self) -> list[int]:
        return [number for number, error in self.heard if error is None]

    @property
    def failed(self) -> list[int]:
        return [number for number, error in self.heard if isinstance(error, RetriableError)]


@pytest.fixture
def broker() -> MemoryBroker:
    ticks = iter(range(1_000, 100_000))
    return MemoryBroker(lambda: next(ticks))


@pytest.fixture
def transport(broker: MemoryBroker) -> MemoryTransport:
    transport = MemoryTransport(broker)
    transport.ensure_topics([TopicSpec(TOPIC, 1), TopicSpec("other", 1)])
    return transport


@pytest.fixture
def sender(transport: MemoryTransport) -> Sender:
    return Sender(transport.producer("430200"))


def written(broker: MemoryBroker) -> list[int]:
    return [int(record.value or b"") for record in broker.records(TOPIC)]


def numbers(of: Iterable[tuple[int, object]]) -> list[int]:
    return [number for number, _ in of]


def test_without_faults_all_is_written_and_stamped(broker: MemoryBroker, sender: Sender) -> None:
    sender.send(1, 2, 3)
    assert sender.heard == []  # until the owner asks
    sender.producer.poll(0)
    assert sender.acknowledged == [1, 2, 3]
    assert written(broker) == [1, 2, 3]
    assert [(record.offset, record.appended_ms) for record in broker.records(TOPIC)] == [
        (0, 1_000),
        (1, 1_001),
        (2, 1_002),
    ]


def test_a_lost_acknowledgement(broker: MemoryBroker, sender: Sender) -> None:
    broker.lose_acks(2)
    sender.send(1, 2, 3)
    sender.producer.poll(0)
    assert written(broker) == [1, 2, 3]
    assert (sender.failed, sender.acknowledged) == ([1, 2], [3])


def test_a_doubled_and_a_refused_record(broker: MemoryBroker, sender: Sender) -> None:
    broker.duplicate()
    broker.refuse()
    sender.send(1, 2, 3)
    sender.producer.poll(0)
    assert written(broker) == [1, 1, 3]
    assert numbers(sender.heard) == [1, 2, 3]
    assert sender.failed == [2]


def test_faults_of_one_topic_leave_others_alone(broker: MemoryBroker, sender: Sender) -> None:
    broker.refuse(topic=TOPIC)
    sender.send(1, topic="other")
    sender.send(2)
    sender.producer.poll(0)
    assert (sender.acknowledged, sender.failed) == ([1], [2])


def test_a_late_record_lands_behind_later_ones(broker: MemoryBroker, sender: Sender) -> None:
    broker.hold(2)
    sender.send(1, 2, 3)
    assert not sender.producer.flush(0)
    assert (written(broker), sender.acknowledged) == ([3], [3])
    assert broker.release(1) == 1
    sender.producer.poll(0)
    assert (written(broker), sender.acknowledged) == ([3, 1], [3, 1])
    assert broker.release() == 1
    assert sender.producer.flush(0)
    assert (written(broker), sender.acknowledged) == ([3, 1, 2], [3, 1, 2])


def test_a_record_lands_after_it_failed(broker: MemoryBroker, sender: Sender) -> None:
    broker.hold(failed=True)
    sender.send(1)
    assert sender.producer.flush(0)
    assert (sender.failed, written(broker)) == ([1], [])
    sender.send(1, 2)
    broker.release()
    sender.producer.poll(0)
    assert written(broker) == [1, 2, 1]
    assert (sender.failed, sender.acknowledged) == ([1], [1, 2])


def test_a_closed_producer_has_answered_for_all(broker: MemoryBroker, sender: Sender) -> None:
    broker.hold()
    sender.send(1, 2)
    sender.producer.close()
    assert (sender.failed, sender.acknowledged) == ([1], [2])
    broker.release()
    assert written(broker) == [2, 1]
    assert len(sender.heard) == 2


def test_a_broker_away_keeps_what_it_has(
    broker: MemoryBroker, transport: MemoryTransport, sender: Sender
) -> None:
    sender.send(1)
    consumer = transport.consumer("430100")
    consumer.assign({PLACE: 0})
    broker.stop()
    for attempt in (
        lambda: sender.send(2),
        lambda: consumer.poll(0, 1),
        lambda: consumer.ends(0),
        transport.topics,
        lambda: transport.producer("430300"),
    ):
        with pytest.raises(RetriableError, match="away"):
            attempt()
    consumer.commit({PLACE: 1})
    assert broker.committed("430100") == {}
    broker.start()
    assert [record.value for record in consumer.poll(0, 10)] == [b"1"]
    consumer.commit({PLACE: 1})
    assert broker.committed("430100") == {PLACE: 1}


def test_a_topic_made_anew_begins_at_nought(
    broker: MemoryBroker, transport: MemoryTransport, sender: Sender
) -> None:
    sender.send(1, 2)
    broker.hold(failed=True)
    sender.send(3)
    consumer = transport.consumer("430100")
    consumer.assign({PLACE: 0})
    consumer.poll(0, 10)
    broker.delete_topic(TOPIC)
    broker.release()  # what was for the old topic goes with it
    with pytest.raises(RetriableError, match="no such topic"):
        sender.send(4)
    transport.ensure_topics([TopicSpec(TOPIC, 1)])
    with pytest.raises(OutOfRangeError) as lost:
        consumer.poll(0, 10)
    assert (lost.value.asked, lost.value.earliest, lost.value.end) == (2, 0, 0)
    sender.send(5)
    assert [(record.offset, record.value) for record in broker.records(TOPIC)] == [(0, b"5")]


def test_the_buffer_has_an_end(broker: MemoryBroker, sender: Sender) -> None:
    broker.hold(20_000)
    sender.send(*range(20_000))
    with pytest.raises(RetriableError, match="full"):
        sender.send(20_000)
    broker.release()
    sender.producer.poll(0)
    sender.send(20_000)
    assert written(broker) == list(range(20_001))
