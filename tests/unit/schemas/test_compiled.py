"""Compiled encoders and decoders say byte for byte what fastavro says, for any schema, and refuse what is none."""

import math
import struct
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas import BadPayload, Codec, Event, Invalid, Schema, decode, encode, load_schemas, normal_form
from schemas.models import EVENTS

Json = Any
Instances = Callable[[type[Any]], st.SearchStrategy[Any]]

INSTANT = {"type": "long", "logicalType": "timestamp-millis"}
DATE = {"type": "int", "logicalType": "date"}
UUID = {"type": "string", "logicalType": "uuid"}
"""A logical type that contracts have not: such a schema is left to fastavro."""
CODEC = Codec(load_schemas())
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "bytes": st.binary(max_size=200),
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=100),
}
INSTANTS = st.integers(-62_135_510_400_000, 253_402_200_000_000).map(
    lambda n: EPOCH + timedelta(milliseconds=n)
)


def types() -> st.SearchStrategy[Json]:
    """Types in all shapes; names are given later."""
    leaves = st.one_of(
        st.sampled_from([*SCALARS, INSTANT, DATE, UUID]),
        st.integers(1, 70).map(lambda n: {"type": "enum", "symbols": [f"s{i}" for i in range(n)]}),
        st.integers(1, 20).map(lambda n: {"type": "fixed", "size": n}),
    )

    def around(inner: st.SearchStrategy[Json]) -> st.SearchStrategy[Json]:
        return st.one_of(
            inner.map(lambda t: {"type": "array", "items": t}),
            inner.map(lambda t: {"type": "map", "values": t}),
            inner.filter(lambda t: not isinstance(t, list)).map(lambda t: ["null", t]),
            inner.filter(lambda t: not isinstance(t, list)).map(lambda t: [t, "null"]),
            st.just(["int", "string", "null"]),
            st.lists(inner, min_size=1, max_size=4).map(
                lambda ts: {
                    "type": "record",
                    "fields": [{"name": f"f{n}", "type": t} for n, t in enumerate(ts)],
                }
            ),
        )

    return st.recursive(leaves, around, max_leaves=8)


def named(node: Json, counter: list[int]) -> Json:
    """The same types, each with a name of its own where it needs one."""
    if isinstance(node, list):
        return [named(branch, counter) for branch in node]
    if isinstance(node, str):
        return node
    out = dict(node)
    if node["type"] in {"record", "enum", "fixed"}:
        counter[0] += 1
        out["name"] = f"kuayu.T{counter[0]}"
    for part in ("items", "values"):
        if part in out:
            out[part] = named(out[part], counter)
    if "fields" in out:
        out["fields"] = [field | {"type": named(field["type"], counter)} for field in out["fields"]]
    return out


def sample(*fields: Json) -> Schema:
    return Schema(normal_form({"type": "record", "name": "kuayu.Sample", "fields": list(fields)}))


SCHEMAS = types().map(lambda node: sample({"name": "x", "type": named(node, [0])}))


def values(node: Json) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - one return a kind
    """Data of a type in normal form; named types are spelled out, as each is used once."""
    if isinstance(node, str):
        return st.none() if node == "null" else SCALARS[node]
    if isinstance(node, list):
        return st.one_of(*map(values, node))
    match node["type"], node.get("logicalType"):
        case _, "timestamp-millis":
            return INSTANTS
        case _, "date":
            return st.dates()
        case _, "uuid":
            return st.uuids()
        case "record", _:
            return st.fixed_dictionaries({field["name"]: values(field["type"]) for field in node["fields"]})
        case "array", _:
            return st.lists(values(node["items"]), max_size=4)
        case "map", _:
            return st.dictionaries(SCALARS["string"], values(node["values"]), max_size=4)
        case "enum", _:
            return st.sampled_from(node["symbols"])
        case "fixed", _:
            return st.binary(min_size=node["size"], max_size=node["size"])
    return SCALARS[node["type"]]


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.dates(),
    st.just("\ud800"),
    st.just(1 << 70),
)


def spoiled(value: Any, data: st.DataObject) -> Any:
    """The value with something else in one place of it."""
    if isinstance(value, dict) and value and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(list(value)))
        return value | {key: spoiled(value[key], data)}
    if isinstance(value, list) and value and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(value) - 1))
        return [*value[:at], spoiled(value[at], data), *value[at + 1 :]]
    return data.draw(JUNK)


def by_fastavro(schema: Schema, data: Any) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, data)
    return struct.pack(">bI", 0, schema.id) + out.getvalue()


def of_fastavro(schema: Schema, payload: bytes) -> Any:
    body = BytesIO(payload[5:])
    found = fastavro.schemaless_reader(body, schema.parsed, None)
    assert not body.read(1)
    return found


def same_as_fastavro(schema: Schema, payload: bytes) -> None:
    """What is taken at all is what fastavro reads; garbage ends in no other error than the one for it."""
    try:
        found = decode(payload, schema)
    except BadPayload:
        return
    assert repr(found) == repr(
        of_fastavro(schema, payload)
    )  # repr: not-a-number is no more equal to itself here


@given(schema=SCHEMAS, data=st.data())
def test_any_data_of_any_schema_are_the_bytes_that_fastavro_writes(
    schema: Schema, data: st.DataObject
) -> None:
    value = data.draw(values(schema.normal))
    payload = encode(schema, value)
    assert payload == by_fastavro(schema, value)
    found = decode(payload, schema)
    assert found == value
    assert repr(found) == repr(of_fastavro(schema, payload))


@given(schema=SCHEMAS, body=st.binary(max_size=100))
def test_garbage_is_refused_or_read_as_fastavro_reads_it(schema: Schema, body: bytes) -> None:
    same_as_fastavro(schema, struct.pack(">bI", 0, schema.id) + body)


@given(schema=SCHEMAS, data=st.data())
def test_damaged_data_are_refused_or_read_as_fastavro_reads_them(schema: Schema, data: st.DataObject) -> None:
    payload = encode(schema, data.draw(values(schema.normal)))
    assume(len(payload) > 5)
    at = data.draw(st.integers(5, len(payload) - 1))
    gone = data.draw(st.integers(0, 3))
    same_as_fastavro(schema, payload[:at] + data.draw(st.binary(max_size=3)) + payload[at + gone :])


@given(schema=SCHEMAS, data=st.data())
def test_no_end_cut_off_is_taken(schema: Schema, data: st.DataObject) -> None:
    payload = encode(schema, data.draw(values(schema.normal)))
    assume(len(payload) > 5)
    with pytest.raises(BadPayload):
        decode(payload[: data.draw(st.integers(5, len(payload) - 1))], schema)
    with pytest.raises(BadPayload, match="left over"):
        decode(payload + b"\0", schema)


@given(schema=SCHEMAS, data=st.data())
def test_spoiled_data_are_refused_or_written_as_fastavro_writes_them(
    schema: Schema, data: st.DataObject
) -> None:
    value = spoiled(data.draw(values(schema.normal)), data)
    try:
        payload = encode(schema, value)
    except Invalid:
        return
    assert payload == by_fastavro(schema, value)


@given(data=st.data(), body=st.binary(max_size=60))
def test_events_are_read_as_fastavro_reads_them_whatever_happens_to_their_bytes(
    data: st.DataObject, body: bytes, instances: Instances
) -> None:
    event: Event = data.draw(st.sampled_from(sorted(EVENTS.values(), key=str)).flatmap(instances))
    payload, schema = CODEC.encode(event)
    same_as_fastavro(schema, payload[:5] + body)
    at = data.draw(st.integers(5, len(payload)))
    same_as_fastavro(schema, payload[:at] + body[: data.draw(st.integers(0, 4))] + payload[at:])


def test_contracts_are_served_without_fastavro(monkeypatch: pytest.MonkeyPatch, contracts: Any) -> None:
    def refuse(*_: Any) -> None:
        pytest.fail("fastavro was asked")

    monkeypatch.setattr(fastavro, "schemaless_reader", refuse)
    monkeypatch.setattr(fastavro, "schemaless_writer", refuse)
    models = contracts.models()
    codec = Codec(load_schemas(contracts.root), models.EVENTS)
    event = models.Asked(asker=models.Person(name="张三"), asked_at=EPOCH, points=(1, -1, 1 << 30))
    payload, schema = codec.encode(event)
    assert codec.decode(payload, schema.digest) == event
    assert encode(schema, decode(payload, schema)) == payload


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
