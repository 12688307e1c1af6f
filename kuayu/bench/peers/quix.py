"""Quix Streams: a dataframe that expands each event into what it causes."""

import threading
import time
from typing import Any

from control import Control, serve
from quixstreams import Application
from quixstreams.models import Serializer

EXACTLY_ONCE = "exactly-once"
"""The mode of that name; else at least once."""
COMMIT_EVERY, COMMIT_EVERY_EXACTLY_ONCE = 0.5, 0.1
"""Seconds; exactly once, nothing is visible before its commit."""


class _ValueOf(Serializer):  # type: ignore[misc]  # Quix is in an environment of its own
    """What the dataframe carries are records; their values are bytes already."""

    def __call__(self, value: Any, ctx: Any) -> bytes:  # noqa: ARG002 - as Quix calls it
        return bytes(value.value)


def run(control: Control) -> None:
    stage = control.stage
    exactly_once = stage.mode == EXACTLY_ONCE
    producing = {"acks": "all", "enable.idempotence": True, "linger.ms": 5}
    application = Application(
        broker_address=stage.bootstrap,
        consumer_group=stage.group,
        auto_offset_reset="earliest",
        commit_interval=COMMIT_EVERY_EXACTLY_ONCE if exactly_once else COMMIT_EVERY,
        consumer_poll_timeout=0.05,
        consumer_extra_config={"fetch.wait.max.ms": 50},
        producer_extra_config=producing,
        processing_guarantee="exactly-once" if exactly_once else "at-least-once",
        auto_create_topics=False,
        loglevel=None,
    )
    topics = {
        name: application.topic(
            name, key_serializer="bytes", value_serializer=_ValueOf(), value_deserializer="bytes"
        )
        for name in stage.topics.values()
    }
    frame = application.dataframe(topics[stage.inbox])
    frame = frame.apply(
        lambda value, _key, _time, headers: stage.react(headers, value), expand=True, metadata=True
    )
    frame = frame.set_headers(lambda record, *_: record.headers)
    frame.to_topic(lambda record, *_: topics[record.topic], key=lambda record: record.key)
    if stage.role == "acceptance":
        threading.Thread(target=_begin, args=(control, application), name="load", daemon=True).start()
    control.ready.set()
    application.run()


def _begin(control: Control, application: Application) -> None:
    """Cases come from outside of the dataframe, as from a web application beside it."""
    with application.get_producer(transactional=False) as producer:
        while True:
            begun = control.due()
            for record in begun:
                producer.produce(record.topic, record.value, record.key, record.headers)
            if not begun:
                time.sleep(control.pause)


if __name__ == "__main__":
    serve(run)
