"""confluent-kafka by itself: batches, outputs pipelined, positions committed once what they caused is acknowledged."""

import time
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from control import Control, serve
from stage import Record

BATCH = 500
COMMIT_EVERY = 0.5
FLUSH_SECONDS = 30.0


def run(control: Control) -> None:
    stage = control.stage
    producer = Producer(
        {"bootstrap.servers": stage.bootstrap, "acks": "all", "enable.idempotence": True, "linger.ms": 5}
    )
    consumer = Consumer(
        {
            "bootstrap.servers": stage.bootstrap,
            "group.id": stage.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.subscribe([stage.inbox])
    control.ready.set()
    commit_at = time.monotonic() + COMMIT_EVERY
    uncommitted = False
    while True:
        first = consumer.poll(control.pause)
        batch = [] if first is None else [first, *consumer.consume(BATCH - 1, 0)]
        for message in batch:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            for record in stage.react(message.headers() or (), message.value() or b""):
                _send(producer, record)
        for record in control.due():
            _send(producer, record)
        producer.poll(0)
        uncommitted |= bool(batch)
        if uncommitted and time.monotonic() >= commit_at:
            if producer.flush(FLUSH_SECONDS):
                raise TimeoutError("records were not acknowledged")
            consumer.commit(asynchronous=True)
            uncommitted = False
            commit_at = time.monotonic() + COMMIT_EVERY


def _send(producer: Producer, record: Record) -> None:
    while True:
        try:
            producer.produce(
                record.topic, record.value, record.key, on_delivery=_check, headers=record.headers
            )
        except BufferError:
            producer.poll(0.01)
        else:
            return


def _check(error: KafkaError | None, _message: Message | Any) -> None:
    if error is not None:
        raise KafkaException(error)


if __name__ == "__main__":
    serve(run)
