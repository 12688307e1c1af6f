"""kafka-python by itself: batches, outputs pipelined, positions committed once what they caused is acknowledged."""

import time
from typing import Any

from control import Control, serve
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata
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
    # A consumer in a group now and then looks for its coordinator for ever, within poll; so one reads, assigned by
    # hand, and another commits.
    consumer = KafkaConsumer(
        bootstrap_servers=stage.bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=50,
    )
    consumer.assign([TopicPartition(stage.inbox, partition) for partition in range(stage.partitions)])
    committer = KafkaConsumer(
        bootstrap_servers=stage.bootstrap, group_id=stage.group, enable_auto_commit=False
    )
    control.ready.set()
    commit_at = time.monotonic() + COMMIT_EVERY
    sent: list[Any] = []
    positions: dict[TopicPartition, OffsetAndMetadata] = {}
    while True:
        found = consumer.poll(timeout_ms=int(control.pause * 1000), max_records=BATCH)
        for place, batch in found.items():
            for message in batch:
                sent += [_send(producer, record) for record in stage.react(message.headers, message.value)]
            positions[place] = OffsetAndMetadata(batch[-1].offset + 1, "", -1)
        sent += [_send(producer, record) for record in control.due()]
        if positions and time.monotonic() >= commit_at:
            producer.flush(FLUSH_SECONDS)
            for future in sent:
                future.get(0)  # flush itself tells of no failure
            sent.clear()
            committer.commit_async(positions)
            positions = {}
            commit_at = time.monotonic() + COMMIT_EVERY


def _send(producer: KafkaProducer, record: Record) -> Any:
    return producer.send(record.topic, record.value, record.key, record.headers)


if __name__ == "__main__":
    serve(run)
