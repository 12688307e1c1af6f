"""The driver alone: what this broker and a client library do with no bus around them, as the measure of everything else."""

import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

from bus.transport import TopicSpec, open_transport
from kuayu.bench.load import EVENTS

VALUE_BYTES = 750
PARTITIONS = 4
TOPIC = "raw"
PATIENCE = 120.0
"""Seconds after which a run that does not end is given up."""
_IN_FLIGHT = 5_000
_HEADERS = [
    ("ce_specversion", b"1.0"),
    ("ce_id", b"1-123456"),
    ("ce_type", b"kuayu.CertificateIssued"),
    ("ce_source", b"430100/review"),
    ("ce_subject", b"430200-01JX0000000000000000000000"),
    ("ce_time", b"2026-03-02T04:00:00.000Z"),
    ("ce_recordedat", b"2026-03-02T04:00:00.000Z"),
    ("ce_lane", b"kuayu.review.430100/3>kuayu.pickup.430300/1"),
    ("ce_incarnation", b"1"),
    ("ce_sequence", b"123456"),
    ("ce_term", b"1"),
    ("ce_correlationid", b"430200-01JX0000000000000000000000"),
    ("ce_causationid", b"1-123456"),
    ("ce_dataschema", b"urn:sha256:" + b"0" * 64),
    ("content-type", b"application/vnd.confluent.avro"),
    ("traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01"),
    ("ce_lanehash", b"0" * 64),
]
"""As many and as long as an event of ours has."""


class Raw(NamedTuple):
    """One driver alone, a producer and then a consumer, idempotent and acknowledged by all."""

    produce_per_s: float
    produce_mb_per_s: float
    produce_cpu_us: float
    """CPU of the client for each record, microseconds."""
    produce_python_us: float
    """Of it what Python's own threads use: not librdkafka's."""
    consume_per_s: float
    consume_mb_per_s: float
    consume_cpu_us: float
    consume_python_us: float

    @property
    def us_per_case(self) -> float:
        """CPU of the client for the events of one case, each written and read once, microseconds."""
        return EVENTS * (self.produce_cpu_us + self.consume_cpu_us)

    @property
    def python_us_per_case(self) -> float:
        """Of it what Python's own threads use."""
        return EVENTS * (self.produce_python_us + self.consume_python_us)


def measure(driver: str, bootstrap: str, records: int) -> Raw:
    """Write and read `records` records in a process of its own.

    Raises:
        TimeoutError: the broker stopped answering.
    """
    transport = open_transport(driver, bootstrap)
    transport.ensure_topics([TopicSpec(TOPIC, PARTITIONS)])
    transport.close()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure, driver, bootstrap, records).result()


def _measure(driver: str, bootstrap: str, records: int) -> Raw:
    produce, consume, python = _DRIVERS[driver]
    produce(bootstrap, min(records, 1_000))  # connections, metadata, warm code
    written = _timed(lambda: produce(bootstrap, records), records, python)
    read = _timed(lambda: consume(bootstrap, records), records, python)
    return Raw(*written, *read)


def _timed(
    work: Callable[[], None], records: int, python: Callable[[], float]
) -> tuple[float, float, float, float]:
    clocks = time.perf_counter, time.process_time, python
    started = [clock() for clock in clocks]
    work()
    seconds, cpu, own = (clock() - before for clock, before in zip(clocks, started, strict=True))
    size = VALUE_BYTES + sum(len(name) + len(value) for name, value in _HEADERS)
    return records / seconds, records / seconds * size / 1e6, cpu / records * 1e6, own / records * 1e6


def _values(records: int) -> list[tuple[int, bytes, bytes]]:
    value = os.urandom(VALUE_BYTES)
    return [(n % PARTITIONS, b"430200-%026d" % n, value) for n in range(records)]


def _produce_kafka_python(bootstrap: str, records: int) -> None:
    from kafka import KafkaProducer  # noqa: PLC0415 - only the driver that is measured

    producer = KafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=True, acks="all", linger_ms=5, batch_size=128 * 1024
    )
    sent = []
    for partition, key, value in _values(records):
        sent.append(producer.send(TOPIC, value, key, _HEADERS, partition))
        if len(sent) >= _IN_FLIGHT and not sent[-_IN_FLIGHT].is_done:
            sent[-_IN_FLIGHT].get(PATIENCE)
    producer.flush(PATIENCE)
    for future in sent:
        future.get(0)
    producer.close()


def _consume_kafka_python(bootstrap: str, records: int) -> None:
    from kafka import KafkaConsumer, TopicPartition  # noqa: PLC0415

    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, group_id=None)
    places = [TopicPartition(TOPIC, partition) for partition in range(PARTITIONS)]
    consumer.assign(places)
    consumer.seek_to_beginning(*places)
    left, until = records, time.monotonic() + PATIENCE
    while left > 0:
        found = consumer.poll(timeout_ms=500, max_records=1_000)
        left -= sum(len(batch) for batch in found.values())
        _check_time(until)
    consumer.close()


def _produce_confluent(bootstrap: str, records: int) -> None:
    from confluent_kafka import Producer  # noqa: PLC0415

    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "log_level": 2,
        }
    )
    settled = []

    def done(error: object, _message: object) -> None:
        settled.append(error)

    for sent, (partition, key, value) in enumerate(_values(records)):
        producer.produce(TOPIC, value, key, partition, done, headers=_HEADERS)  # type: ignore[arg-type]  # as in the transport
        producer.poll(0)
        while sent - len(settled) > _IN_FLIGHT:
            producer.poll(0.01)
    if producer.flush(PATIENCE) or any(settled):
        raise TimeoutError("records were not acknowledged")


def _consume_confluent(bootstrap: str, records: int) -> None:
    import confluent_kafka as ck  # noqa: PLC0415

    consumer = ck.Consumer({"bootstrap.servers": bootstrap, "group.id": TOPIC, "enable.auto.commit": False})
    consumer.assign([ck.TopicPartition(TOPIC, part, ck.OFFSET_BEGINNING) for part in range(PARTITIONS)])
    left, until = records, time.monotonic() + PATIENCE
    while left > 0:
        for message in consumer.consume(1_000, 0.05):
            message.key(), message.value(), message.headers()
            left -= 1
        _check_time(until)
    consumer.close()


def _check_time(until: float) -> None:
    if time.monotonic() > until:
        raise TimeoutError(f"not all records were read within {PATIENCE:.0f} s")


_Work = Callable[[str, int], None]
_DRIVERS: dict[str, tuple[_Work, _Work, Callable[[], float]]] = {
    "kafka-python": (_produce_kafka_python, _consume_kafka_python, time.process_time),
    "confluent": (_produce_confluent, _consume_confluent, time.thread_time),
}
"""How each writes and reads, and the clock of Python's part in it: kafka-python's threads are all Python's."""
