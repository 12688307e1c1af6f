"""Whatever stands on an inbox or control topic is read as an event, as a receipt, or as garbage with a reason."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus import envelope as env
from bus.receiving import REASON_AT_MOST, Control, Garbage, LaneEvent, Reader
from bus.transport import Record
from schemas import Codec, load_schemas
from tests.fuzz.profile import fuzz
from tests.fuzz.records import NAMES, VALUES, Change, changed, changes
from tests.unit.bus.toys import Pair, Topology


@pytest.fixture(scope="module")
def real(pairs: Callable[[], AbstractContextManager[Pair]]) -> Iterator[list[Record]]:
    """Real records: events of both lanes, and the receipts for them."""
    with pairs() as pair:
        for case in ("1-a", "1-b", "1-c"):
            pair.ask.act(case)
        pair.settle()
        yield [
            record
            for topic, partitions in Topology.topics.items()
            for partition in range(partitions)
            for record in pair.broker.records(topic, partition)
        ]


READER = Reader({"1/ask", "2/answer"}, Codec(load_schemas()), Topology(), {})


def judged(record: Record) -> Any:
    read = READER.read(record)
    assert read is None or isinstance(read, Garbage | LaneEvent | Control)
    if isinstance(read, Garbage):
        assert 0 < len(read.reason) <= REASON_AT_MOST
        assert not read.reason.startswith("can't be read"), "an error that was not thought of"
    return read


def test_the_real_ones_are_read(real: list[Record]) -> None:
    assert {type(judged(record)) for record in real} == {LaneEvent, Control}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("what", ["drop", "set", "twice"])
def test_each_header_may_be_missing_wrong_or_there_twice(real: list[Record], name: str, what: str) -> None:
    for record in (real[0], real[-1]):
        for value in VALUES:
            judged(Change(what, name, value, at=99)(record))


@fuzz(10)
@given(data=st.data(), what=st.lists(changes, min_size=1, max_size=4))
def test_a_changed_record_is_told(real: list[Record], data: st.DataObject, what: Sequence[Change]) -> None:
    judged(changed(data.draw(st.sampled_from(real)), what))


@fuzz(3)
@given(
    topic=st.sampled_from(list(Topology.topics)),
    key=st.none() | st.binary(max_size=30),
    value=st.none() | st.binary(max_size=300),
    headers=st.lists(
        st.tuples(st.sampled_from(NAMES) | st.text(max_size=9), st.none() | st.binary(max_size=30))
    ),
)
def test_any_record_is_told(
    topic: str, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]
) -> None:
    judged(Record(topic, 0, 0, 0, key, value, headers))


def headers_of(record: Record) -> dict[str, bytes]:
    return {name: value for name, value in record.headers if value is not None}


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_no_utc_has_is_malformed(real: list[Record], instant: str) -> None:
    with pytest.raises(env.Malformed, match="ce_time"):
        env.read(env.head_of(headers_of(real[0]) | {env.TIME: instant.encode()}))


@pytest.mark.parametrize("name", [env.TIME, env.RECORDED_AT])
def test_an_instant_as_long_as_a_book_is_kept_in_no_cache(real: list[Record], name: str) -> None:
    long = b"2026-03-02T04:00:00." + b"0" * 100_000 + b"Z"
    with pytest.raises(env.Malformed, match=f"{name}: longer than"):
        env.read(env.head_of(headers_of(real[0]) | {name: long}))


def test_a_lane_as_long_as_a_book_is_kept_in_no_cache() -> None:
    with pytest.raises(env.Malformed, match="ce_lane: longer than"):
        env.LaneName.parse("a" * 100_000 + "/0>kuayu.answer.2/0")


@pytest.mark.parametrize("digest", [b"", b"00", b"00" * 33])
def test_a_digest_of_another_length_is_malformed(real: list[Record], digest: bytes) -> None:
    with pytest.raises(env.Malformed, match="ce_dataschema"):
        env.read(env.head_of(headers_of(real[0]) | {env.DATASCHEMA: b"urn:sha256:" + digest}))
