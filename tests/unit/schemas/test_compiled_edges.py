"""Where an encoding changes its length or shape, and what the specification does not allow."""

import math
import struct
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import BadPayload, Schema, decode, encode
from tests.unit.schemas.compiled import (
    EPOCH,
    INSTANT,
    SCALARS,
    Json,
    by_fastavro,
    of_fastavro,
    sample,
)

ARRAY = sample({"name": "x", "type": {"type": "array", "items": "long"}}, {"name": "y", "type": "int"})
MAP = sample({"name": "x", "type": {"type": "map", "values": "long"}})


def long(number: int) -> bytes:
    return encode(sample({"name": "x", "type": "long"}), {"x": number})[5:]


@given(
    blocks=st.lists(st.lists(SCALARS["long"], min_size=1, max_size=150), max_size=4),
    sized=st.lists(st.booleans(), min_size=4, max_size=4),
)
def test_arrays_are_read_in_any_blocks_with_and_without_their_sizes(
    blocks: list[list[int]], sized: list[bool]
) -> None:
    body = b""
    for block, with_size in zip(blocks, sized, strict=False):
        items = b"".join(map(long, block))
        body += long(-len(block)) + long(len(items)) + items if with_size else long(len(block)) + items
    payload = encode(ARRAY, {"x": [], "y": 7})[:5] + body + b"\0" + long(7)
    assert decode(payload, ARRAY) == {"x": [item for block in blocks for item in block], "y": 7}
    assert decode(payload, ARRAY) == of_fastavro(ARRAY, payload)


def test_maps_are_read_in_blocks_too() -> None:
    first, second = b"\2a" + long(1), b"\2b" + long(2)
    body = long(-1) + long(len(first)) + first + long(1) + second + b"\0"
    payload = encode(MAP, {"x": {}})[:5] + body
    assert decode(payload, MAP) == {"x": {"a": 1, "b": 2}} == of_fastavro(MAP, payload)


@pytest.mark.parametrize("count", [64, 2**20, 2**62, -1, -64, -(2**20), -(2**63)])
def test_a_block_of_more_items_than_bytes_takes_no_time_and_no_memory(count: int) -> None:
    nothing = Schema(
        {
            "type": "record",
            "name": "kuayu.Sample",
            "fields": [{"name": "x", "type": {"type": "array", "items": {"type": "map", "values": "null"}}}],
        }
    )
    head = encode(nothing, {"x": []})[:5]
    inner = long(count) + (long(0) if count < 0 else b"")
    assert decode(head + b"\2\2\2a\0\0", nothing) == {"x": [{"a": None}]}
    tracemalloc.start()
    try:
        for body in (inner, inner + b"\0", b"\2" + inner, inner * 3):
            with pytest.raises(BadPayload):
                decode(head + body, nothing)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("int", b"\x80\x80\x80\x80\x10"),  # 2**31
        ("long", b"\xff" * 10 + b"\1"),  # eleven bytes
        ("long", b"\xff" * 9 + b"\2"),  # 65 bits
        ("long", b"\xff" * 9),
        ("boolean", b"\2"),
        ("string", b"\3abc"),  # of length -2
        ("string", b"\4\xff\xfe"),
        ("string", b"\4\xed\xa0"),
        ("string", b"\x80\1" + b"x" * 63),
        ("float", b"\0\0\0"),
        ("double", b"\0" * 7),
        ({"type": "fixed", "name": "kuayu.F", "size": 4}, b"abc"),
        ({"type": "enum", "name": "kuayu.E", "symbols": ["a", "b"]}, b"\4"),
        ({"type": "enum", "name": "kuayu.E", "symbols": ["a", "b"]}, b"\1"),  # -1
        (["null", "int"], b"\4\0"),
        (["null", "int"], b"\1\0"),
        ({"type": "array", "items": "int"}, b"\2\0\x80\0"),  # an end in two bytes
        (INSTANT, b"\xff" * 9 + b"\1"),
    ],
)
def test_what_the_specification_does_not_allow_is_refused(kind: Json, body: bytes) -> None:
    schema = sample({"name": "x", "type": kind})
    with pytest.raises(BadPayload, match="is no kuayu"):
        decode(struct.pack(">bI", 0, schema.id) + body, schema)


@pytest.mark.parametrize("kind", ["int", "long"])
@pytest.mark.parametrize("power", [5, 6, 7, 10, 12, 13, 14, 19, 20, 21, 26, 27, 28, 30])
def test_numbers_are_right_where_their_length_changes(kind: str, power: int) -> None:
    schema = sample({"name": "x", "type": kind})
    for number in {sign * (1 << power) + more for sign in (-1, 1) for more in (-1, 0, 1)}:
        payload = encode(schema, {"x": number})
        assert payload == by_fastavro(schema, {"x": number})
        assert decode(payload, schema) == {"x": number}


@pytest.mark.parametrize("length", [0, 1, 63, 64, 1023, 1024, 8191, 8192, 100_000])
@pytest.mark.parametrize(
    "kind", ["string", "bytes", ["null", "string"], ["string", "null"], ["null", "bytes"]]
)
def test_strings_are_right_where_their_length_takes_another_byte(kind: Json, length: int) -> None:
    schema = sample({"name": "x", "type": kind})
    value = {"x": b"x" * length if "bytes" in kind else "x" * length}
    payload = encode(schema, value)
    assert payload == by_fastavro(schema, value)
    assert decode(payload, schema) == value


@pytest.mark.parametrize("millis", [0, -1, 1 << 34, 1 << 41, 253_402_214_399_999, -62_135_510_400_000])
@pytest.mark.parametrize("kind", [INSTANT, ["null", INSTANT], [INSTANT, "null"]])
def test_instants_are_right_where_their_length_changes(millis: int, kind: Json) -> None:
    schema = sample({"name": "x", "type": kind})
    for near in (millis - 1, millis, millis + 1):
        at = EPOCH + timedelta(milliseconds=near) if near >= -62_135_510_400_000 else EPOCH
        if at.date() > date(9999, 12, 30):
            continue
        payload = encode(schema, {"x": at})
        assert payload == by_fastavro(schema, {"x": at})
        assert decode(payload, schema) == {"x": at}


@pytest.mark.parametrize("apart", [timedelta(milliseconds=1), timedelta(seconds=9, milliseconds=7)])
def test_more_instants_than_are_kept_are_read_right_again_and_again(apart: timedelta) -> None:
    schema = sample({"name": "x", "type": {"type": "array", "items": INSTANT}})
    value = {"x": [EPOCH + timedelta(days=20_000) + n * apart for n in range(2_500)] * 2}
    assert decode(encode(schema, value), schema) == value
    assert encode(schema, value) == by_fastavro(schema, value)


@given(st.integers(1 << 34, 1 << 41), st.binary(max_size=6))
def test_an_instant_spoiled_anywhere_is_read_as_fastavro_reads_it(millis: int, spoiled: bytes) -> None:
    """What is kept of an instant that was read must serve no other."""
    schema = sample({"name": "x", "type": INSTANT}, {"name": "y", "type": "bytes"})
    payload = encode(schema, {"x": EPOCH + timedelta(milliseconds=millis), "y": bytes(6)})
    decode(payload, schema)
    other = payload[:5] + spoiled + payload[5 + len(spoiled) :]
    try:
        read = decode(other, schema)
    except BadPayload:
        return
    assert read == fastavro.schemaless_reader(BytesIO(other[5:]), schema.parsed, None)


def test_an_hour_that_comes_twice_is_two_hours() -> None:
    """Two times of one zone are equal although a clock was put back between them (PEP 495)."""
    schema = sample({"name": "x", "type": INSTANT})
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    for at in (first, first.replace(fold=1), first.astimezone(UTC)):
        assert encode(schema, {"x": at}) == by_fastavro(schema, {"x": at})


def test_more_arrays_inside_each_other_than_python_nests_loops() -> None:
    kind: Json = "int"
    value: Any = 5
    for _ in range(30):
        kind, value = {"type": "array", "items": kind}, [value]
    schema = sample({"name": "x", "type": kind})
    assert decode(encode(schema, {"x": value}), schema) == {"x": value}
    assert encode(schema, {"x": value}) == by_fastavro(schema, {"x": value})


def test_names_never_become_code() -> None:
    field = "x'] or __import__('os')\nraise SystemExit"
    schema = Schema(
        {
            "type": "record",
            "name": "kuayu.A\nraise SystemExit",
            "fields": [{"name": field, "type": {"type": "enum", "name": "kuayu.1'", "symbols": ["'a"]}}],
        }
    )
    assert decode(encode(schema, {field: "'a"}), schema) == {field: "'a"}


def test_not_a_number_passes() -> None:
    schema = sample({"name": "x", "type": "double"})
    assert math.isnan(decode(encode(schema, {"x": math.nan}), schema)["x"])
