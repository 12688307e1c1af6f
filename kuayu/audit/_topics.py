"""What lies in the topics against what the ledgers say of it; read with a plain consumer."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from bus import envelope as env
from bus.envelope import LaneName, Malformed
from bus.sending import UNRECEIPTED
from bus.transport import RetriableError
from bus.transport.kafka_client import open_client
from bus.transport.tls import Way
from kuayu.audit._findings import Kind, Problem
from kuayu.audit._ledger import Contents
from schemas import Codec, CodecError
from schemas.models import Receipt

TIMEOUT_MS = 10_000
QUIET = 30
"""Seconds without a record after which reading is given up."""


class TopicsError(Exception):
    """The topics can't be read; the message says why."""


class _Place:
    """What was found on one partition."""

    def __init__(self, first: int) -> None:
        self.whole = first == 0
        """Nothing has expired."""
        self.seen: Counter[tuple[str, int, int]] = Counter()
        """Events by lane, incarnation and number."""
        self.ended: set[tuple[str, int, int]] = set()
        """Events of a history that was lost, by lane, incarnation and number (law 11)."""
        self.garbage = 0
        """Records that nothing but quarantine (or the rule that a number is too far ahead) could have dealt with."""


def check(way: Way, ledgers: Sequence[Contents], codec: Codec, counts: Counter[str]) -> list[Problem]:
    """Read all topics of these ledgers' jurisdictions and compare.

    Raises:
        TopicsError: no broker answers, or it stops answering.
    """
    histories = _Histories(ledgers)
    known = {stream for ledger in ledgers for stream in ledger.streams}
    codes = {stream.split("/")[0] for stream in known}
    places: dict[tuple[str, int], _Place] = {}
    problems: list[Problem] = []
    for first, record in _records(way, codes):
        place = places.setdefault((record.topic, record.partition), _Place(first))
        counts["records_read"] += 1
        if record.topic.startswith("kuayu.receipts."):
            problems += _receipt(record, ledgers, codec, counts)
            continue
        headers = {name: value for name, value in record.headers if value is not None}
        try:
            envelope = env.read(env.head_of(headers))
            key = (envelope.lane, envelope.incarnation, envelope.number)
            source = env.stream_of_topic(LaneName.parse(envelope.lane).source)
        except Malformed:
            place.garbage += not record.topic.startswith("kuayu.intake.")
            continue
        if source not in known and source.split("/")[1] != "intake":
            counts["records_of_ledgers_not_audited"] += 1
            continue
        if envelope.type == env.LANE_OPENED:
            counts["lanes_opened_anew"] += 1
        elif histories.holds(key, headers.get(env.LANE_HASH, b""), record.key):
            place.seen[key] += 1
        elif histories.ended(key):
            place.ended.add(key)
        else:
            place.garbage += 1
    for place in places.values():
        counts["records_sent_again"] += sum(place.seen.values()) - len(place.seen)
        counts["events_of_lost_histories"] += len(place.ended)
        counts["records_of_garbage"] += place.garbage
    problems += _unread(ledgers, places)
    problems += _unsent(ledgers, places)
    return problems


class _Histories:
    """What the senders' logs say that was sent, and which incarnations are over."""

    def __init__(self, ledgers: Sequence[Contents]) -> None:
        self._sent = {lane: numbers for ledger in ledgers for lane, numbers in ledger.sent.items()}
        self._displaced = {key: sent for ledger in ledgers for key, sent in ledger.displaced.items()}
        self._outward = {lane: row.incarnation for ledger in ledgers for lane, row in ledger.outward.items()}
        self._inward = {lane: row.incarnation for ledger in ledgers for lane, row in ledger.inward.items()}

    def holds(self, key: tuple[str, int, int], hash_said: bytes, record_key: bytes | None) -> bool:
        """Whether the sender's log has exactly this under this number, or had it before it was issued again."""
        lane, incarnation, number = key
        sent = self._sent.get(lane, {}).get(number)
        if sent is None or sent.incarnation != incarnation:
            sent = self._displaced.get(key)
        return (
            sent is not None and sent.hash.hex().encode() == hash_said and sent.subject.encode() == record_key
        )

    def ended(self, key: tuple[str, int, int]) -> bool:
        """Whether its sender lost it with its history, and its receiver did not hold it when that ended."""
        lane, incarnation, _ = key
        newest = self._outward.get(lane, 0)
        return incarnation < newest and incarnation < self._inward.get(lane, newest)


def _records(way: Way, codes: set[str]) -> Iterator[tuple[int, Any]]:
    """Every record there is, each with the first offset of its partition."""
    try:
        consumer = open_client(
            KafkaConsumer, way, "kuayu-audit", timeout_ms=TIMEOUT_MS, enable_auto_commit=False, group_id=None
        )
    except RetriableError as error:
        raise TopicsError(str(error)) from error
    try:
        topics = [
            topic
            for topic in consumer.topics()
            if topic.startswith("kuayu.")
            and (topic.rpartition(".")[2] in codes or topic == "kuayu.supervision")
        ]
        partitions = [
            TopicPartition(topic, number)
            for topic in sorted(topics)
            for number in sorted(consumer.partitions_for_topic(topic) or ())
        ]
        consumer.assign(partitions)
        firsts = consumer.beginning_offsets(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        left = {place for place in partitions if firsts[place] < ends[place]}
        while left:
            batches = consumer.poll(QUIET * 1000, max_records=5_000)
            if not batches:
                raise TopicsError(
                    f"{way.bootstrap}: nothing came for {QUIET} s; {len(left)} partitions are left"
                )
            for place, records in batches.items():
                for record in records:
                    if record.offset < ends[place]:
                        yield firsts[place], record
            left = {place for place in left if consumer.position(place) < ends[place]}
    finally:
        consumer.close()


def _receipt(record: Any, ledgers: Sequence[Contents], codec: Codec, counts: Counter[str]) -> list[Problem]:
    """A receipt of the receiver's present incarnation speaks of nothing that the receiver does not have."""
    with suppress(Malformed, CodecError, ValueError):
        data = codec.decode(record.value or b"")
        if not isinstance(data, Receipt):
            return []
        counts["receipts_read"] += 1
        stream = env.stream_of_topic(LaneName.parse(data.lane).topic)
        for ledger in ledgers:
            if stream not in ledger.streams or ledger.incarnation != data.receiver_incarnation:
                continue
            taken = ledger.taken.get(data.lane, {}).get(data.to_number)
            if taken is None or taken.hash != data.hash_at_to:
                what = "a receipt tells of it, and it is not in the receiver's log, or another event is"
                kind = Kind.LOST if taken is None else Kind.CONTRADICTION
                return [
                    Problem(kind=kind, what=what, ledger=ledger.name, lane=data.lane, number=data.to_number)
                ]
    return []


def _unread(ledgers: Sequence[Contents], places: Mapping[tuple[str, int], _Place]) -> list[Problem]:
    """Law 5, as far as counters tell: what was taken is in the log, and garbage that lies there was counted."""
    problems = []
    for ledger in ledgers:
        for at, position in ledger.positions.items():
            if at[0].split(".")[1] in {"receipts", "intake"}:
                continue
            if position.taken != ledger.came.get(at, 0):
                what = f"{at[0]}/{at[1]}: {position.taken} are counted as taken, {ledger.came.get(at, 0)} are in the log"
                problems.append(Problem(kind=Kind.CONTRADICTION, what=what, ledger=ledger.name))
            place = places.get(at)
            if place is not None and place.garbage > position.quarantined + position.ahead:
                what = f"{at[0]}/{at[1]}: {place.garbage} records of garbage, {position.quarantined} are quarantined"
                problems.append(Problem(kind=Kind.LOST, what=what, ledger=ledger.name))
    return problems


def _unsent(ledgers: Sequence[Contents], places: Mapping[tuple[str, int], _Place]) -> list[Problem]:
    """What the broker acknowledged on a lane without receipts lies in its topic, if nothing has expired there."""
    problems = []
    for ledger in ledgers:
        for lane_name, lane in ledger.outward.items():
            name = LaneName.parse(lane_name)
            place = places.get((name.topic, name.partition))
            if name.topic.split(".")[1] not in UNRECEIPTED or (place is not None and not place.whole):
                continue
            for number, sent in ledger.sent.get(lane_name, {}).items():
                key = (lane_name, sent.incarnation, number)
                if number <= lane.cursor and (place is None or key not in place.seen):
                    what = f"the broker acknowledged it, and it is not in {name.topic}/{name.partition}"
                    problems.append(
                        Problem(
                            kind=Kind.LOST,
                            what=what,
                            ledger=ledger.name,
                            row=sent.row,
                            lane=lane_name,
                            number=number,
                            case=sent.subject,
                        )
                    )
    return problems
