# ruff: noqa: SLF001 (librdkafka's own error codes are public names that begin with an underscore)
"""The reading half of the faster driver: partitions assigned by hand."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from operator import methodcaller
from typing import Any

import confluent_kafka as ck
from confluent_kafka import admin as ck_admin

from bus.transport.base import OutOfRangeError, Record, RetriableError, TopicPartition
from bus.transport.confluent_client import BROKER_TIMEOUT, CLOSE_TIMEOUT, Trouble, opened
from bus.transport.tls import Way

_LATEST: Any = ck_admin.OffsetSpec.latest()  # type: ignore[attr-defined, no-untyped-call]

_headers_of = methodcaller("headers")
"""Message.headers, where a name that is not UTF-8 leaves an error behind and a list with holes in it.

A plain call that Python has optimised does not look for the error, which then strikes anywhere; this one does.
"""

_STALE = {
    ck.KafkaError.FENCED_LEADER_EPOCH,
    ck.KafkaError.UNKNOWN_LEADER_EPOCH,
    ck.KafkaError.NOT_LEADER_FOR_PARTITION,
    ck.KafkaError._NOENT,
}
"""What librdkafka answers from what it knew of a partition's leader; asked for its metadata it learns better.

_NOENT: no leader is known to it of any partition, as when a broker has only just come back.
"""


class ConfluentConsumer:
    """Assigns by hand; the group id serves only to show offsets to lag tools."""

    def __init__(self, way: Way, client: str, admin: ck_admin.AdminClient) -> None:
        self._admin = admin
        self._trouble = Trouble()
        self._consumer = opened(
            ck.Consumer,
            way,
            client,
            **{
                "group.id": client,
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                # No session exists; but this long does close() wait for commits that find no broker.
                "session.timeout.ms": 3_000,
                "heartbeat.interval.ms": 1_000,
                "fetch.queue.backoff.ms": 10,
                "queued.max.messages.kbytes": 16_384,
                "error_cb": self._trouble,
            },
        )
        self._assigned: set[TopicPartition] = set()
        self._paused: set[TopicPartition] = set()
        self._lost: dict[TopicPartition, int] = {}
        """Positions out of range: librdkafka says it once and stops reading there."""

    def assign(self, positions: Mapping[TopicPartition, int | None]) -> None:
        if self._paused:  # librdkafka would keep them paused
            self.resume(list(self._paused))
        self._assigned = set(positions)
        self._lost.clear()
        self._consumer.assign(
            [
                ck.TopicPartition(*place, ck.OFFSET_BEGINNING if at is None else at)
                for place, at in positions.items()
            ],
        )

    def seek(self, place: TopicPartition, offset: int) -> None:
        if place not in self._assigned:
            raise ValueError(f"{place.topic}/{place.partition} is not assigned; assign it first")
        # librdkafka seeks only where it reads; where it has stopped, the partition has to be assigned anew.
        self._consumer.incremental_unassign([ck.TopicPartition(*place)])
        self._consumer.incremental_assign([ck.TopicPartition(*place, offset)])
        if place in self._paused:
            self._consumer.pause([ck.TopicPartition(*place)])
        self._lost.pop(place, None)

    def poll(self, timeout: float, limit: int) -> Sequence[Record]:
        if self._lost:
            self._raise_lost()
        # consume() with a timeout waits for a full batch; so wait for the first and take what else is there.
        first = self._consumer.poll(timeout)
        records: list[Record] = []
        if first is not None:
            messages = [first]
            if limit > 1:
                messages += self._consumer.consume(limit - 1, 0)
            records = self._readable(messages)
        if not records:
            if self._lost:
                self._raise_lost()
            if self._trouble.error is not None:
                raise RetriableError(str(self._trouble.take()))
        return records

    def _readable(self, messages: Iterable[Any]) -> list[Record]:
        """The records among the messages; what the others are about is noted."""
        records = []
        headers_of = _headers_of
        for message in messages:
            if message.error() is not None:
                self._note(message)
                continue
            try:
                headers = headers_of(message) or ()
            except SystemError:  # a header name is not UTF-8
                headers = ()
            records.append(
                Record(
                    message.topic(),
                    message.partition(),
                    message.offset(),
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    headers,
                ),
            )
        return records

    def _note(self, message: Any) -> None:
        error = message.error()
        if error.code() in (ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError._LOG_TRUNCATION):
            self._lost[TopicPartition(message.topic(), message.partition())] = message.offset()
        else:
            self._trouble.error = error

    def _raise_lost(self) -> None:
        for place, asked in self._lost.items():
            if place not in self._paused:
                try:
                    earliest, end = self._consumer.get_watermark_offsets(
                        ck.TopicPartition(*place), BROKER_TIMEOUT
                    )
                except ck.KafkaException as error:
                    raise RetriableError(f"{place.topic}/{place.partition}: {error.args[0]}") from error
                raise OutOfRangeError(place, asked, earliest, end)

    def pause(self, places: Iterable[TopicPartition]) -> None:
        places = list(places)
        self._paused.update(places)
        self._consumer.pause([ck.TopicPartition(*place) for place in places])

    def resume(self, places: Iterable[TopicPartition]) -> None:
        places = list(places)
        self._paused.difference_update(places)
        self._consumer.resume([ck.TopicPartition(*place) for place in places])

    def ends(self, timeout: float) -> Mapping[TopicPartition, int]:
        if not self._assigned:
            return {}
        try:
            try:
                return self._ask_ends(timeout)
            except ck.KafkaException as error:
                if error.args[0].code() not in _STALE:
                    raise
                self._admin.list_topics(timeout=timeout)
                return self._ask_ends(timeout)
        except (ck.KafkaException, TimeoutError) as error:
            raise RetriableError(f"the ends of the partitions cannot be had: {error}") from error

    def _ask_ends(self, timeout: float) -> dict[TopicPartition, int]:
        asked = self._admin.list_offsets(
            {ck.TopicPartition(*place): _LATEST for place in self._assigned},
            request_timeout=timeout,
        )
        return {
            TopicPartition(place.topic, place.partition): answer.result(timeout).offset
            for place, answer in asked.items()
        }

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        offsets = [ck.TopicPartition(*place, offset) for place, offset in positions.items()]
        with suppress(ck.KafkaException):
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def close(self) -> None:
        # Without a broker, librdkafka's close has been seen to wait for ever, out of reach of any Python time-out.
        closing = threading.Thread(target=self._consumer.close, name="kuayu-close", daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT)
