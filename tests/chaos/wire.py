"""Hands on the topics, past all nodes: copies of what was sent, and events that no node of ours would send."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka import TopicPartition as KafkaPlace
from kafka.errors import KafkaError
from kafka.producer.transaction_manager import ProducerIdAndEpoch
from msgspec.structs import replace

from bus import envelope as env
from bus.envelope import Envelope, LaneName
from bus.transport import Outbound, Producer, Record, RetriableError, TopicPartition, TransportError
from bus.transport.kafka_client import DIRECT
from kuayu.topology import DirectoryTopology
from schemas import Codec, Schema, load_schemas, schema_id
from schemas.models import FormField, SupplementProvided
from tests.chaos.region import STRANGER, Lost, Region, until

FLUSH = 60.0
"""Seconds in which what is written must be acknowledged."""


class Wire:
    """Reads and writes the topics of a region directly."""

    def __init__(self, region: Region) -> None:
        self._region = region

    def recent(self, topic: str, count: int) -> list[Record]:
        """Up to `count` of the last records of each partition, as they lie there."""
        transport = self._region.transport()
        consumer = transport.consumer("chaos")
        try:
            places = [TopicPartition(topic, number) for number in range(transport.topics()[topic])]
            consumer.assign(dict.fromkeys(places))
            ends = dict(consumer.ends(10))
            starts = self._starts(ends)
            found: list[Record] = []
            for place, end in ends.items():
                consumer.assign({place: max(starts[place], end - count)})
                part: list[Record] = []
                while end > starts[place] and (not part or part[-1].offset < end - 1):
                    read = consumer.poll(20, count)
                    if not read:
                        raise Lost(f"{place}: nothing can be read")
                    part += read
                found += part
            return found
        finally:
            consumer.close()
            transport.close()

    def _starts(self, ends: dict[TopicPartition, int]) -> dict[TopicPartition, int]:
        with self.admin() as admin:
            first = admin.list_partition_offsets({KafkaPlace(*place): -2 for place in ends})
        return {TopicPartition(*place): int(at.offset) for place, at in first.items()}

    def write(self, records: Sequence[Outbound]) -> None:
        """Append these, in this order. Raises Lost."""
        transport = self._region.transport()
        producer = transport.producer("chaos")
        errors: list[TransportError] = []
        try:
            for record in records:
                until(partial(self._sent, producer, record, errors), "a record can be written", FLUSH)
            if not producer.flush(FLUSH) or errors:
                raise Lost(f"the topics can't be written: {errors[:1]}")
        finally:
            producer.close()
            transport.close()

    @staticmethod
    def _sent(producer: Producer, record: Outbound, errors: list[TransportError]) -> bool:
        with suppress(RetriableError):
            producer.send(record, lambda error: errors.append(error) if error else None)
            return True
        return False

    @contextmanager
    def admin(self) -> Iterator[Any]:
        admin = KafkaAdminClient(
            bootstrap_servers=self._region.cluster.bootstrap.split(","), proxy_url=DIRECT
        )
        try:
            yield admin
        finally:
            admin.close()

    def expire(self, topic: str) -> None:
        """Delete every record of a topic, as retention does."""
        transport = self._region.transport()
        consumer = transport.consumer("chaos")
        consumer.assign({TopicPartition(topic, n): None for n in range(transport.topics()[topic])})
        ends = consumer.ends(10)
        consumer.close()
        transport.close()
        with self.admin() as admin:
            admin.delete_records({KafkaPlace(*place): end for place, end in ends.items()})

    def make_anew(self, topic: str) -> None:
        """Delete a topic and create it again, with nothing in it."""
        with self.admin() as admin:
            admin.delete_topics([topic])
            until(lambda: topic not in admin.list_topics(), f"{topic} is deleted")
        self._region.create_topics(frozenset({topic.rpartition(".")[2]}))

    def fence(self, topic: str) -> int:
        """Write under the producer ids of all who write to a topic, with a higher epoch: the broker refuses theirs.

        Our producers are idempotent and have no transactions, so nobody else is ever given their ids; this is the way
        in which one can be fenced all the same. Returns how many were.
        """
        copies = {record.partition: again(record) for record in self.recent(topic, 1)}
        with self.admin() as admin:
            states = admin.describe_producers([KafkaPlace(topic, number) for number in copies])
        return sum(
            write_as(
                self._region.cluster.bootstrap,
                copies[place.partition],
                active.producer_id,
                active.producer_epoch + 1,
            )
            for place, state in states.items()
            for active in state.active_producers
        )


def write_as(bootstrap: str, record: Outbound, producer_id: int, epoch: int) -> bool:
    """Append a record under somebody else's producer id; False if the broker takes that epoch for an old one."""
    producer = KafkaProducer(
        bootstrap_servers=bootstrap.split(","), enable_idempotence=True, acks="all", proxy_url=DIRECT
    )
    try:
        manager = producer._transaction_manager
        until(manager.has_producer_id, "the producer has an id")
        manager.set_producer_id_and_epoch(ProducerIdAndEpoch(producer_id, epoch))
        sent = producer.send(record.topic, record.value, record.key, record.headers, record.partition)
        return sent.get(10) is not None
    except KafkaError:  # its owner has noticed, and took the next epoch itself
        return False
    finally:
        producer.close(timeout=5)


class Forger:
    """A sender that follows the lane protocol, and puts into its events what no sender should.

    It speaks for the acceptance stage of a jurisdiction that is in the directory, and whose node is nobody's here.
    """

    def __init__(self, topology: DirectoryTopology, random: Random) -> None:
        self._topology = topology
        self._random = random
        self._codec = Codec(load_schemas())
        self._lanes: dict[str, tuple[int, bytes]] = {}
        self._cases = 0
        self._incarnation = random.randrange(1, 1000)

    def good_body(self, text: str = "", provided_at: datetime | None = None) -> tuple[bytes, Schema]:
        """A supplement for a case that nobody knows: it is taken, and then refused or held."""
        form = (FormField(name="说明", value=text),)
        at = provided_at or datetime.now(UTC).replace(microsecond=0)
        return self._codec.encode(
            SupplementProvided(materials=(), form=form, answers_request=True, provided_at=at)
        )

    def taken(
        self,
        code: str,
        body: bytes,
        digest: bytes,
        *,
        acted_at: datetime | None = None,
        changed: dict[str, bytes] | None = None,
    ) -> Outbound:
        """An event that takes the next number of its lane to the review stage of `code`."""
        return self._event(code, body, digest, acted_at, changed or {}, number=True)

    def forged(
        self,
        code: str,
        *,
        key: bytes | None = None,
        event: str = "SupplementProvided",
        changed: dict[str, bytes] | None = None,
    ) -> Outbound:
        """An event that must not be taken: its key, its type for this sender, or a header is wrong."""
        body, schema = self.good_body()
        made = self._event(code, body, schema.digest, None, changed or {}, number=False, event=event)
        return replace(made, key=key or made.key)

    def unknown_schema(self) -> tuple[bytes, bytes]:
        """Body and digest by a schema that nobody has."""
        digest = self._random.randbytes(32)
        return bytes(1) + schema_id(digest).to_bytes(4, "big") + self._random.randbytes(40), digest

    def _event(
        self,
        code: str,
        body: bytes,
        digest: bytes,
        acted_at: datetime | None,
        changed: dict[str, bytes],
        *,
        number: bool,
        event: str = "SupplementProvided",
    ) -> Outbound:
        self._cases += 1
        case = f"{STRANGER}-CHAOS{self._random.randrange(10**12):012d}{self._cases}"
        source, topic = env.topic_of("acceptance", STRANGER), env.topic_of("review", code)
        at = [env.partition_of(case, self._topology.partitions(name)) for name in (source, topic)]
        lane = LaneName(source, at[0], topic, at[1])
        last, running = self._lanes.get(str(lane), (0, env.NO_HASH))
        now = datetime.now(UTC).replace(microsecond=0)
        envelope = Envelope(
            id=f"{self._incarnation}-{self._cases}",
            type=event,
            source=env.stream_of("acceptance", STRANGER),
            subject=case,
            acted_at=acted_at or now,
            recorded_at=now,
            lane=str(lane),
            incarnation=self._incarnation,
            number=last + 1,
            term=1,
            correlation=case,
            causation="",
            digest=digest,
            trace=env.new_trace(),
        )
        head = envelope.head()
        headers = [(name, changed.get(name, value)) for name, value in env.headers_of(head)]
        lane_hash = env.link(running, env.content_digest(head, body))
        headers.append((env.LANE_HASH, lane_hash.hex().encode()))
        if number:
            self._lanes[str(lane)] = (last + 1, lane_hash)
        return Outbound(topic, lane.partition, case.encode(), body, headers)


def again(record: Record) -> Outbound:
    """The same record once more."""
    headers = [(name, value) for name, value in record.headers if value is not None]
    return Outbound(record.topic, record.partition, record.key or b"", record.value, headers)
