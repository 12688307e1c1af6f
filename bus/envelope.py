"""The envelope: CloudEvents 1.0 in Kafka's binary mode, with the bus's own extension attributes.

Extensions: `lane`, `incarnation`, `sequence` and `lanehash` place the event in its lane; `term` is the
holder's term (law 7); `recordedat` stands beside `time`, which is when the person acted (law 8).
"""

import hashlib
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from operator import itemgetter
from random import Random
from typing import NamedTuple
from zlib import crc32

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
AVRO = b"application/vnd.confluent.avro"
NO_HASH = bytes(32)
DIGEST_BYTES = 32
LANE_AT_MOST = 600
"""Characters: two names of topics, which Kafka bounds at 249, and their partitions."""
INSTANT_AT_MOST = 40
"""Characters. What is read is cached, so a longer one would be kept."""

RECEIPT = "Receipt"
RESEND_REQUESTED = "ResendRequested"
TOMBSTONE = "Tombstone"

_DIGESTED = (
    ID, TYPE, SOURCE, SUBJECT, TIME, RECORDED_AT, LANE, INCARNATION, SEQUENCE,
    TERM, CORRELATION, CAUSATION, DATASCHEMA, CONTENT_TYPE, TRACEPARENT,
)  # fmt: skip
_digested = itemgetter(*_DIGESTED)
_lengths = struct.Struct(f">{len(_DIGESTED) + 1}I").pack


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


class Envelope(NamedTuple):
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

    def headers(self) -> list[tuple[str, bytes]]:
        """All headers but the lane hash, which is computed over them."""
        return [
            (SPECVERSION, b"1.0"),
            (ID, self.id.encode()),
            (TYPE, (TYPE_PREFIX + self.type).encode()),
            (SOURCE, self.source.encode()),
            (SUBJECT, self.subject.encode()),
            (TIME, stamp(self.acted_at)),
            (RECORDED_AT, stamp(self.recorded_at)),
            (LANE, self.lane.encode()),
            (INCARNATION, b"%d" % self.incarnation),
            (SEQUENCE, b"%d" % self.number),
            (TERM, b"%d" % self.term),
            (CORRELATION, self.correlation.encode()),
            (CAUSATION, self.causation.encode()),
            (DATASCHEMA, (SCHEMA_PREFIX + self.digest.hex()).encode()),
            (CONTENT_TYPE, AVRO),
            (TRACEPARENT, self.trace.encode()),
        ]


@lru_cache(maxsize=1024)
def stamp(instant: datetime) -> bytes:
    """RFC 3339 in UTC with milliseconds."""
    return (instant.isoformat(timespec="milliseconds")[:23] + "Z").encode()


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


def read(headers: Mapping[str, bytes]) -> Envelope:
    """The envelope in these headers.

    Raises:
        Malformed: a header is missing or is not what it should be.
    """
    try:
        texts = {name: headers[name].decode() for name in _DIGESTED}
    except KeyError as missing:
        raise Malformed(f"{missing.args[0]}: missing") from None
    except UnicodeDecodeError:
        raise Malformed("a header is not UTF-8") from None
    if not texts[TYPE].startswith(TYPE_PREFIX):
        raise Malformed(f"{TYPE}: does not begin with {TYPE_PREFIX}")
    try:
        digest = bytes.fromhex(texts[DATASCHEMA].removeprefix(SCHEMA_PREFIX))
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise Malformed(f"{DATASCHEMA}: not {SCHEMA_PREFIX} and 64 hexadecimal digits") from None
    return Envelope(
        id=texts[ID],
        type=texts[TYPE].removeprefix(TYPE_PREFIX),
        source=texts[SOURCE],
        subject=texts[SUBJECT],
        acted_at=_instant(TIME, texts[TIME]),
        recorded_at=_instant(RECORDED_AT, texts[RECORDED_AT]),
        lane=texts[LANE],
        incarnation=_count(INCARNATION, texts[INCARNATION]),
        number=_count(SEQUENCE, texts[SEQUENCE]),
        term=_count(TERM, texts[TERM]),
        correlation=texts[CORRELATION],
        causation=texts[CAUSATION],
        digest=digest,
        trace=texts[TRACEPARENT],
    )


def content_digest(headers: Mapping[str, bytes], value: bytes) -> bytes:
    """SHA-256 over what the sender said: the lengths of all parts, the known headers in a fixed order, the body."""
    parts = (*_digested(headers), value)
    return hashlib.sha256(_lengths(*map(len, parts)) + b"".join(parts)).digest()


def link(previous: bytes, digest: bytes) -> bytes:
    """The running hash of a lane after one more event."""
    return hashlib.sha256(previous + digest).digest()


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


def partition_of(key: str, partitions: int) -> int:
    """Where a key goes: CRC-32, as librdkafka's default partitioner does it, so that tools find it too."""
    return crc32(key.encode()) % partitions


def new_trace() -> str:
    """A W3C `traceparent` that begins a trace."""
    return f"00-{_bits(128):032x}-{_bits(64):016x}-01"


def child_trace(parent: str) -> str:
    """The same trace, a span of its own; a new trace if the parent is none."""
    parts = parent.split("-")
    if len(parts) != 4 or len(parts[1]) != 32:  # noqa: PLR2004 - version-trace-span-flags
        return new_trace()
    return f"00-{parts[1]}-{_bits(64):016x}-{parts[3]}"
