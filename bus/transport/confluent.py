"""The optional, faster driver: confluent-kafka, librdkafka inside."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import confluent_kafka as ck
from confluent_kafka import admin as ck_admin

from bus.transport.base import PermanentError, RetriableError, TopicSpec, TransportError
from bus.transport.confluent_client import BROKER_TIMEOUT, Trouble, opened
from bus.transport.confluent_consumer import ConfluentConsumer
from bus.transport.confluent_producer import ConfluentProducer
from bus.transport.tls import Tls, Way
from bus.transport.topics import missing


class ConfluentTransport:
    """Kafka by confluent-kafka.

    Args:
        bootstrap: "host:port", several separated by commas.
        tls: None speaks plain text.

    Raises:
        RetriableError: the files of TLS can't be used now.
    """

    name = "confluent"

    def __init__(self, bootstrap: str, tls: Tls | None = None) -> None:
        self._way = Way(bootstrap, tls)
        self._trouble = Trouble()
        self.reconnect()

    def reconnect(self) -> None:
        self._admin = opened(ck_admin.AdminClient, self._way, "kuayu-admin", error_cb=self._trouble)

    def producer(self, client: str) -> ConfluentProducer:
        return ConfluentProducer(self._way, client)

    def consumer(self, client: str) -> ConfluentConsumer:
        return ConfluentConsumer(self._way, client, self._admin)

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
            raise self._way.no_answer(self._trouble.take() or error.args[0]) from error

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
