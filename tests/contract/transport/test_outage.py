"""The broker is killed amid traffic and comes back with what it had: the clients go on by themselves."""

from collections.abc import Callable
from contextlib import suppress
from time import monotonic, sleep, time_ns
from typing import Any

import pytest

from bus.transport import (
    Outbound,
    Record,
    RetriableError,
    TopicPartition,
    TopicSpec,
    TransportError,
    open_transport,
)
from tests.running import PATIENCE, answered

pytestmark = pytest.mark.broker
TOPIC = "outage"
PLACE = TopicPartition(TOPIC, 0)


@pytest.mark.long
@pytest.mark.parametrize("driver", ["kafka-python", "confluent"])
def test_a_killed_broker_loses_and_doubles_nothing(driver: str, broker_factory: Callable[..., Any]) -> None:
    broker = broker_factory()
    transport = open_transport(driver, broker.bootstrap)
    transport.ensure_topics([TopicSpec(TOPIC, 1)])
    producer = transport.producer("outage")
    consumer = transport.consumer(f"outage-{time_ns()}")
    consumer.assign({PLACE: 0})
    answers: dict[int, list[TransportError | None]] = {}

    def send(number: int) -> None:
        def done(error: TransportError | None) -> None:
            answers.setdefault(number, []).append(error)

        producer.send(Outbound(TOPIC, 0, b"%d" % number, b"x" * 100, []), done)

    for number in range(500):
        send(number)
    broker.kill()

    # What is sent meanwhile is kept, but not without bound.
    sent = 500
    told = 0
    for _ in range(25_000):
        try:
            send(sent)
            sent += 1
        except RetriableError:
            told += 1
            if told == 3:
                break
            producer.poll(0.1)
    assert told == 3
    assert sent <= 20_000 + 500
    with pytest.raises(RetriableError):
        consumer.ends(1)
    with pytest.raises(RetriableError):
        transport.topics()

    broker.start()
    until = monotonic() + PATIENCE
    while not producer.flush(5) and monotonic() < until:
        sleep(0.1)
    assert answers == {number: [None] for number in range(sent)}
    records: list[Record] = []
    while len(records) < sent and monotonic() < until:
        records += answered(lambda: consumer.poll(0.5, 1000))
    assert [int(record.key or b"") for record in records] == list(range(sent))
    assert [record.offset for record in records] == list(range(sent))
    assert answered(lambda: consumer.ends(5)) == {PLACE: sent}
    producer.close()
    consumer.close()
    transport.close()


@pytest.mark.parametrize("driver", ["kafka-python", pytest.param("confluent", marks=pytest.mark.long)])
def test_closing_without_a_broker_tells_what_became_of_each_send(
    driver: str,
    broker_factory: Callable[..., Any],
) -> None:
    broker = broker_factory()
    transport = open_transport(driver, broker.bootstrap)
    transport.ensure_topics([TopicSpec(TOPIC, 1)])
    producer = transport.producer("outage")
    consumer = transport.consumer("outage")
    consumer.assign({PLACE: 0})
    consumer.commit({PLACE: 0})
    answers: list[TransportError | None] = []
    producer.send(Outbound(TOPIC, 0, b"first", b"", []), answers.append)
    assert producer.flush(PATIENCE)
    broker.kill()
    sent = 1
    while sent < 100:
        with suppress(RetriableError):  # that the broker is away may be told by any send
            producer.send(Outbound(TOPIC, 0, b"%d" % sent, b"", []), answers.append)
            sent += 1
    consumer.commit({PLACE: 1})
    producer.close()
    assert len(answers) == sent
    assert answers[0] is None
    assert all(isinstance(answer, RetriableError) for answer in answers[1:])
    consumer.close()
    transport.close()
