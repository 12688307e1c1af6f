# ruff: noqa: SLF001 (librdkafka's own error codes are public names that begin with an underscore)
"""The optional, faster driver: confluent-kafka, librdkafka inside."""

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from operator import methodcaller
from typing import Any, NoReturn

from bus.transport.base import (
    MAX_IN_FLIGHT_BYTES,
    MAX_IN_FLIGHT_RECORDS,
    MAX_RECORD_BYTES,
    Done,
    Outbound,
    OutOfRangeError,
    PermanentError,
    Record,
    RetriableError,
    TopicPartition,
    TopicSpec,
    TransportError,
)
from bus.transport.topics import missing

try:
    import confluent_kafka as ck
    from confluent_kafka import admin as ck_admin
except ImportError as error:
    raise ImportError(
        'the transport driver "confluent" is not installed: pip install "kuayu[confluent]", or use "kafka-python"',
    ) from error

BROKER_TIMEOUT = 4.0
"""Seconds that a broker may take to answer a question."""
CLOSE_TIMEOUT = 5.0

_LATEST: Any = ck_admin.OffsetSpec.latest()  # type: ignore[attr-defined, no-untyped-call]

_headers_of = methodcaller("headers")
"""Message.headers, where a name that is not UTF-8 leaves an error behind and a list with holes in it.

A plain call that Python has optimised does not look for the error, which then strikes anywhere; this one does.
"""

_TROUBLE = {
    ck.KafkaError._ALL_BROKERS_DOWN,
    ck.KafkaError._AUTHENTICATION,
    ck.KafkaError._SSL,
    ck.KafkaError._FATAL,
}
"""What librdkafka tells only its error callback and what must not stay there."""

_STALE = {
    ck.KafkaError.FENCED_LEADER_EPOCH,
    ck.KafkaError.UNKNOWN_LEADER_EPOCH,
    ck.KafkaError.NOT_LEADER_FOR_PARTITION,
    ck.KafkaError._NOENT,
}
"""What librdkafka answers from what it knew of a partition's leader; asked for its metadata it learns better.

_NOENT: no leader is known to it of any partition, as when a broker has only just come back.
"""


def _config(bootstrap: str, client: str, **more: Any) -> dict[str, Any]:
    return {
        "bootstrap.servers": bootstrap,
        "client.id": client,
        "socket.timeout.ms": 10_000,
        "socket.connection.setup.timeout.ms": 5_000,
        "reconnect.backoff.max.ms": 1_000,
        "allow.auto.create.topics": False,
        "log_level": 2,  # what matters comes as errors; librdkafka writes the rest to stderr past all logging
        **more,
    }


_FATAL = (ck.KafkaException, SystemError)
"""What `poll` and `flush` raise after a fatal error: the error, or that a callback met it."""


class _Trouble:
    """The last error that librdkafka told only its error callback; it is called from `poll`, by the owner."""

    def __init__(self) -> None:
        self.error: Any = None

    def __call__(self, error: Any) -> None:
        if error.fatal() or error.code() in _TROUBLE:
            self.error = error

    def take(self) -> Any:
        error, self.error = self.error, None
        return error


class ConfluentProducer:
    """Calls `done` from within `poll`, `flush` and `close`, in the thread of its owner."""

    def __init__(self, bootstrap: str, client: str) -> None:
        self._trouble = _Trouble()
        self._config = _config(
            bootstrap,
            client,
            **{
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "message.max.bytes": MAX_RECORD_BYTES,
                "message.timeout.ms": 30_000,
                "topic.metadata.propagation.max.ms": 3_000,
                "queue.buffering.max.messages": MAX_IN_FLIGHT_RECORDS,
                "queue.buffering.max.kbytes": MAX_IN_FLIGHT_BYTES >> 10,
                "error_cb": self._trouble,
            },
        )
        self._producer = ck.Producer(self._config)
        self._sent = 0
        self._waiting: dict[int, Done] = {}
        """Who is still to be told, by the number of the send: a fatal error may swallow reports."""

    def send(self, record: Outbound, done: Done) -> None:
        if self._trouble.error is not None:
            self._raise_trouble()
        number = self._sent
        try:
            self._producer.produce(
                record.topic,
                record.value,
                record.key,
                record.partition,
                partial(self._report, number),
                headers=record.headers,  # type: ignore[arg-type]  # a list of a wider type is asked for
            )
        except BufferError as error:
            raise RetriableError("the buffer is full: too much is sent and not yet acknowledged") from error
        except ck.KafkaException as error:
            cause = error.args[0]
            if cause.fatal() or cause.code() == ck.KafkaError._FATAL:
                self._trouble.error = cause
                self._raise_trouble()
            if cause.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
                raise PermanentError(
                    f"{record.topic}: the record is too large; {MAX_RECORD_BYTES} bytes would be taken",
                ) from error
            raise RetriableError(f"{record.topic}/{record.partition}: {cause}") from error
        self._sent = number + 1
        self._waiting[number] = done

    def _raise_trouble(self) -> NoReturn:
        error = self._trouble.take()
        if error.fatal() or error.code() == ck.KafkaError._FATAL:
            self._begin_anew()
        raise RetriableError(str(error))

    def _begin_anew(self) -> None:
        """After a fatal error librdkafka's idempotent producer is of no more use: go on with another."""
        self._give_up()
        self._producer = ck.Producer(self._config)

    def poll(self, timeout: float) -> None:
        try:
            self._producer.poll(timeout)
        except _FATAL:
            self._begin_anew()

    def flush(self, timeout: float) -> bool:
        try:
            return not self._producer.flush(timeout)
        except _FATAL:
            self._begin_anew()
            return True  # all were told, if only that nobody knows

    def close(self) -> None:
        self.flush(CLOSE_TIMEOUT)
        self._give_up()

    def _give_up(self) -> None:
        """Whoever still waits is told; what is reported of these later is nobody's any more."""
        with suppress(*_FATAL):
            self._producer.purge()
            self._producer.flush(1)
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done(RetriableError("given up; it may have been written"))

    def _report(self, number: int, error: Any, _message: Any) -> None:
        done = self._waiting.pop(number, None)
        if done is not None:
            done(None if error is None else _reason(error))


def _reason(error: Any) -> TransportError:
    if error.code() == ck.KafkaError.INVALID_RECORD:
        return PermanentError(str(error))
    if error.code() == ck.KafkaError.MSG_SIZE_TOO_LARGE:
        # The broker refused a batch, and librdkafka blames each record in it: none is known to be too large.
        return RetriableError(f"{error}; max.message.bytes of the topic must be over {MAX_RECORD_BYTES}")
    return RetriableError(str(error))


class ConfluentConsumer:
    """Assigns by hand; the group id serves only to show offsets to lag tools."""

    def __init__(self, bootstrap: str, client: str, admin: ck_admin.AdminClient) -> None:
        self._admin = admin
        self._trouble = _Trouble()
        self._consumer = ck.Consumer(
            _config(
                bootstrap,
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
            ),
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


class ConfluentTransport:
    """Kafka by confluent-kafka.

    Args:
        bootstrap: "host:port", several separated by commas.
    """

    name = "confluent"

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._trouble = _Trouble()
        self._admin = ck_admin.AdminClient(_config(bootstrap, "kuayu-admin", error_cb=self._trouble))

    def producer(self, client: str) -> ConfluentProducer:
        return ConfluentProducer(self._bootstrap, client)

    def consumer(self, client: str) -> ConfluentConsumer:
        return ConfluentConsumer(self._bootstrap, client, self._admin)

    def ensure_topics(self, topics: Sequence[TopicSpec]) -> Sequence[str]:
        new = missing(topics, self.topics())
        if not new:
            return []
        asked = self._admin.create_topics(
            [
                ck_admin.NewTopic(spec.name, spec.partitions, -1, config=dict(spec.config))  # type: ignore[attr-defined]
                for spec in new
            ],
            operation_timeout=BROKER_TIMEOUT,
            request_timeout=2 * BROKER_TIMEOUT,
        )
        created = []
        for name, answer in asked.items():
            try:
                answer.result(3 * BROKER_TIMEOUT)
                created.append(name)
            except ck.KafkaException as error:
                cause = error.args[0]
                if cause.code() == ck.KafkaError.TOPIC_ALREADY_EXISTS:
                    missing(topics, self.topics())  # somebody was faster: as it should be?
                    continue
                raise _topic_error(name, cause) from error
        self._wait_for(created)
        return created

    def _wait_for(self, names: Sequence[str]) -> None:
        """Wait until the new topics have leaders, or the first reads and writes would fail for nothing."""
        until = time.monotonic() + BROKER_TIMEOUT
        while time.monotonic() < until:
            found = self._metadata().topics
            if all(
                name in found and all(part.leader >= 0 for part in found[name].partitions.values())
                for name in names
            ):
                return
            time.sleep(0.02)
        raise RetriableError(f"topics {', '.join(names)} are created but have no leader yet")

    def topics(self) -> Mapping[str, int]:
        return {
            name: len(topic.partitions)
            for name, topic in self._metadata().topics.items()
            if topic.error is None and not name.startswith("__")
        }

    def _metadata(self) -> Any:
        try:
            return self._admin.list_topics(timeout=BROKER_TIMEOUT)
        except ck.KafkaException as error:
            self._admin.poll(0)
            cause = self._trouble.take() or error.args[0]
            raise RetriableError(f"{self._bootstrap}: no broker answers: {cause}") from error

    def close(self) -> None:
        del self._admin


def _topic_error(name: str, cause: Any) -> TransportError:
    refused = {
        ck.KafkaError.TOPIC_EXCEPTION,
        ck.KafkaError.INVALID_CONFIG,
        ck.KafkaError.INVALID_PARTITIONS,
        ck.KafkaError.INVALID_REQUEST,
        ck.KafkaError.POLICY_VIOLATION,
    }
    kind = PermanentError if cause.code() in refused else RetriableError
    return kind(f"topic {name}: {cause}")
