"""Every event comes back from its bytes as it was; whatever else comes is told by one of the named errors."""

import struct
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone
from io import BytesIO
from typing import Any

import fastavro
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import (
    BadPayload,
    Codec,
    CodecError,
    Invalid,
    NewerContract,
    Schema,
    UnknownSchema,
    decode,
    encode,
    load_schemas,
    normal_form,
    payload_id,
    whole_millis,
)
from schemas.models import EVENTS

SCHEMAS = load_schemas()
CODEC = Codec(SCHEMAS)
SHANGHAI = timezone(timedelta(hours=8))
AT = datetime(2026, 1, 4, 9, 30, 0, 123000, tzinfo=UTC)
INSTANT = {"type": "long", "logicalType": "timestamp-millis"}

Instances = Callable[[type[Any]], st.SearchStrategy[Any]]


def schema(*fields: dict[str, Any], name: str = "kuayu.Sample") -> Schema:
    return Schema(normal_form({"type": "record", "name": name, "fields": list(fields)}))


def written_by_fastavro(schema: Schema, data: dict[str, Any]) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, data)
    return out.getvalue()


def framed(written: Schema, body: bytes) -> bytes:
    return struct.pack(">bI", 0, written.id) + body


@given(data=st.data())
def test_every_event_comes_back_as_it_was(data: st.DataObject, instances: Instances) -> None:
    event = data.draw(st.sampled_from(sorted(EVENTS.values(), key=str)).flatmap(instances))
    payload, written = CODEC.encode(event)
    assert payload[:5] == struct.pack(">bI", 0, written.id)
    assert CODEC.decode(payload, written.digest) == event
    assert CODEC.decode(payload) == event
    plain = decode(payload, written)
    assert encode(written, plain) == payload
    assert payload[5:] == written_by_fastavro(written, plain)


@given(body=st.binary(max_size=300), written=st.sampled_from(list(SCHEMAS)))
def test_garbage_is_told_and_never_crashes(body: bytes, written: Schema) -> None:
    with suppress(BadPayload):
        assert type(CODEC.decode(framed(written, body), written.digest)) is EVENTS[written.name]


@given(data=st.data())
def test_a_damaged_event_is_told_or_is_another_event(data: st.DataObject, instances: Instances) -> None:
    event = data.draw(st.sampled_from(sorted(EVENTS.values(), key=str)).flatmap(instances))
    payload, written = CODEC.encode(event)
    at = data.draw(st.integers(0, len(payload) - 1))
    junk = data.draw(st.binary(max_size=12))
    damaged = payload[:at] + junk + payload[at + data.draw(st.integers(0, 12)) :]
    try:
        found = CODEC.decode(damaged, written.digest)
    except BadPayload:
        return
    assert type(found) is type(event)


@given(payload=st.binary(max_size=40), digest=st.none() | st.binary(max_size=40))
def test_any_bytes_and_any_digest_end_in_a_named_error(payload: bytes, digest: bytes | None) -> None:
    with pytest.raises(CodecError):
        CODEC.decode(payload, digest)


@pytest.mark.parametrize("length", [2**31, 2**62, -1, -(2**62)])
@pytest.mark.parametrize(
    "kind", ["string", "bytes", {"type": "array", "items": "string"}, {"type": "map", "values": "int"}]
)
def test_a_huge_length_in_garbage_takes_no_memory(kind: Any, length: int) -> None:
    written = schema({"name": "x", "type": kind})
    varint = encode(schema({"name": "x", "type": "long"}), {"x": length})[5:]
    payload = framed(written, varint + b"ab")
    _ = written.parsed
    tracemalloc.start()
    try:
        with pytest.raises(BadPayload):
            decode(payload, written)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_bytes_left_over_are_an_error() -> None:
    written = schema({"name": "x", "type": "int"})
    payload = encode(written, {"x": 5})
    assert decode(payload, written) == {"x": 5}
    with pytest.raises(BadPayload, match="2 bytes are left over"):
        decode(payload + b"ab", written)
    with pytest.raises(BadPayload):
        decode(payload[:-1], written)


def test_the_header_is_read_strictly() -> None:
    with pytest.raises(BadPayload, match="3 bytes"):
        payload_id(b"\0\0\0")
    with pytest.raises(BadPayload, match="0x01"):
        payload_id(b"\x01\0\0\0\5")
    assert payload_id(b"\0\0\0\0\5more") == 5
    one, two = schema({"name": "x", "type": "int"}), schema({"name": "y", "type": "int"})
    with pytest.raises(BadPayload, match=f"names schema {one.id}"):
        decode(encode(one, {"x": 1}), two)


def test_an_unknown_writer_schema_is_named_for_fetching_and_read_once_it_came(contracts: Any) -> None:
    models = contracts.models()
    codec = Codec(load_schemas(contracts.root), models.EVENTS)
    payload, old = codec.encode(models.Answered(text="是"))
    contracts.files["Answered"]["fields"].append(
        {"name": "note", "type": ["null", "string"], "default": None}
    )
    newer_models = contracts.models()
    schemas = load_schemas(contracts.root)
    newer = Codec(schemas, newer_models.EVENTS)
    with pytest.raises(UnknownSchema) as caught:
        newer.decode(payload, old.digest)
    assert (caught.value.id, caught.value.digest) == (old.id, old.digest)
    with pytest.raises(UnknownSchema) as caught:
        newer.decode(payload)
    assert caught.value.digest is None
    schemas.add(old.text, old.digest)
    assert newer.decode(payload, old.digest) == newer_models.Answered(text="是", note=None)
    assert newer.decode(payload) == newer_models.Answered(text="是")


def test_a_digest_that_is_not_the_one_of_the_id_is_told(contracts: Any) -> None:
    models = contracts.models()
    codec = Codec(load_schemas(contracts.root), models.EVENTS)
    payload, written = codec.encode(models.Answered(text="x"))
    same_id = written.digest[:4] + bytes(28)
    with pytest.raises(UnknownSchema):
        codec.decode(payload, same_id)
    for wrong in (bytes(32), written.digest[:31], b""):
        with pytest.raises(BadPayload, match="not that of digest"):
            codec.decode(payload, wrong)


def test_what_no_model_reads_waits_for_a_newer_program(contracts: Any) -> None:
    models = contracts.models()
    schemas = load_schemas(contracts.root)
    codec = Codec(schemas, models.EVENTS)
    other = schemas.add(schema({"name": "x", "type": "int"}, name="kuayu.Later").text)
    with pytest.raises(NewerContract, match=r"kuayu\.Later"):
        codec.decode(encode(other, {"x": 1}), other.digest)
    major2 = schemas.add(schema({"name": "words", "type": "string"}, name="kuayu.Answered").text)
    with pytest.raises(NewerContract, match=r"Answered\.text: the writer has no such field"):
        codec.decode(encode(major2, {"words": "x"}), major2.digest)


WRONG = [
    ({"asker": None}, "asker"),
    ({"asker": {"name": "x"}}, None),
    ({"asked_at": "2026-01-04T00:00:00Z"}, "asked_at"),
    ({"asked_at": AT.replace(tzinfo=None)}, "asked_at"),
    ({"asked_at": AT.replace(microsecond=123_456)}, "asked_at"),
    ({"asked_at": datetime.min.replace(tzinfo=SHANGHAI)}, "asked_at"),
    ({"asked_at": date(2026, 1, 4)}, "asked_at"),
    ({"asked_at": 0}, "asked_at"),
    ({"kind": "other"}, "kind"),
    ({"kind": 0}, "kind"),
    ({"points": (1, 2**31)}, "points[1]"),
    ({"points": (1, True)}, "points[1]"),
    ({"points": (1.0,)}, "points[0]"),
    ({"points": None}, "points"),
    ({"points": "12"}, "points"),
]


@pytest.mark.parametrize(("change", "field"), WRONG)
def test_a_wrong_value_is_refused_by_name(contracts: Any, change: dict[str, Any], field: str | None) -> None:
    models = contracts.models()
    codec = Codec(load_schemas(contracts.root), models.EVENTS)
    good = models.Asked(asker=models.Person(name="张三"), asked_at=AT)
    codec.encode(good)
    changed = msgspec.structs.replace(good, **change)
    if field is None:  # plain data in the place of a record is as good as the record
        assert (
            codec.encode(changed)[0]
            == codec.encode(msgspec.structs.replace(good, asker=models.Person(name="x")))[0]
        )
        return
    with pytest.raises(Invalid) as caught:
        codec.encode(changed)
    assert caught.value.field == field


def test_a_wrong_value_deep_inside_is_named_by_its_path(contracts: Any) -> None:
    models = contracts.models()
    codec = Codec(load_schemas(contracts.root), models.EVENTS)
    with pytest.raises(Invalid) as caught:
        codec.encode(models.Asked(asker=models.Person(name=b"x"), asked_at=AT))
    assert caught.value.field == "asker.name"
    with pytest.raises(Invalid, match="surrogates"):
        codec.encode(models.Answered(text="\ud800"))


PLAIN: list[tuple[Any, dict[str, Any], str]] = [
    ("int", {"x": "1"}, "x"),
    ("int", {"x": True}, "x"),
    ("int", {"x": 2**31}, "x"),
    ("int", {}, "x"),
    ("int", {"x": 1, "y": 1}, ""),
    ("string", {"x": b"1"}, "x"),
    ("bytes", {"x": "1"}, "x"),
    (["null", "string"], {"x": 1}, "x"),
    (["int", "string"], {"x": None}, "x"),
    (["null", "int", "string"], {"x": 1.5}, "x"),
    ("boolean", {"x": 1}, "x"),
    ("float", {"x": 1e300}, "x"),
    ("double", {"x": "1"}, "x"),
    ({"type": "map", "values": "int"}, {"x": {1: 1}}, "x"),
    ({"type": "map", "values": "int"}, {"x": [1]}, "x"),
    ({"type": "record", "name": "R", "fields": [{"name": "y", "type": "int"}]}, {"x": {"y": ""}}, "x.y"),
    ({"type": "record", "name": "R", "fields": [{"name": "y", "type": "int"}]}, {"x": 1}, "x"),
    (INSTANT, {"x": AT.replace(tzinfo=None)}, "x"),
    (INSTANT, {"x": AT + timedelta(microseconds=1)}, "x"),
    (INSTANT, {"x": "now"}, "x"),
    ({"type": "array", "items": INSTANT}, {"x": [AT, AT.replace(tzinfo=None)]}, "x[1]"),
    ({"type": "fixed", "name": "F", "size": 2}, {"x": b"123"}, "x"),
    ({"type": "enum", "name": "E", "symbols": ["a"]}, {"x": "b"}, "x"),
]


@pytest.mark.parametrize(("kind", "data", "field"), PLAIN)
def test_plain_data_is_checked_too(kind: Any, data: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        encode(schema({"name": "x", "type": kind}), data)
    assert caught.value.field == field


@given(
    at=st.datetimes(
        min_value=datetime(1, 1, 2),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, SHANGHAI]),
    )
)
def test_instants_are_exact_to_the_millisecond_and_come_back_in_utc(at: datetime) -> None:
    written = schema({"name": "x", "type": INSTANT})
    exact = whole_millis(at)
    assert timedelta() <= at - exact < timedelta(milliseconds=1)
    found = decode(encode(written, {"x": exact}), written)["x"]
    assert found == exact
    assert found.utcoffset() == timedelta()


@pytest.mark.parametrize(
    ("kind", "millis"),
    [(INSTANT, 2**62), (INSTANT, -(2**62)), ({"type": "int", "logicalType": "date"}, 2**31 - 1)],
)
def test_a_time_beyond_the_calendar_is_bad(kind: Any, millis: int) -> None:
    plain = schema({"name": "x", "type": kind["type"]})
    written = schema({"name": "x", "type": kind})
    with pytest.raises(BadPayload, match="is no kuayu"):
        decode(framed(written, encode(plain, {"x": millis})[5:]), written)


def test_dates_come_back_as_dates(contracts: Any) -> None:
    models = contracts.models()
    codec = Codec(load_schemas(contracts.root), models.EVENTS)
    event = models.Answered(text="", valid_on=date(1969, 12, 31))
    assert codec.decode(codec.encode(event)[0]) == event


def test_models_never_change_and_take_no_unknown_field(contracts: Any) -> None:
    models = contracts.models()
    person = models.Person(name="x")
    with pytest.raises(AttributeError):
        person.name = "y"
    with pytest.raises(msgspec.ValidationError, match="unknown field `age`"):
        msgspec.convert({"name": "x", "age": 1}, models.Person)
    assert models.Asked(asker=person, asked_at=AT).kind is models.Kind.DAY
    assert models.Person.__doc__ == "A natural person."
