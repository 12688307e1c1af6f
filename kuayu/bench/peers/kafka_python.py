"""kafka-python by itself: batches, outputs pipelined, positions committed once what they caused is acknowledged."""

import time
from typing import Any

from control import Control, serve
from kafka import KafkaConsumer, KafkaProducer
from stage import Record

BATCH = 500
COMMIT_EVERY = 0.5
FLUSH_SECONDS = 30.0


def run(control: Control) -> None:
    stage = control.stage
    producer = KafkaProducer(
        bootstrap_servers=stage.bootstrap,
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        batch_size=128 * 1024,
    )
    consumer = KafkaConsumer(
        stage.inbox,
        bootstrap_servers=stage.bootstrap,
        group_id=stage.group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    control.ready.set()
    commit_at = time.monotonic() + COMMIT_EVERY
    sent: list[Any] = []
    uncommitted = False
    while True:
        found = consumer.poll(timeout_ms=int(control.pause * 1000), max_records=BATCH)
        for batch in found.values():
            for message in batch:
                sent += [_send(producer, record) for record in stage.react(message.headers, message.value)]
        sent += [_send(producer, record) for record in control.due()]
        uncommitted |= bool(found)
        if uncommitted and time.monotonic() >= commit_at:
            producer.flush(FLUSH_SECONDS)
            for future in sent:
                future.get(0)  # flush itself tells of no failure
            sent.clear()
            consumer.commit_async()
            uncommitted = False
            commit_at = time.monotonic() + COMMIT_EVERY


def _send(producer: KafkaProducer, record: Record) -> Any:
    return producer.send(record.topic, record.value, record.key, record.headers)


if __name__ == "__main__":
    serve(run)
