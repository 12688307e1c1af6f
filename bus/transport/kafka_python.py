# ruff: noqa: SLF001 (two repairs inside its fetcher; the contract suite tells when an update moves it)
"""The default driver: kafka-python, pure Python."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from threading import Condition
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaPlace
from kafka import errors as kafka_errors
from kafka.structs import OffsetAndMetadata

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
from bus.transport.kafka_batches import PartitionRecords
from bus.transport.kafka_client import BROKER_TIMEOUT_MS, open_client
from bus.transport.tls import Tls, Way
from bus.transport.topics import missing

CLOSE_TIMEOUT = 5.0
"""Seconds that the last acknowledgements may take."""

_REFUSED = (
    kafka_errors.MessageSizeTooLargeError,
    kafka_errors.InvalidRecordError,
    kafka_errors.InvalidTopicError,
    kafka_errors.InvalidConfigurationError,
    kafka_errors.InvalidPartitionsError,
    kafka_errors.InvalidRequestError,
    kafka_errors.PolicyViolationError,
)


def _classify(error: BaseException, about: str) -> TransportError:
    kind = PermanentError if isinstance(error, _REFUSED) else RetriableError
    return kind(f"{about}: {error}")


class _Client(KafkaProducer):  # type: ignore[misc]  # kafka-python carries no types
    def flush(self, timeout: float | None = None) -> None:
        """Nothing: `close` begins with it and stays open when it fails. Whoever closes has waited already."""


class KafkaPythonProducer:
    """Calls `done` from kafka-python's sender thread. It counts what is in flight, as kafka-python has no limit."""

    def __init__(self, way: Way, client: str) -> None:
        self._producer = open_client(
            _Client,
            way,
            client,
            acks="all",
            enable_idempotence=True,
            linger_ms=10,  # as for the other driver
            batch_size=262_144,
            max_request_size=MAX_RECORD_BYTES,
            max_block_ms=1_000,
            request_timeout_ms=10_000,
            delivery_timeout_ms=30_000,
            allow_auto_create_topics=False,
            metrics_enabled=False,
        )
        self._records = 0
        self._bytes = 0
        self._settled = Condition()

    def send(self, record: Outbound, done: Done) -> None:
        topic, partition, key = record.topic, record.partition, record.key
        value, headers = record.value, record.headers
        if self._records >= MAX_IN_FLIGHT_RECORDS or self._bytes >= MAX_IN_FLIGHT_BYTES:
            raise RetriableError("the buffer is full: too much is sent and not yet acknowledged")
        try:
            future = self._producer.send(topic, value, key, headers, partition)
        except (kafka_errors.KafkaError, ValueError) as error:  # ValueError: there is no such partition
            raise _classify(error, f"{topic}/{partition}") from error
        size = (
            len(key) + (len(value) if value else 0) + 64 * len(headers)
        )  # about; adding up headers costs more
        with self._settled:
            self._records += 1
            self._bytes += size
        future.add_callback(partial(self._acknowledged, done, size))
        future.add_errback(partial(self._failed, done, size, topic, partition))

    def _acknowledged(self, done: Done, size: int, _metadata: Any) -> None:
        try:
            done(None)
        finally:
            self._settle(size)

    def _failed(self, done: Done, size: int, topic: str, partition: int, error: BaseException) -> None:
        try:
            done(_classify(error, f"{topic}/{partition}"))
        finally:
            self._settle(size)

    def _settle(self, size: int) -> None:
        with self._settled:
            self._records -= 1
            self._bytes -= size
            if not self._records:
                self._settled.notify_all()

    def poll(self, timeout: float) -> None:
        """Nothing: kafka-python has a thread of its own."""

    def flush(self, timeout: float) -> bool:
        with self._settled:
            return self._settled.wait_for(lambda: not self._records, timeout)

    def close(self) -> None:
        self.flush(CLOSE_TIMEOUT)
        self._producer.close(timeout=0 if self._records else CLOSE_TIMEOUT)
        self.flush(CLOSE_TIMEOUT)


class KafkaPythonConsumer:
    """Assigns by hand. It has no group, or each poll would wait for a coordinator; a second client shows offsets."""

    def __init__(self, way: Way, client: str) -> None:
        config: dict[str, Any] = {
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "request_timeout_ms": 10_000,
            "fetch_max_wait_ms": 1_000,  # while nothing comes: each look costs an idle node two tenths of a percent
            "allow_auto_create_topics": False,
            "metrics_enabled": False,
        }
        self._consumer = open_client(
            KafkaConsumer, way, client, group_id=None, isolation_level="read_committed", **config
        )
        self._consumer._fetcher.PartitionRecords = PartitionRecords
        try:
            self._committer = open_client(KafkaConsumer, way, client, group_id=client, **config)
        except RetriableError:
            self._consumer.close(autocommit=False)
            raise
        self._lost: dict[KafkaPlace, int] = {}
        """Positions that are not in their partitions, until the owner has sought others."""

    def assign(self, positions: Mapping[TopicPartition, int | None]) -> None:
        places = {KafkaPlace(*place): at for place, at in positions.items()}
        self._consumer.assign(list(places))
        self._consumer.resume(*places)
        self._lost.clear()
        for place, at in places.items():
            if at is None:
                self._consumer.seek_to_beginning(place)
            else:
                self._consumer.seek(place, at)

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._consumer.seek(KafkaPlace(*place), offset)
        self._lost.pop(KafkaPlace(*place), None)

    def poll(self, timeout: float, limit: int) -> Sequence[Record]:
        if self._lost:
            self._raise_lost()
        fetcher = self._consumer._fetcher
        if fetcher._paused_partition_records and not fetcher._next_partition_records:
            # An exhausted reader left in this slot would keep out for ever what a paused partition had in store.
            fetcher._next_partition_records = None
        try:
            batches = self._consumer.poll(timeout * 1000, limit)
        except kafka_errors.OffsetOutOfRangeError as error:
            self._lost.update(error.args[0])
            self._raise_lost()
            return []
        except (
            kafka_errors.LogTruncationError
        ) as error:  # the topic was made anew, or a leader had lost records
            for place in error.divergent_offsets:
                self._lost[place] = self._consumer.position(place, timeout_ms=BROKER_TIMEOUT_MS)
            self._raise_lost()
            return []
        except kafka_errors.KafkaError as error:
            raise RetriableError(str(error)) from error
        if len(batches) == 1:
            (records,) = batches.values()
            return records  # type: ignore[no-any-return]
        return [record for records in batches.values() for record in records]

    def _raise_lost(self) -> None:
        for place in self._lost.keys() - self._consumer.paused():
            try:
                earliest = self._consumer.beginning_offsets([place], timeout_ms=BROKER_TIMEOUT_MS)[place]
                end = self._consumer.end_offsets([place], timeout_ms=BROKER_TIMEOUT_MS)[place]
            except kafka_errors.KafkaError as error:
                raise RetriableError(f"{place.topic}/{place.partition}: {error}") from error
            raise OutOfRangeError(TopicPartition(*place), self._lost[place], earliest, end)

    def pause(self, places: Iterable[TopicPartition]) -> None:
        self._consumer.pause(*(KafkaPlace(*place) for place in places))

    def resume(self, places: Iterable[TopicPartition]) -> None:
        self._consumer.resume(*(KafkaPlace(*place) for place in places))

    def ends(self, timeout: float) -> Mapping[TopicPartition, int]:
        try:
            ends = self._consumer.end_offsets(list(self._consumer.assignment()), timeout_ms=timeout * 1000)
        except kafka_errors.KafkaError as error:
            raise RetriableError(f"the ends of the partitions cannot be had: {error}") from error
        return {TopicPartition(*place): end for place, end in ends.items()}

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        offsets = {
            KafkaPlace(*place): OffsetAndMetadata(offset, "", -1) for place, offset in positions.items()
        }
        with suppress(kafka_errors.KafkaError):
            self._committer.commit_async(offsets)

    def close(self) -> None:
        for client in (self._committer, self._consumer):
            client.close(autocommit=False, timeout_ms=1_000)


class KafkaPythonTransport:
    """Kafka by kafka-python.

    Args:
        bootstrap: "host:port", several separated by commas.
        tls: None speaks plain text.
    """

    name = "kafka-python"

    def __init__(self, bootstrap: str, tls: Tls | None = None) -> None:
        self._way = Way(bootstrap, tls)

    @contextmanager
    def _admin(self) -> Iterator[Any]:
        """A client for one question: they are rare, and an open one costs a thread and a connection."""
        client = open_client(KafkaAdminClient, self._way, "kuayu-admin", request_timeout_ms=BROKER_TIMEOUT_MS)
        try:
            yield client
        finally:
            client.close()

    def producer(self, client: str) -> KafkaPythonProducer:
        return KafkaPythonProducer(self._way, client)

    def consumer(self, client: str) -> KafkaPythonConsumer:
        return KafkaPythonConsumer(self._way, client)

    def ensure_topics(self, topics: Sequence[TopicSpec]) -> Sequence[str]:
        created = []
        with self._admin() as admin:
            for spec in missing(topics, self._topics(admin)):
                wanted = {
                    "num_partitions": spec.partitions,
                    "replication_factor": -1,
                    "configs": dict(spec.config),
                }
                try:
                    admin.create_topics({spec.name: wanted}, BROKER_TIMEOUT_MS, wait_for_metadata=True)
                    created.append(spec.name)
                except kafka_errors.TopicAlreadyExistsError:
                    missing(topics, self._topics(admin))  # somebody was faster: as it should be?
                except kafka_errors.KafkaError as error:
                    raise _classify(error, f"topic {spec.name}") from error
        return created

    def topics(self) -> Mapping[str, int]:
        with self._admin() as admin:
            return self._topics(admin)

    def _topics(self, admin: Any) -> dict[str, int]:
        try:
            found = admin.describe_topics()
        except kafka_errors.KafkaError as error:
            raise self._way.no_answer(error) from error
        return {
            topic["name"]: len(topic["partitions"])
            for topic in found
            if not topic["error_code"] and not topic["is_internal"]
        }

    def reconnect(self) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Nothing, as above."""
