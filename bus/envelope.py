"""The envelope: CloudEvents 1.0 in Kafka's binary mode, with the bus's own extension attributes.

Extensions: `lane`, `incarnation`, `sequence` and `lanehash` place the event in its lane; `term` is the
holder's term (law 7); `recordedat` stands beside `time`, which is when the person acted (law 8).
"""

import re
from binascii import unhexlify
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from random import Random
from typing import NamedTuple
from zlib import crc32

import msgspec

SPECVERSION = "ce_specversion"
ID = "ce_id"
TYPE = "ce_type"
SOURCE = "ce_source"
SUBJECT = "ce_subject"
TIME = "ce_time"
RECORDED_AT = "ce_recordedat"
LANE = "ce_lane"
INCARNATION = "ce_incarnation"
SEQUENCE = "ce_sequence"
LANE_HASH = "ce_lanehash"
TERM = "ce_term"
CORRELATION = "ce_correlationid"
CAUSATION = "ce_causationid"
DATASCHEMA = "ce_dataschema"
CONTENT_TYPE = "content-type"
TRACEPARENT = "traceparent"

_bits = Random().getrandbits  # a generator of its own: ids of traces are no secrets, and nobody else's luck

TYPE_PREFIX = "kuayu."
SCHEMA_PREFIX = "urn:sha256:"
AVRO = "application/vnd.confluent.avro"
NO_HASH = bytes(32)
DIGEST_BYTES = 32
LANE_AT_MOST = 600
"""Characters: two names of topics, which Kafka bounds at 249, and their partitions."""
INSTANT_AT_MOST = 40
"""Characters. What is read is cached, so a longer one would be kept."""

RECEIPT = "Receipt"
RESEND_REQUESTED = "ResendRequested"
TOMBSTONE = "Tombstone"
LANE_OPENED = "LaneOpened"
EVENTS_RETURNED = "EventsReturned"

NAMES = (
    SPECVERSION, ID, TYPE, SOURCE, SUBJECT, TIME, RECORDED_AT, LANE, INCARNATION, SEQUENCE,
    TERM, CORRELATION, CAUSATION, DATASCHEMA, CONTENT_TYPE, TRACEPARENT,
)  # fmt: skip
"""All headers but the lane hash, in the order in which their values make a head."""
_values_of = itemgetter(*NAMES)
_TRACE = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)


class Malformed(ValueError):
    """The headers are not an envelope of ours; the message says which one and why."""


class LaneName(NamedTuple):
    """From one partition of a stage's own inbox to one partition of another's."""

    source: str
    source_partition: int
    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.source}/{self.source_partition}>{self.topic}/{self.partition}"

    @classmethod
    def parse(cls, text: str) -> "LaneName":
        """Raises Malformed."""
        if len(text) > LANE_AT_MOST:
            raise Malformed(f"{LANE}: longer than {LANE_AT_MOST} characters")
        try:
            left, right = text.split(">")
            source, source_partition = left.rsplit("/", 1)
            topic, partition = right.rsplit("/", 1)
            return cls(source, int(source_partition), topic, int(partition))
        except ValueError:
            raise Malformed(f"{LANE}: not 'topic/partition>topic/partition'") from None


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """Everything about an event but its body."""

    id: str
    type: str
    source: str
    """The sending stream, for example 430200/acceptance."""
    subject: str
    """The case id; also the record's key."""
    acted_at: datetime
    recorded_at: datetime
    lane: str
    """Empty for what travels in no lane (receipts, intake)."""
    incarnation: int
    number: int
    term: int
    correlation: str
    causation: str
    digest: bytes
    """SHA-256 of the writer's schema."""
    trace: str

    def head(self) -> bytes:
        """The values of the headers in the order of `NAMES`, a line each: what is hashed, kept and sent.

        Raises:
            Malformed: a value contains a line break.
        """
        head = (
            f"1.0\n{self.id}\n{TYPE_PREFIX}{self.type}\n{self.source}\n{self.subject}\n"
            f"{stamp(self.acted_at)}\n{stamp(self.recorded_at)}\n{self.lane}\n{self.incarnation}\n{self.number}\n"
            f"{self.term}\n{self.correlation}\n{self.causation}\n{SCHEMA_PREFIX}{self.digest.hex()}\n{AVRO}\n"
            f"{self.trace}"
        )
        if head.count("\n") != len(NAMES) - 1:
            raise Malformed("a value contains a line break")
        return head.encode()


def headers_of(head: bytes) -> list[tuple[str, bytes]]:
    """The record's headers but the lane hash."""
    return list(zip(NAMES, head.split(b"\n"), strict=True))


def head_of(headers: Mapping[str, bytes | None]) -> bytes:
    """The head of a record that was read; headers that are none of ours are left out.

    Raises:
        Malformed: one is missing, or contains a line break.
    """
    try:
        head = b"\n".join(_values_of(headers))
    except (KeyError, TypeError):
        missing = next(name for name in NAMES if headers.get(name) is None)
        raise Malformed(f"{missing}: missing") from None
    if head.count(b"\n") != len(NAMES) - 1:
        raise Malformed("a header contains a line break")
    return head


@lru_cache(maxsize=1024)
def stamp(instant: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return instant.isoformat(timespec="milliseconds")[:23] + "Z"


@lru_cache(maxsize=1024)
def _instant(header: str, text: str) -> datetime:
    if len(text) > INSTANT_AT_MOST:
        raise Malformed(f"{header}: longer than {INSTANT_AT_MOST} characters")
    try:
        instant = datetime.fromisoformat(text)
        utc = instant.astimezone(UTC)
    except (
        ValueError,
        OverflowError,
    ):  # the latter: on the first or last day of all, and elsewhere not in UTC
        raise Malformed(f"{header}: not an RFC 3339 time") from None
    if instant.tzinfo is None:
        raise Malformed(f"{header}: has no time zone")
    return utc


def _count(header: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):  # noqa: PLR2004 - fits 64 bits
        raise Malformed(f"{header}: not a whole number")
    return int(text)


def read(head: bytes) -> Envelope:
    """The envelope in a head.

    Raises:
        Malformed: a value is not what it should be.
    """
    try:
        (
            _, id_, type_, source, subject, acted, recorded, lane, incarnation, number,
            term, correlation, causation, schema, _, trace,
        ) = head.decode().split("\n")  # fmt: skip
    except UnicodeDecodeError:
        raise Malformed("a header is not UTF-8") from None
    except ValueError:
        raise Malformed(f"not the {len(NAMES)} values of a head") from None
    if not type_.startswith(TYPE_PREFIX):
        raise Malformed(f"{TYPE}: does not begin with {TYPE_PREFIX}")
    return Envelope(
        id_,
        type_[len(TYPE_PREFIX) :],
        source,
        subject,
        _instant(TIME, acted),
        _instant(RECORDED_AT, recorded),
        lane,
        _count(INCARNATION, incarnation),
        _count(SEQUENCE, number),
        _count(TERM, term),
        correlation,
        causation,
        _digest(schema),
        trace,
    )


@lru_cache(maxsize=1024)
def _digest(schema: str) -> bytes:
    try:
        digest = unhexlify(schema.removeprefix(SCHEMA_PREFIX))
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise Malformed(f"{DATASCHEMA}: not {SCHEMA_PREFIX} and 64 hexadecimal digits") from None
    return digest


def event_cause(source: str, event: str) -> str:
    """The causation of what an event caused: its id alone is unique only within its source (CloudEvents 1.0, `id`)."""
    return f"{source} {event}"


def local_cause(incarnation: int, row: int) -> str:
    """The causation of what an act, a timer or a told refusal caused: the row it is recorded in."""
    return f"local-{incarnation}-{row}"


def keyed_cause(caller: str, key: str) -> str:
    """The causation of what an act with an idempotency key caused: it may be handed in again when we lost it."""
    return f"key-{sha256(f'{caller} {key}'.encode()).hexdigest()[:32]}"


def is_local(causation: str) -> bool:
    """Whether no event of another stage was the cause."""
    return causation.startswith(("local-", "key-"))


def order(event: str) -> tuple[int, int]:
    """What the ids of one source's events sort by: incarnation and row."""
    incarnation, _, row = event.partition("-")
    return int(incarnation), int(row)


def content_digest(head: bytes, value: bytes) -> bytes:
    """SHA-256 over what the sender said. A head has a fixed number of lines, so no two contents look alike."""
    return sha256(b"%b\n%b" % (head, value)).digest()


def link(previous: bytes, digest: bytes) -> bytes:
    """The running hash of a lane after one more event."""
    return sha256(previous + digest).digest()


def stream_of(stage: str, code: str) -> str:
    return f"{code}/{stage}"


def topic_of(stage: str, code: str) -> str:
    """The topic of an inbox; `receipts`, `intake` and `intake-replies` are topics of the same form."""
    return f"kuayu.{stage}.{code}"


def stream_of_topic(topic: str) -> str:
    """The stream whose inbox this is: kuayu.review.430100 is 430100/review.

    Raises:
        Malformed: not a topic of that form.
    """
    parts = topic.split(".")
    if len(parts) != 3 or parts[0] != "kuayu":  # noqa: PLR2004
        raise Malformed(f"{topic} is not kuayu.<stage>.<code>")
    return stream_of(parts[1], parts[2])


def number_of(key: str) -> int:
    """What a key's partition is the rest of: CRC-32, as librdkafka's default partitioner has it, so that tools find it."""
    return crc32(key.encode())


def partition_of(key: str, partitions: int) -> int:
    """Where a key goes."""
    return number_of(key) % partitions


def new_trace() -> str:
    """A W3C `traceparent` that begins a trace."""
    return f"00-{_bits(128):032x}-{_bits(64):016x}-01"


def child_trace(parent: str) -> str:
    """The same trace, a span of its own; a new trace if the parent is none."""
    if not _TRACE.fullmatch(parent):
        return new_trace()
    return f"{parent[:36]}{_bits(64):016x}{parent[52:]}"
