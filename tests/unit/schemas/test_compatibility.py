"""The verdict on two schemas agrees with what a decoder does with data of the one and the other."""

from typing import Any

import fastavro
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from schemas import BadPayload, Schema, decode, encode, incompatibilities, normal_form

INSTANT = {"type": "long", "logicalType": "timestamp-millis"}


def of_field(kind: Any, **more: Any) -> Schema:
    return Schema(
        normal_form(
            {"type": "record", "name": "kuayu.Sample", "fields": [{"name": "x", "type": kind} | more]}
        )
    )


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "kuayu.E", "symbols": list(symbols)} | more


def inner(*fields: dict[str, Any], name: str = "kuayu.Inner", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)} | more


A = {"name": "a", "type": "int"}
B = {"name": "b", "type": "int"}
B_DEFAULT = {"name": "b", "type": "int", "default": 7}

# writer's type, reader's type, what was written, what is read: Avro 1.12, "Schema Resolution"
READABLE = [
    ("int", "int", 5, 5),
    ("int", "long", 5, 5),
    ("int", "float", 5, 5.0),
    ("int", "double", 5, 5.0),
    ("long", "float", 5, 5.0),
    ("long", "double", 5, 5.0),
    ("float", "double", 0.5, 0.5),
    ("string", "bytes", "é", "é".encode()),
    ({"type": "array", "items": "int"}, {"type": "array", "items": "long"}, [1], [1]),
    ({"type": "map", "values": "int"}, {"type": "map", "values": "double"}, {"k": 1}, {"k": 1.0}),
    (enum("a"), enum("b", "a"), "a", "a"),
    (enum("a", "b"), enum("a", default="a"), "b", "a"),
    (enum("a", name="kuayu.Old"), enum("a", aliases=["Old"]), "a", "a"),
    ({"type": "fixed", "name": "F", "size": 2}, {"type": "fixed", "name": "F", "size": 2}, b"ab", b"ab"),
    ("int", ["null", "int"], 5, 5),
    ("int", ["null", "long"], 5, 5),
    (["null", "int"], ["null", "long"], 5, 5),
    (["null", "int"], ["string", "int", "null"], None, None),
    (["int"], "int", 5, 5),
    (["int", "long"], "double", 5, 5.0),
    (inner(A), inner(A, B_DEFAULT), {"a": 1}, {"a": 1, "b": 7}),
    (inner(A, B), inner(B), {"a": 1, "b": 2}, {"b": 2}),
    (inner(A, B), inner(B, A), {"a": 1, "b": 2}, {"a": 1, "b": 2}),
    (inner(A), inner({"name": "b", "type": "long", "aliases": ["a"]}), {"a": 1}, {"b": 1}),
    (inner(A, name="kuayu.Old"), inner(A, aliases=["kuayu.Old"]), {"a": 1}, {"a": 1}),
    (inner(A), ["null", inner(A)], {"a": 1}, {"a": 1}),
    (INSTANT, ["null", INSTANT], None, None),
]

# writer's type, reader's type, a value that cannot be read, where, why
UNREADABLE = [
    ("long", "int", 5, "Sample.x", "long was written, which cannot be read as int"),
    ("float", "long", 0.5, "Sample.x", "float was written"),
    ("double", "float", 0.5, "Sample.x", "double was written"),
    ("string", "int", "1", "Sample.x", "string was written"),
    ("bytes", "string", b"\xff", "Sample.x", "bytes was written"),
    ("boolean", "int", True, "Sample.x", "boolean was written"),
    (
        {"type": "array", "items": "string"},
        {"type": "array", "items": "int"},
        ["a"],
        "Sample.x[]",
        "string was",
    ),
    (
        {"type": "map", "values": "string"},
        {"type": "map", "values": "int"},
        {"k": "a"},
        "Sample.x[]",
        "string was",
    ),
    (
        {"type": "array", "items": "int"},
        {"type": "map", "values": "int"},
        [1],
        "Sample.x",
        "array was written",
    ),
    (enum("a", "b"), enum("a"), "b", "Sample.x", "symbol b may be written"),
    (enum("a", name="kuayu.Old"), enum("a"), "a", "Sample.x", "enum Old was written and enum E is expected"),
    (enum("a"), "string", "a", "Sample.x", "enum E was written"),
    (
        {"type": "fixed", "name": "F", "size": 2},
        {"type": "fixed", "name": "F", "size": 3},
        b"ab",
        "Sample.x",
        "2 bytes",
    ),
    (["null", "int"], "int", None, "Sample.x", "null was written"),
    ("string", ["null", "int"], "a", "Sample.x", "no branch for the writer's string"),
    (["null", "string"], ["null", "int"], "a", "Sample.x", "no branch for the writer's string"),
    (inner(A), inner(A, B), {"a": 1}, "Sample.x.b", "no such field"),
    (inner(A), ["null", inner(A, B)], {"a": 1}, "Sample.x.b", "no such field"),
    (inner({"name": "a", "type": "string"}), inner(A), {"a": "s"}, "Sample.x.a", "string was written"),
    (inner(A, name="kuayu.Old"), inner(A), {"a": 1}, "Sample.x", "record Old was written"),
]


@pytest.mark.parametrize(("writer", "reader", "value", "read"), READABLE)
def test_what_is_called_readable_is_read(writer: Any, reader: Any, value: Any, read: Any) -> None:
    written, wanted = of_field(writer), of_field(reader)
    assert incompatibilities(reader=wanted.normal, writer=written.normal) == []
    if value is not None or writer != INSTANT:
        found = decode(encode(written, {"x": value}), written, wanted)
        assert found == {"x": read}
        assert type(found["x"]) is type(read)


@pytest.mark.parametrize(("writer", "reader", "value", "where", "why"), UNREADABLE)
def test_what_is_called_unreadable_is_not_read(
    writer: Any, reader: Any, value: Any, where: str, why: str
) -> None:
    written, wanted = of_field(writer), of_field(reader)
    (problem,) = incompatibilities(reader=wanted.normal, writer=written.normal)
    assert problem.where == where
    assert why in problem.reason
    with pytest.raises(BadPayload):
        decode(encode(written, {"x": value}), written, wanted)


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        (INSTANT, "long"),
        ("long", INSTANT),
        (INSTANT, {"type": "long", "logicalType": "timestamp-micros"}),
        ("int", {"type": "int", "logicalType": "date"}),
        ("int", INSTANT),
        (
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2},
            {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 1},
        ),
    ],
)
def test_a_logical_type_may_not_change(writer: Any, reader: Any) -> None:
    (problem,) = incompatibilities(reader=of_field(reader).normal, writer=of_field(writer).normal)
    assert (problem.where, "logical type" in problem.reason) == ("Sample.x", True)


def test_a_new_field_needs_a_default_and_each_missing_one_is_named() -> None:
    problems = incompatibilities(
        reader=normal_form(inner(A, B, B_DEFAULT | {"name": "c"})),
        writer=normal_form(inner(B_DEFAULT | {"name": "d"})),
    )
    assert [problem.where for problem in problems] == ["Inner.a", "Inner.b"]


_TYPES = st.recursive(
    st.sampled_from(["boolean", "int", "long", "float", "double", "bytes", "string"]),
    lambda kinds: st.one_of(
        st.builds(lambda items: {"type": "array", "items": items}, kinds),
        st.builds(lambda one: ["null", one], kinds.filter(lambda kind: not isinstance(kind, list))),
    ),
    max_leaves=3,
)
_ENUM_ENDS = st.tuples(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True), st.booleans())


def _record(kinds: dict[str, Any]) -> dict[str, Any]:
    """A record of these fields; a pair stands for an enum of these symbols, with or without a default."""
    fields = []
    for name, kind in kinds.items():
        if isinstance(kind, tuple):
            symbols, default = kind
            more = {"default": symbols[0]} if default else {}
            fields.append({"name": name, "type": enum(*symbols, name=f"kuayu.{name.upper()}", **more)})
        else:
            fields.append(
                {"name": name, "type": kind} | ({"default": None} if isinstance(kind, list) else {})
            )
    return inner(*fields)


_KINDS = st.dictionaries(st.sampled_from("abcd"), _TYPES | _ENUM_ENDS, min_size=1, max_size=3)


def _evolved(kind: Any) -> st.SearchStrategy[Any]:
    """The type as another version may have it: mostly one that reads it, sometimes not."""
    if isinstance(kind, tuple):
        return st.just(kind) | _ENUM_ENDS
    if isinstance(kind, list):
        return _evolved(kind[1]).map(lambda one: ["null", one])
    if isinstance(kind, dict):
        return _evolved(kind["items"]).map(lambda items: {"type": "array", "items": items})
    same = st.just(kind) | st.just(["null", kind])
    wider = {
        "int": ["long", "float", "double"],
        "long": ["float", "double"],
        "float": ["double"],
        "bytes": ["string"],
    }
    return same | st.sampled_from(wider[kind]) if kind in wider else same


@st.composite
def _versions(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """A writer's schema and a later or earlier one of the same record."""
    kinds = draw(_KINDS)
    names = draw(st.permutations(sorted(kinds)))[: draw(st.integers(1, len(kinds)))]
    later = {name: draw(_evolved(kinds[name])) for name in names}
    if draw(st.booleans()):
        later["new"] = ["null", draw(st.sampled_from(["int", "string"]))]
    return _record(kinds), _record(later)


def _data(kind: Any) -> st.SearchStrategy[Any]:
    if isinstance(kind, list):
        return st.one_of(*map(_data, kind))
    if isinstance(kind, str):
        return {
            "null": st.none(),
            "boolean": st.booleans(),
            "int": st.integers(-(2**31), 2**31 - 1),
            "long": st.integers(-(2**63), 2**63 - 1),
            "float": st.floats(width=32),
            "double": st.floats(),
            "bytes": st.text("ab").map(str.encode),
            "string": st.text("abé"),
        }[kind]
    if kind["type"] == "array":
        return st.lists(_data(kind["items"]), max_size=2)
    if kind["type"] == "enum":
        return st.sampled_from(kind["symbols"])
    return st.fixed_dictionaries({field["name"]: _data(field["type"]) for field in kind["fields"]})


@given(versions=_versions(), data=st.data())
def test_data_of_a_compatible_writer_is_always_read(
    versions: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject
) -> None:
    writer, reader = versions
    written, wanted = Schema(normal_form(writer)), Schema(normal_form(reader))
    assume(not incompatibilities(reader=wanted.normal, writer=written.normal))
    found = decode(encode(written, data.draw(_data(writer))), written, wanted)
    assert fastavro.validation.validate(found, wanted.parsed, raise_errors=False)


@given(kinds=_KINDS)
def test_every_schema_reads_itself(kinds: dict[str, Any]) -> None:
    schema = normal_form(_record(kinds))
    assert incompatibilities(reader=schema, writer=schema) == []
