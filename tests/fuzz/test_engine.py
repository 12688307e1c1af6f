"""Garbage, forgeries and hostile senders beside honest ones: lanes go on, sums add up, and every ledger is sound."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select

from bus import envelope as env
from bus.envelope import partition_of
from bus.ledger import Kind, tables
from bus.ledger.entry import decode
from bus.transport import Outbound, Record, TopicPartition
from schemas import Codec, load_schemas
from schemas.models import Receipt, ReceiptException, ReceiptStatus, ResendRequested
from tests.fuzz.profile import fuzz
from tests.fuzz.records import Change, changed, changes, continued
from tests.unit.bus.toys import NOON, PARTITIONS, Node, Pair, Topology

Pairs = Callable[[], AbstractContextManager[Pair]]
CODEC = Codec(load_schemas())
LANE = "kuayu.ask.1/0>kuayu.answer.2/0"
CASE, OTHER = [f"1-{n}" for n in range(9) if partition_of(f"1-{n}", PARTITIONS) == 0][:2]
OTHER_LANE = next(f"1-{n}" for n in range(9) if partition_of(f"1-{n}", PARTITIONS) == 1)


def write(pair: Pair, records: Sequence[Record]) -> None:
    """As any client writes: straight to the broker, past every check of ours."""
    for record in records:
        foreign: Any = (record.topic, record.partition, record.key, record.value, record.headers)
        pair.broker.write(Outbound(*foreign), lambda _error: None)


def check_sums(pair: Pair, node: Node, topic: str) -> None:
    """Law 5: everything was read, and what was received is the sum of what became of it."""
    fates = {"taken": 0, "duplicate": 0, "ahead": 0, "quarantined": 0}
    read = 0
    for partition in range(Topology.topics[topic]):
        place = TopicPartition(topic, partition)
        at = node.engine.books.positions.get(place)
        end = pair.broker.end(place)
        assert end == (at.next if at else 0)
        read += end
        for fate in fates if at else ():
            fates[fate] += getattr(at, fate)
    assert sum(fates.values()) == read
    with node.ledger.read() as connection:
        entries = [decode(blob) for blob in connection.execute(select(tables.log.c.entry)).scalars()]
        samples = connection.execute(select(func.count()).select_from(tables.quarantine)).scalar()
    taken = [entry for entry in entries if entry.kind is Kind.IN]
    assert len(taken) == fates["taken"]
    assert {entry.outcome for entry in taken} <= {"applied", "refused", "waiting", "parked"}
    assert samples == fates["quarantined"]


def check_honest(pair: Pair, case: str = CASE) -> None:
    """What an honest sender hands over now is applied and receipted."""
    before = pair.answer.notes(case)
    pair.ask.act(case)
    pair.settle()
    assert pair.answer.notes(case) == (*before, "0")
    lane = pair.ask.lane(outward=True, case=case)
    assert lane.mark == lane.number
    assert pair.ask.problems() == pair.answer.problems() == []


@fuzz(0.2)
@given(
    data=st.data(),
    floods=st.lists(st.lists(changes, min_size=1, max_size=3), min_size=1, max_size=12),
)
def test_garbage_stops_no_lane(pairs: Pairs, data: st.DataObject, floods: Sequence[Sequence[Change]]) -> None:
    with pairs() as pair:
        for case in (CASE, "1-b"):
            pair.ask.act(case)
        pair.settle()
        real = [
            record
            for topic in ("kuayu.answer.2", "kuayu.receipts.1")
            for partition in range(Topology.topics[topic])
            for record in pair.broker.records(topic, partition)
        ]
        write(pair, [changed(data.draw(st.sampled_from(real)), what) for what in floods])
        pair.settle()
        check_sums(pair, pair.answer, "kuayu.answer.2")
        check_honest(pair)
        pair.answer.restart()  # and what was kept of it opens again
        check_honest(pair)


@fuzz(0.2)
@given(floods=st.lists(st.lists(changes, max_size=2), min_size=1, max_size=8))
def test_a_hostile_sender_harms_only_its_own_lane(pairs: Pairs, floods: Sequence[Sequence[Change]]) -> None:
    """It is a sender by agreement (2/ask), continues its lane as it must, and sends what it likes."""
    with pairs() as pair:
        pair.ask.act(CASE)
        pair.settle()
        [real] = pair.broker.records("kuayu.answer.2", 0)
        previous = bytes(32)
        for number, what in enumerate(floods, 1):
            own = [
                Change("set", env.SOURCE, b"2/ask"),
                Change("set", env.LANE, b"kuayu.ask.2/0>kuayu.answer.2/0"),
                Change("set", env.SEQUENCE, b"%d" % number),
                Change("set", env.SUBJECT, OTHER.encode()),
                Change("key", value=OTHER.encode()),
            ]
            record = continued(changed(real, [*own, *what]), previous)
            previous = hash_of(record)
            write(pair, [record])
        pair.settle()
        check_sums(pair, pair.answer, "kuayu.answer.2")
        check_honest(pair)
        pair.answer.restart()
        check_honest(pair)


def hash_of(record: Record) -> bytes:
    try:
        return bytes.fromhex((dict(record.headers).get(env.LANE_HASH) or b"").decode())
    except ValueError:
        return b""


numbers = st.integers(-1, 4) | st.sampled_from([-(2**63), 2**63 - 1])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
lanes = st.sampled_from([LANE, "kuayu.ask.1/0>kuayu.answer.2/7", "kuayu.answer.2/0>kuayu.ask.1/0", ""])
receipts = st.builds(
    Receipt,
    lane=lanes,
    incarnation=numbers,
    from_number=numbers,
    to_number=numbers,
    hash_at_to=st.sampled_from([b"true", bytes(32)]) | st.binary(max_size=33),
    exceptions=st.lists(
        st.builds(
            ReceiptException, number=numbers, status=st.sampled_from(ReceiptStatus), code=texts, reason=texts
        ),
        max_size=3,
    ).map(tuple),
    receiver_incarnation=numbers,
    receiver_row=numbers,
    issued_at=st.just(NOON),
)
requests = st.builds(
    ResendRequested,
    lane=lanes,
    incarnation=numbers,
    from_number=numbers,
    receiver_incarnation=numbers,
    issued_at=st.just(NOON),
)


@fuzz(0.2)
@given(said=st.lists(receipts | requests, min_size=1, max_size=8))
def test_a_false_receipt_harms_only_the_lane_it_speaks_of(
    pairs: Pairs, said: Sequence[Receipt | ResendRequested]
) -> None:
    """Where its hash is true it is as good as a true one (seals will tell them apart); nothing else may go wrong."""
    with pairs() as pair:
        for _ in range(3):
            pair.ask.act(CASE)
        pair.settle()
        hashes = [hash_of(record) for record in pair.broker.records("kuayu.answer.2", 0)]
        [*_, real] = pair.broker.records("kuayu.receipts.1")
        for each in said:
            data = each
            if (
                isinstance(each, Receipt)
                and each.hash_at_to == b"true"
                and 1 <= each.to_number <= len(hashes)
            ):
                data = msgspec.structs.replace(each, hash_at_to=hashes[each.to_number - 1])
            body, schema = CODEC.encode(data)
            what = [
                Change("set", env.SUBJECT, data.lane.encode()),
                Change("set", env.DATASCHEMA, (env.SCHEMA_PREFIX + schema.digest.hex()).encode()),
                Change("key", value=data.lane.encode()),
                Change("body", value=body),
            ]
            write(pair, [changed(real, what)])
        pair.settle()
        check_honest(pair, OTHER_LANE)
        place = TopicPartition("kuayu.receipts.1", 0)
        assert pair.ask.engine.books.positions[place].next == pair.broker.end(place)
        pair.ask.restart()
        check_honest(pair, OTHER_LANE)
