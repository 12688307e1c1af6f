"""The schemas that Avro implementations are tried with: interop, handshake, recursive lists and trees, logical types.

After those in Apache Avro's `share/test/schemas` and in the specification's examples. They stand in normal form, because the
gate for contracts (`normal_form`) refuses some of them on purpose: recursion, and values that take no bytes.
"""

import uuid
from datetime import UTC, date, datetime, time
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest

from schemas import BadPayload, Invalid, Schema, SchemaError, decode, encode, normal_form

Json = Any


def record(name: str, fields: dict[str, Json]) -> dict[str, Json]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": field, "type": kind} for field, kind in fields.items()],
    }


MD5 = {"type": "fixed", "name": "org.apache.avro.MD5", "size": 16}
NODE = record(
    "org.apache.avro.Node",
    {"label": "string", "children": {"type": "array", "items": "org.apache.avro.Node"}},
)
INTEROP = record(
    "org.apache.avro.Interop",
    {
        "intField": "int",
        "longField": "long",
        "stringField": "string",
        "boolField": "boolean",
        "floatField": "float",
        "doubleField": "double",
        "bytesField": "bytes",
        "nullField": "null",
        "arrayField": {"type": "array", "items": "double"},
        "mapField": {"type": "map", "values": record("org.apache.avro.Foo", {"label": "string"})},
        "unionField": ["boolean", "double", {"type": "array", "items": "bytes"}],
        "enumField": {"type": "enum", "name": "org.apache.avro.Kind", "symbols": ["A", "B", "C"]},
        "fixedField": MD5,
        "recordField": NODE,
    },
)
INTEROP_DATA = {
    "intField": 12,
    "longField": 15_234_324,
    "stringField": "hey 你好 🙂",
    "boolField": True,
    "floatField": 1234.0,
    "doubleField": -5432.6,
    "bytesField": b"\x12\x00\xff",
    "nullField": None,
    "arrayField": [5.0, 0.0, 12.0],
    "mapField": {"a": {"label": "a"}, "bee": {"label": "cee"}},
    "unionField": 12.0,
    "enumField": "C",
    "fixedField": b"1019181716151413",
    "recordField": {"label": "blah", "children": [{"label": "inner", "children": []}]},
}
HANDSHAKE = record(
    "org.apache.avro.ipc.HandshakeRequest",
    {
        "clientHash": {"type": "fixed", "name": "org.apache.avro.ipc.MD5", "size": 16},
        "clientProtocol": ["null", "string"],
        "serverHash": "org.apache.avro.ipc.MD5",
        "meta": ["null", {"type": "map", "values": "bytes"}],
    },
)
LIST = record("test.LongList", {"value": "long", "next": ["null", "test.LongList"]})
LISP = record(
    "org.apache.avro.Lisp",
    {
        "value": [
            "null",
            "string",
            record(
                "org.apache.avro.Cons",
                {"car": ["org.apache.avro.Lisp", "null"], "cdr": ["org.apache.avro.Lisp", "null"]},
            ),
        ]
    },
)
LOGICAL = record(
    "test.Logical",
    {
        "date": {"type": "int", "logicalType": "date"},
        "time_millis": {"type": "int", "logicalType": "time-millis"},
        "time_micros": {"type": "long", "logicalType": "time-micros"},
        "timestamp_millis": {"type": "long", "logicalType": "timestamp-millis"},
        "timestamp_micros": {"type": "long", "logicalType": "timestamp-micros"},
        "local_millis": {"type": "long", "logicalType": "local-timestamp-millis"},
        "local_micros": {"type": "long", "logicalType": "local-timestamp-micros"},
        "decimal": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        "fixed_decimal": {
            "type": "fixed",
            "name": "test.D",
            "size": 8,
            "logicalType": "decimal",
            "precision": 12,
            "scale": 3,
        },
        "uuid": {"type": "string", "logicalType": "uuid"},
        "duration": {"type": "fixed", "name": "test.Duration", "size": 12, "logicalType": "duration"},
        "unheard_of": {"type": "long", "logicalType": "nobody-knows"},
    },
)
LOGICAL_DATA = {
    "date": date(2026, 1, 4),
    "time_millis": time(23, 59, 59, 999_000),
    "time_micros": time(0, 0, 0, 1),
    "timestamp_millis": datetime(2026, 1, 4, 9, 30, 0, 123_000, UTC),
    "timestamp_micros": datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC),
    "local_millis": datetime(2026, 1, 4, 9, 30, 0, 123_000),  # noqa: DTZ001 - local on purpose
    "local_micros": datetime(2026, 1, 4, 9, 30, 0, 123_456),  # noqa: DTZ001
    "decimal": Decimal("-1234567.89"),
    "fixed_decimal": Decimal("12345.678"),
    "uuid": uuid.UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6"),
    "duration": bytes(range(12)),
    "unheard_of": -1,
}
PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]
ALL_NULL: dict[str, Json] = {"label": "", "children": []}

CASES: list[tuple[str, Json, Json]] = [
    ("interop", INTEROP, INTEROP_DATA),
    ("interop, other branch", INTEROP, INTEROP_DATA | {"unionField": [b"", b"x" * 100]}),
    ("interop, first branch", INTEROP, INTEROP_DATA | {"unionField": False}),
    ("tree", NODE, {"label": "r", "children": [ALL_NULL, {"label": "l", "children": [ALL_NULL] * 70}]}),
    (
        "handshake",
        HANDSHAKE,
        {
            "clientHash": bytes(16),
            "clientProtocol": None,
            "serverHash": b"\xff" * 16,
            "meta": {"a": b"", "b": b"\0"},
        },
    ),
    (
        "handshake without",
        HANDSHAKE,
        {"clientHash": bytes(16), "clientProtocol": "{}", "serverHash": bytes(16), "meta": None},
    ),
    (
        "linked list",
        LIST,
        {"value": 1, "next": {"value": -(2**63), "next": {"value": 2**63 - 1, "next": None}}},
    ),
    (
        "lisp",
        LISP,
        {"value": {"car": {"value": "a"}, "cdr": {"value": {"car": None, "cdr": {"value": None}}}}},
    ),
    ("logical types", LOGICAL, LOGICAL_DATA),
    *(
        (f"logical {name}", record("test.One", {name: kind}), {name: LOGICAL_DATA[name]})
        for name, kind in ((field["name"], field["type"]) for field in LOGICAL["fields"])
    ),
    *(
        (f"optional {name}", record("test.One", {name: ["null", kind]}), {name: LOGICAL_DATA[name]})
        for name, kind in ((field["name"], field["type"]) for field in LOGICAL["fields"])
    ),
    (
        "weather",
        record("test.Weather", {"station": "string", "time": "long", "temp": "int"}),
        {"station": "011990-99999", "time": -619_524_000_000, "temp": -11},
    ),
    ("no fields", record("test.Empty", {}), {}),
    (
        "union of all",
        record("test.Union", {"u": [*PRIMITIVES, {"type": "map", "values": "int"}, MD5]}),
        {"u": {"a": 1}},
    ),
    (
        "union of records",
        record("test.Union", {"u": [record("test.A", {"a": "int"}), record("test.B", {"b": "int"})]}),
        {"u": {"b": 1}},
    ),
    ("union of one", record("test.Union", {"u": ["int"]}), {"u": 1}),
    (
        "maps of arrays of maps",
        record(
            "test.Nested",
            {
                "x": {
                    "type": "map",
                    "values": {"type": "array", "items": {"type": "map", "values": ["null", "long"]}},
                }
            },
        ),
        {"x": {"": [], "a": [{}, {"b": None, "c": 7}]}},
    ),
    (
        "spec's example of a record",
        record("test", {"a": "long", "b": "string"}),
        {"a": 27, "b": "foo"},
    ),
    (
        "one name in two namespaces",
        record("a.R", {"x": record("b.R", {"y": "int"}), "z": "b.R"}),
        {"x": {"y": 1}, "z": {"y": 2}},
    ),
    (
        "a field named as Python's words",
        record("class", {"def": "int", "None": "int", "out": "int", "d": "int", "i": "int"}),
        {"def": 1, "None": 2, "out": 3, "d": 4, "i": 5},
    ),
]


@pytest.mark.parametrize(("normal", "data"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_bytes_and_the_data_are_those_of_fastavro(normal: Json, data: Json) -> None:
    schema = Schema(normal)
    out = BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, data)
    payload = encode(schema, data)
    assert payload[5:] == out.getvalue()
    found = decode(payload, schema)
    assert repr(found) == repr(fastavro.schemaless_reader(BytesIO(out.getvalue()), schema.parsed, None))
    assert found == data
    for end in range(5, len(payload)):
        with pytest.raises(BadPayload):
            decode(payload[:end], schema)


def test_the_specification_s_own_bytes() -> None:
    schema = Schema(record("test", {"a": "long", "b": "string"}))
    assert encode(schema, {"a": 27, "b": "foo"})[5:] == bytes.fromhex("36 06 66 6f 6f")
    numbers = Schema(record("test", {"x": {"type": "array", "items": "long"}}))
    assert encode(numbers, {"x": [3, 27]})[5:] == bytes.fromhex("04 06 36 00")
    optional = Schema(record("test", {"x": ["null", "string"]}))
    assert encode(optional, {"x": None})[5:] == bytes.fromhex("00")
    assert encode(optional, {"x": "a"})[5:] == bytes.fromhex("02 02 61")
    zigzag = Schema(record("test", {"x": "int"}))
    told = {0: "00", -1: "01", 1: "02", -2: "03", 2: "04", -64: "7f", 64: "80 01"}
    assert {number: encode(zigzag, {"x": number})[5:].hex(" ") for number in told} == told


def test_a_list_too_long_to_be_nested_is_refused_both_ways() -> None:
    schema = Schema(LIST)
    head = encode(schema, {"value": 0, "next": None})[:5]
    with pytest.raises(BadPayload, match="RecursionError"):
        decode(head + b"\0\2" * 50_000 + b"\0\0", schema)
    data: Json = None
    for _ in range(50_000):
        data = {"value": 0, "next": data}
    with pytest.raises(Invalid, match="too deep"):
        encode(schema, data)
    round_about: Json = {"value": 0}
    round_about["next"] = round_about
    with pytest.raises(Invalid, match="contains itself"):
        encode(schema, round_about)


@pytest.mark.parametrize("normal", [INTEROP, NODE, LIST, LISP])
def test_as_contracts_they_are_refused(normal: Json) -> None:
    with pytest.raises(SchemaError):
        normal_form(normal)
