"""Compiled encoders and decoders say byte for byte what fastavro says, for any schema, and refuse what is none."""

import struct
from collections.abc import Callable
from datetime import UTC
from typing import Any

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas import BadPayload, Codec, Event, Invalid, Schema, decode, encode, load_schemas
from schemas.models import EVENTS
from tests.unit.schemas.compiled import (
    CODEC,
    DATE,
    EPOCH,
    INSTANT,
    INSTANTS,
    SCALARS,
    UUID,
    Json,
    by_fastavro,
    of_fastavro,
    same_as_fastavro,
    sample,
)

Instances = Callable[[type[Any]], st.SearchStrategy[Any]]


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
