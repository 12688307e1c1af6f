"""Somebody writes under a producer's id with a higher epoch: the broker refuses the producer's own, and it goes on all the same."""

from collections import Counter
from contextlib import suppress
from time import monotonic, time_ns
from typing import Any

import pytest
from kafka import KafkaAdminClient
from kafka import TopicPartition as KafkaPlace

from bus.transport import (
    Outbound,
    RetriableError,
    TopicSpec,
    TransportError,
    confluent_producer,
    open_transport,
)
from bus.transport.kafka_client import DIRECT
from tests.chaos.wire import write_as
from tests.running import PATIENCE

pytestmark = pytest.mark.broker


@pytest.mark.parametrize("driver", ["kafka-python", "confluent"])
def test_a_fenced_producer_tells_once_and_goes_on(driver: str, bootstrap: str) -> None:
    told, sent = fence(driver, bootstrap)
    assert told == Counter(range(sent))


def test_a_fatal_error_that_strikes_within_a_report_loses_none(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does once in some thirty times: confluent-kafka calls back with Python's error already set."""
    reason = confluent_producer._reason
    struck: list[Any] = []

    def strike(error: Any) -> TransportError:
        if not struck:
            struck.append(error)
            raise SystemError("returned a result with an exception set")
        return reason(error)

    monkeypatch.setattr(confluent_producer, "_reason", strike)
    told, sent = fence("confluent", bootstrap)
    assert struck
    assert told == Counter(range(sent))


def fence(driver: str, bootstrap: str) -> tuple[Counter[int], int]:
    """Fence a producer that is in use until it has written again: how often each send was told of, and their number."""
    topic = f"fenced-{time_ns()}"
    transport = open_transport(driver, bootstrap)
    transport.ensure_topics([TopicSpec(topic, 1)])
    producer = transport.producer("victim")
    told: Counter[int] = Counter()
    written: set[int] = set()

    def send(number: int) -> None:
        def done(error: TransportError | None) -> None:
            told[number] += 1
            if error is None:
                written.add(number)

        producer.send(Outbound(topic, 0, b"k", b"%d" % number, []), done)

    for number in range(5):
        send(number)
    assert producer.flush(PATIENCE)
    assert written == set(range(5))

    admin = KafkaAdminClient(bootstrap_servers=bootstrap, proxy_url=DIRECT)
    [state] = admin.describe_producers([KafkaPlace(topic, 0)]).values()
    admin.close()
    [active] = state.active_producers
    intruder = Outbound(topic, 0, b"k", b"intruder", [])
    assert write_as(bootstrap, intruder, active.producer_id, active.producer_epoch + 1)

    sent = 5
    deadline = monotonic() + PATIENCE
    while not written - set(range(5)):
        assert monotonic() < deadline
        for _ in range(
            5
        ):  # one batch: under its next epoch it begins where the intruder began, and is longer
            with suppress(RetriableError):
                send(sent)
                sent += 1
        producer.poll(0.1)
        producer.flush(2)
    producer.close()
    transport.close()
    return told, sent
