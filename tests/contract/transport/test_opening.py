"""Opening and closing a way to a broker, and making its topics; the errors name what is wrong."""

import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bus.transport import (
    MemoryBroker,
    MemoryTransport,
    PermanentError,
    RetriableError,
    TopicPartition,
    TopicSpec,
    Transport,
    open_transport,
)
from tests.contract.transport.records import (
    CLIENT,
    NUMBERS,
    Answers,
    new_topic,
    outbound,
    read,
)
from tests.running import PATIENCE


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


@pytest.mark.parametrize(
    "driver", ["memory", "kafka-python", pytest.param("confluent", marks=pytest.mark.long)]
)
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
