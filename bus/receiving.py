"""What a receiver does with a record: the lane's rules, as TCP has them for bytes (laws 3 and 5).

Below the lane's mark it is a duplicate, dropped and answered; the next number is taken; beyond, it is dropped
and the sender is asked to go back. What is not verified never takes a number: it is quarantined.
"""

from binascii import unhexlify
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError

from bus import envelope as env
from bus.application import Application
from bus.books import Lane
from bus.envelope import Envelope, LaneName, Malformed
from bus.errors import CommandRefused
from bus.failures import place_of
from bus.ledger import Entry, Kind
from bus.protocols import Command, Intake, Topology
from bus.transport import Record
from bus.unit import QUARANTINE_KEPT, QUARANTINE_SAMPLE, Unit
from schemas import Codec, CodecError
from schemas.models import EventsReturned, LaneOpened, Receipt, ResendRequested, Tombstone

MAX_SUBJECT = 200
"""Characters of a case id; ours have 33, and a database's index takes no keys without bound."""
REASON_AT_MOST = 300
"""Characters kept of why a record is garbage: it may repeat what its sender wrote."""


class Garbage(msgspec.Struct, frozen=True, gc=False):
    """Not verified: who sent it and where it belongs can't be trusted."""

    record: Record
    reason: str


class LaneEvent(msgspec.Struct, frozen=True, gc=False):
    """Verified as far as that can be done without the ledger."""

    record: Record
    head: bytes
    envelope: Envelope
    stream: str
    digest: bytes
    lane_hash: bytes
    failure: str = ""
    """Why the ledger did not take it as it is; then it takes its number and is parked."""


class Road(msgspec.Struct, frozen=True, gc=False):
    """What a lane's name says, with what the directory says of it."""

    source: str
    """The sender's stream."""
    source_topic: str
    source_partition: int
    source_partitions: int
    stream: str
    topic: str
    partition: int
    partitions: int


class Opened(msgspec.Struct, frozen=True, gc=False):
    """The sender opens its lane in a new incarnation."""

    record: Record
    envelope: Envelope
    data: LaneOpened


class Control(msgspec.Struct, frozen=True, gc=False):
    """A receipt, a request to go back, or events that are given back."""

    record: Record
    envelope: Envelope
    data: Receipt | ResendRequested | EventsReturned


class Submission(msgspec.Struct, frozen=True, gc=False):
    """From the intake topic: a local system's own words, or why they can't be understood."""

    record: Record
    intake: Intake
    data: Any
    command: Command | None
    error: Exception | None


Incoming = Garbage | LaneEvent | Opened | Control | Submission

_lane_name = lru_cache(maxsize=65_536)(LaneName.parse)


class Reader:
    """Turns records into what the writer takes; needs no ledger, so it runs before the writer."""

    def __init__(
        self, streams: Collection[str], codec: Codec, topology: Topology, intakes: Mapping[str, Intake]
    ) -> None:
        self._streams = frozenset(streams)
        self._codec = codec
        self._topology = topology
        self._intakes = intakes
        self._roads: dict[str, Road] = {}
        """By the names of their lanes."""

    def read(self, record: Record) -> Incoming | None:
        """What a record is; None for a receipt to another ledger of this jurisdiction.

        Raises:
            DBAPIError: an intake needs the ledger, which can't be read now.
        """
        intake = self._intakes.get(record.topic)
        if intake is not None:
            return self._submission(record, intake)
        try:
            headers = dict(record.headers)
            record = replace(record, headers=())  # it may wait, and they would be most of what it weighs
            head = env.head_of(headers)
            envelope = env.read(head)
            if record.topic.startswith("kuayu.receipts."):
                return self._control(record, envelope)
            if envelope.type == env.LANE_OPENED:
                return self._opened(record, envelope)
            return self._event(record, headers.get(env.LANE_HASH), head, envelope)
        except (Malformed, CodecError) as wrong:
            return Garbage(record, str(wrong)[:REASON_AT_MOST])
        except Exception as error:  # noqa: BLE001 - law 5: what can't be read is this record's own trouble
            return Garbage(record, f"can't be read: {place_of(error)}")

    def _event(self, record: Record, told_hash: bytes | None, head: bytes, envelope: Envelope) -> LaneEvent:
        if record.value is None:
            raise Malformed("no body")
        if record.key != envelope.subject.encode() or not envelope.subject:
            raise Malformed("the key is not the case id of ce_subject")
        if len(envelope.subject) > MAX_SUBJECT:
            raise Malformed(f"ce_subject has {len(envelope.subject)} characters, {MAX_SUBJECT} are allowed")
        if "\0" in envelope.subject or "\0" in envelope.type:  # PostgreSQL stores none
            raise Malformed("ce_subject or ce_type contains a zero byte")
        road = self._check_lane(record, envelope)
        if envelope.number < 1 or envelope.incarnation < 1:
            raise Malformed("numbers and incarnations begin at 1")
        source, stage = road.source.split("/")[1], road.stream.split("/")[1]
        allowed = self._topology.may_send(envelope.type, source, stage)
        if allowed is False and envelope.type != env.TOMBSTONE:
            raise Malformed(f"{source} may not send {envelope.type} to {stage}")
        try:
            lane_hash = unhexlify(told_hash or b"-")
        except ValueError:
            raise Malformed(f"{env.LANE_HASH}: missing or not hexadecimal") from None
        digest = self._content(head, record.value, envelope)
        return LaneEvent(record, head, envelope, road.stream, digest, lane_hash)

    def _opened(self, record: Record, envelope: Envelope) -> Opened:
        road = self._lane_to(record, envelope)
        if not 0 <= road.source_partition < road.source_partitions:
            raise Malformed(f"{road.source_topic} has no such partition")
        data = self._codec.decode(record.value or b"", envelope.digest)
        if not isinstance(data, LaneOpened):
            raise Malformed("the envelope says LaneOpened, the body is none")
        if (data.lane, data.incarnation) != (envelope.lane, envelope.incarnation) or data.after < 0:
            raise Malformed("body and envelope open different lanes, or none")
        return Opened(record, envelope, data)

    def _lane_to(self, record: Record, envelope: Envelope) -> Road:
        """The lane, if it leads from this sender to this inbox. Raises Malformed."""
        road = self._roads.get(envelope.lane) or self._road(envelope.lane)
        if (road.topic, road.partition) != (record.topic, record.partition):
            raise Malformed("ce_lane names another inbox than this one")
        if road.source != envelope.source:
            raise Malformed("ce_lane does not begin at the inbox of ce_source")
        return road

    def _check_lane(self, record: Record, envelope: Envelope) -> Road:
        """The lane, if it is one that this sender has to this inbox for this case."""
        road = self._lane_to(record, envelope)
        number = env.number_of(envelope.subject)
        if number % road.source_partitions != road.source_partition:
            raise Malformed(f"this case does not belong to {road.source_topic}/{road.source_partition}")
        if number % road.partitions != road.partition:
            raise Malformed(f"this case does not belong to {road.topic}/{road.partition}")
        return road

    def _road(self, lane: str) -> Road:
        name = _lane_name(lane)
        if str(name) != lane:
            raise Malformed("ce_lane is not written as lanes are: another spelling would be another lane")
        counts = [self._topology.partitions(topic) for topic in (name.source, name.topic)]
        for topic, partitions in zip((name.source, name.topic), counts, strict=True):
            if not partitions:
                raise Malformed(f"{topic} is no inbox of the directory")
        road = Road(
            env.stream_of_topic(name.source),
            name.source,
            name.source_partition,
            counts[0],
            env.stream_of_topic(name.topic),
            name.topic,
            name.partition,
            counts[1],
        )
        if (
            0 <= name.source_partition < counts[0] and 0 <= name.partition < counts[1]
        ):  # so many there are, no more
            self._roads[lane] = road
        return road

    def _content(self, head: bytes, value: bytes, envelope: Envelope) -> bytes:
        if envelope.type == env.TOMBSTONE:  # it stands for an original, and continues the lane as that would
            original = self._codec.decode(value, envelope.digest)
            if not isinstance(original, Tombstone):
                raise Malformed("the envelope says Tombstone, the body is none")
            return original.original_digest
        return env.content_digest(head, value)

    def _control(self, record: Record, envelope: Envelope) -> Control | None:
        name = _lane_name(envelope.subject)
        if env.stream_of_topic(name.source) not in self._streams:
            return None
        if env.stream_of_topic(name.topic) != envelope.source:
            raise Malformed("only a lane's receiver may speak of it")
        if record.key != envelope.subject.encode() or record.value is None:
            raise Malformed("the key is not the lane of ce_subject, or there is no body")
        data = self._codec.decode(record.value, envelope.digest)
        if not isinstance(data, Receipt | ResendRequested | EventsReturned) or data.lane != envelope.subject:
            raise Malformed("neither a receipt, a request to go back nor events given back, for this lane")
        return Control(record, envelope, data)

    def _submission(self, record: Record, intake: Intake) -> Submission:
        data = None
        try:
            data = self._codec.decode(record.value or b"")
            if type(data).__name__ != intake.type:
                raise Malformed(f"expected {intake.type}, found {type(data).__name__}")  # noqa: TRY301 - answered
            return Submission(record, intake, data, intake.command(record, data), None)
        except DBAPIError:
            raise  # the ledger's trouble, not the submission's: it is read again
        except Exception as wrong:  # noqa: BLE001 - every submission is answered
            return Submission(record, intake, data, None, wrong)


def fallbacks(incoming: Incoming, failure: Exception) -> Iterator[Incoming]:
    """What can still be done with a record that the ledger does not take as it is, the mildest first.

    An event takes its number and is parked, a submission is answered with the error; if even that is not taken,
    as it is with what belongs to no case, it is quarantined.
    """
    why = place_of(failure)
    match incoming:
        case LaneEvent():
            yield replace(incoming, failure=why)
        case Submission(command=Command()):
            told = CommandRefused("not_storable", "无法保存 / the ledger can't store this")
            yield replace(incoming, command=None, error=told)
    yield Garbage(incoming.record, f"the ledger does not take it: {why}")


def quarantine(unit: Unit, garbage: Garbage) -> str:
    """Keep a sample, count it, answer nothing. Its lane and partition go on."""
    record = garbage.record
    if unit.books.quarantined + len(unit.quarantine) < QUARANTINE_KEPT:
        value = record.value or b""
        unit.quarantine.append(
            (
                record.topic,
                record.partition,
                record.offset,
                unit.now_ms,
                garbage.reason.replace("\0", ""),
                len(value),
                value[:QUARANTINE_SAMPLE],
            ),
        )
    unit.move(record, "quarantined")
    return "quarantined"


def receive(unit: Unit, application: Application, event: LaneEvent) -> str:
    """Take an event, drop a duplicate, or ask for what is missing. Returns the outcome's name."""
    record, envelope = event.record, event.envelope
    lane = unit.lane(envelope.lane, outward=False)
    if envelope.number <= lane.number:
        return _again(unit, event, lane)
    if envelope.incarnation < lane.incarnation:  # of a history that its sender lost: ended (law 11)
        unit.move(record, "duplicate")
        return "duplicate"
    if lane.stopped or envelope.number > lane.number + 1:
        unit.move(record, "ahead")
        if not lane.stopped:
            unit.ask(lane)
        return "ahead"
    if env.link(lane.hash, event.digest) != event.lane_hash:
        if envelope.incarnation > lane.incarnation and lane.number:
            return _of_other_history(unit, event, lane)
        return quarantine(unit, Garbage(record, "its hash does not continue the lane"))
    lane = unit.take(lane, envelope.number, event.lane_hash, envelope.incarnation)
    entry = Entry(
        row=unit.next_row,
        kind=Kind.IN,
        stream=event.stream,
        subject=envelope.subject,
        type=envelope.type,
        recorded_ms=unit.now_ms,
        head=event.head,
        value=record.value or b"",
        lane=lane.name,
        incarnation=lane.incarnation,
        number=envelope.number,
        lane_hash=event.lane_hash,
        place=(record.topic, record.partition, record.offset),
        id=envelope.id,
    )
    outcome = application.event(unit, event.stream, lane, entry, envelope, event.failure)
    unit.move(record, "taken")
    unit.receipt(lane, envelope.number)
    return outcome


def _again(unit: Unit, event: LaneEvent, lane: Lane) -> str:
    """A number that was taken before: the same event is a duplicate, another one is a contradiction."""
    record, envelope = event.record, event.envelope
    known = hash_at(unit, lane, envelope.number)
    if known != event.lane_hash:
        if envelope.incarnation != lane.incarnation:
            return _of_other_history(unit, event, lane)
        before = hash_at(unit, lane, envelope.number - 1)
        if before is None or env.link(before, event.digest) != event.lane_hash:
            return quarantine(unit, Garbage(record, "its hash is not the lane's"))
        unit.set_lane(replace(lane, stopped=f"number {envelope.number} came with two contents"))
    unit.move(record, "duplicate")
    unit.receipt(lane, envelope.number)
    return "duplicate"


def _of_other_history(unit: Unit, event: LaneEvent, lane: Lane) -> str:
    """The lane was opened anew, and we don't know it any more, or it was and the sender does not (law 11).

    It is told how we stand, and opens the lane.
    """
    record = event.record
    unit.move(record, "ahead")
    unit.receipt(lane, lane.number)
    return "ahead"


def hash_at(unit: Unit, lane: Lane, number: int) -> bytes | None:
    """The running hash of an inward lane at a number that was taken; None for others."""
    if number == lane.number:
        return lane.hash
    if number == 0:
        return env.NO_HASH
    for entry in reversed(unit.entries):
        if (entry.kind, entry.lane, entry.number) == (Kind.IN, lane.name, number):
            return entry.lane_hash
    found = unit.books.ledger.lane_entries(lane.id, number, number)
    return found[0].lane_hash if found else None
