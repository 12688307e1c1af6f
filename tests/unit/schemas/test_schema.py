"""A schema's id is what it says: the same for every spelling, another for every change that bytes could feel."""

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Schema, SchemaError, load_schemas, normal_form, schema_id

INSTANT = {"type": "long", "logicalType": "timestamp-millis"}


def record(*fields: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "kuayu.Sample", "fields": list(fields)} | more


def digest(written: Any) -> bytes:
    return Schema(normal_form(written)).digest


X = {"name": "x", "type": "int"}
BASE = record(X)


@pytest.mark.parametrize(
    "same",
    [
        {"fields": [{"type": "int", "name": "x"}], "name": "kuayu.Sample", "type": "record"},
        {"type": "record", "name": "Sample", "namespace": "kuayu", "fields": [X]},
        record({"name": "x", "type": {"type": "int"}}),
        record({"name": "x", "type": "int", "doc": "What x is."}, doc="What a sample is."),
        record(X, owner="somebody", major=3),
        {"type": BASE},
        record({"name": "x", "type": "int", "aliases": []}),
    ],
)
def test_spelling_and_documentation_do_not_change_the_id(same: Any) -> None:
    assert digest(same) == digest(BASE)


@pytest.mark.parametrize(
    "other",
    [
        record({"name": "y", "type": "int"}),
        record({"name": "x", "type": "long"}),
        record({"name": "x", "type": "int", "default": 0}),
        record({"name": "x", "type": "int", "aliases": ["y"]}),
        record({"name": "x", "type": {"type": "int", "logicalType": "date"}}),
        record({"name": "x", "type": ["null", "int"]}),
        record({"name": "x", "type": ["int", "null"]}),
        record(X, name="kuayu.Other"),
        record(X, name="other.Sample"),
        record(X, aliases=["Old"]),
        record(X, {"name": "y", "type": "int"}),
    ],
)
def test_every_change_that_bytes_could_feel_changes_the_id(other: Any) -> None:
    assert digest(other) != digest(BASE)


def test_the_id_is_the_first_31_bits_of_the_digest_of_the_text() -> None:
    for schema in load_schemas():
        assert schema.digest == hashlib.sha256(schema.text.encode()).digest()
        assert schema.id == schema_id(schema.digest)
        assert 0 <= schema.id < 2**31
        assert format(int.from_bytes(schema.digest, "big"), "0256b")[1:32] == format(schema.id, "031b")
        assert digest(json.loads(schema.text)) == schema.digest


def test_the_text_stands_on_its_own(contracts: Any) -> None:
    schema = load_schemas(contracts.root).by_name("kuayu.Asked")
    assert schema.text == (
        '{"fields":['
        '{"name":"asker","type":{"fields":[{"name":"name","type":"string"},'
        '{"default":null,"name":"phone","type":["null","string"]}],"name":"kuayu.Person","type":"record"}},'
        '{"default":null,"name":"helper","type":["null","kuayu.Person"]},'
        '{"name":"asked_at","type":{"logicalType":"timestamp-millis","type":"long"}},'
        '{"default":"day","name":"kind","type":{"default":"fee","name":"kuayu.Kind","symbols":["fee","day"],"type":"enum"}},'
        '{"default":[],"name":"points","type":{"items":"int","type":"array"}}'
        '],"name":"kuayu.Asked","type":"record"}'
    )
    assert [field["name"] for field in schema.fields] == ["asker", "helper", "asked_at", "kind", "points"]
    assert load_schemas(contracts.root).add(schema.text) == schema


def test_a_change_of_a_shared_type_changes_the_id_of_all_that_use_it(contracts: Any) -> None:
    before = load_schemas(contracts.root)
    contracts.files["types/Person"]["fields"].append(
        {"name": "age", "type": ["null", "int"], "default": None}
    )
    after = load_schemas(contracts.write())
    assert before.by_name("kuayu.Asked").id != after.by_name("kuayu.Asked").id
    assert before.by_name("kuayu.Answered") == after.by_name("kuayu.Answered")


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        (record(), "at least one field"),
        ({"type": "record", "name": "kuayu.Sample"}, "at least one field"),
        ({"type": "record", "fields": [X]}, "needs a name"),
        (record({"name": "x"}), "needs name and type"),
        (record({"name": "x", "type": "Unknown"}), "no type named 'Unknown'"),
        (record({"name": "x", "type": ["null", "kuayu.Sample"]}), "contains itself"),
        (record({"name": "x", "type": "null"}), "only in a union"),
        (record({"name": "x", "type": {"type": "array", "items": "null"}}), "only in a union"),
        (record({"name": "x", "type": {"type": "array"}}), "not an Avro schema"),
        (record({"name": "x", "type": 7}), "not an Avro schema"),
        (record({"name": "x", "type": {"type": "fixed", "name": "F", "size": 0}}), "at least 1 byte"),
        (record({"name": "x", "type": {"type": "enum", "name": "E", "symbols": []}}), "list of symbols"),
        (
            record(*[{"name": n, "type": {"type": "fixed", "name": "F", "size": 1}} for n in "xy"]),
            "defined twice",
        ),
        ("int", "an event is a record"),
    ],
)
def test_what_is_no_usable_schema_is_refused_with_the_reason(
    contracts: Any, written: Any, reason: str
) -> None:
    with pytest.raises(SchemaError, match=reason):
        Schema(normal_form(written))
    schemas = load_schemas(contracts.root)
    with pytest.raises(SchemaError, match=reason):
        schemas.add(json.dumps(written))


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["int", "record", "enum", "array"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "name",
                    "namespace",
                    "fields",
                    "symbols",
                    "items",
                    "values",
                    "size",
                    "default",
                    "aliases",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
)


@given(written=_JSON | st.builds(lambda fields: record(*fields), st.lists(_JSON, max_size=2)))
def test_any_json_is_a_schema_or_told_to_be_none(written: Any) -> None:
    schemas = load_schemas()
    try:
        schema = schemas.add(json.dumps(written))
    except SchemaError:
        return
    assert schemas.by_digest(schema.digest) is schema


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, '{"type":' * 5_000 + '"int"' + "}" * 5_000, '"' + "a" * 300_000 + '"', "NaN"],
)
def test_any_text_is_a_schema_or_told_to_be_none(contracts: Any, text: str) -> None:
    with pytest.raises(SchemaError, match="fetched schema"):
        load_schemas(contracts.root).add(text)


def test_a_fetched_schema_must_be_the_one_asked_for(contracts: Any) -> None:
    schemas = load_schemas(contracts.root)
    expected = Schema(normal_form(BASE))
    with pytest.raises(SchemaError, match="its digest is"):
        schemas.add(json.dumps(record({"name": "y", "type": "int"})), expected.digest)
    with pytest.raises(KeyError):
        schemas.by_digest(expected.digest)
    assert schemas.add(json.dumps(BASE), expected.digest) == expected
    assert schemas.by_id(expected.id) is schemas.by_digest(expected.digest)
    assert "kuayu.Sample" not in schemas.subjects()


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("Asked", "{", "Asked.avsc: is not JSON"),
        ("Asked", '"int"', "must hold the one named type kuayu.Asked"),
        ("Asked", json.dumps(record(X)), "holds 'kuayu.Sample'"),
        ("types/Person", json.dumps({"type": "enum", "name": "Person", "symbols": ["a"]}), "holds 'Person'"),
    ],
)
def test_a_file_holds_the_type_of_its_name(contracts: Any, file: str, text: str, reason: str) -> None:
    (contracts.root / "avro" / f"{file}.avsc").write_text(text, "utf-8")
    with pytest.raises(SchemaError, match=reason):
        load_schemas(contracts.root)
