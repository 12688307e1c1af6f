"""No change goes out unrecorded, and none that breaks a reader within its major version."""

import json
from typing import Any

import pytest

from schemas import Codec, SchemaError, check, generate, load_schemas, record
from schemas.confluent import (
    RegistryError,
    schema_by_id,
    schema_versions,
    subject_version,
    subject_versions,
    subjects,
)


def rules(found: Any) -> set[tuple[str, str]]:
    return {(finding.where, finding.rule) for finding in found}


@pytest.fixture
def recorded(contracts: Any) -> Any:
    generate(contracts.root)
    assert record(contracts.root) == ["history/Answered/v1.avsc", "history/Asked/v1.avsc"]
    assert check(contracts.root) == []
    return contracts


def optional(name: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "type": ["null", kind], "default": None}


def test_the_committed_contracts_pass() -> None:
    assert check() == []


def test_a_change_must_be_generated_and_recorded(recorded: Any) -> None:
    recorded.files["Answered"]["fields"].append(optional("note"))
    recorded.write()
    assert rules(check(recorded.root)) == {("models.py", "drift"), ("kuayu.Answered", "history")}
    assert generate(recorded.root)
    assert not generate(recorded.root)
    assert record(recorded.root) == ["history/Answered/v2.avsc"]
    assert record(recorded.root) == []
    assert check(recorded.root) == []


def test_documentation_changes_without_a_new_version(recorded: Any) -> None:
    recorded.files["Answered"]["doc"] = "What was answered."
    generate(recorded.write())
    assert check(recorded.root) == []
    assert record(recorded.root) == []


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ([{"name": "text", "type": "string"}], None),
        (
            [{"name": "text", "type": "string"}, {"name": "more", "type": "int"}],
            "kuayu.Answered: Answered.more",
        ),
        ([optional("valid_on", "int")], "kuayu.Answered: Answered.text"),
        ([{"name": "text", "type": "int"}], "kuayu.Answered: Answered.text"),
    ],
)
def test_only_compatible_changes_are_recorded(recorded: Any, fields: Any, where: str | None) -> None:
    recorded.files["Answered"]["fields"] = fields
    generate(recorded.write())
    if where is None:
        assert record(recorded.root) == ["history/Answered/v2.avsc"]
        assert check(recorded.root) == []
        return
    assert (where, "compatibility") in rules(check(recorded.root))
    with pytest.raises(SchemaError, match=where):
        record(recorded.root)
    assert not (recorded.root / "history/Answered/v2.avsc").exists()


def test_compatibility_is_with_all_earlier_versions(recorded: Any) -> None:
    fields = recorded.files["Answered"]["fields"]
    fields.append(optional("note"))
    recorded.write()
    record(recorded.root)
    fields.pop()
    recorded.write()
    record(recorded.root)
    fields.append(optional("note", "int"))  # reads the version before it, but not the one before that
    generate(recorded.write())
    assert rules(check(recorded.root)) == {
        ("kuayu.Answered", "history"),
        ("kuayu.Answered: Answered.note", "compatibility"),
    }


def test_a_new_major_version_may_break(recorded: Any) -> None:
    recorded.files["Answered"]["fields"] = [{"name": "words", "type": "string"}]
    recorded.catalogue["events"]["Answered"]["major"] = 2
    generate(recorded.write())
    assert record(recorded.root) == ["history/Answered/v2.avsc"]
    assert check(recorded.root) == []
    recorded.catalogue["events"]["Answered"]["major"] = 1
    recorded.write()
    assert ("kuayu.Answered", "major") in rules(check(recorded.root))


def test_a_published_event_type_stays(recorded: Any) -> None:
    (recorded.root / "avro" / "Answered.avsc").unlink()
    generate(recorded.root)
    assert rules(check(recorded.root)) == {("kuayu.Answered", "history")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("v3.avsc", None),
        ("v2.avsc", "{"),
        ("v2.avsc", '"string"'),
        (
            "v2.avsc",
            json.dumps({"type": "record", "name": "kuayu.Other", "fields": [{"name": "x", "type": "int"}]}),
        ),
    ],
)
def test_a_damaged_history_is_told(recorded: Any, name: str, text: str | None) -> None:
    folder = recorded.root / "history" / "Answered"
    (folder / name).write_text(text or (folder / "v1.avsc").read_text("utf-8"), "utf-8")
    (finding,) = check(recorded.root)
    assert finding.where == f"history/Answered/{name}"


def test_an_event_of_an_earlier_version_is_read_without_fetching(recorded: Any) -> None:
    old = recorded.models()
    payload, written = Codec(load_schemas(recorded.root), old.EVENTS).encode(old.Answered(text="x"))
    recorded.files["Answered"]["fields"].append(optional("note"))
    new = recorded.models()
    record(recorded.root)
    schemas = load_schemas(recorded.root)
    assert Codec(schemas, new.EVENTS).decode(payload, written.digest) == new.Answered(text="x")
    later, _ = Codec(schemas, new.EVENTS).encode(new.Answered(text="x", note="y"))
    past = load_schemas(recorded.root)
    past_codec = Codec(past, new.EVENTS)
    assert past_codec.decode(later) == new.Answered(text="x", note="y")


def test_the_registry_view(recorded: Any) -> None:
    first = load_schemas(recorded.root).by_name("kuayu.Answered")
    recorded.files["Answered"]["fields"].append(optional("note"))
    recorded.write()
    record(recorded.root)
    schemas = load_schemas(recorded.root)
    second = schemas.by_name("kuayu.Answered")
    assert subjects(schemas) == ["kuayu.Answered", "kuayu.Asked"]
    assert subject_versions(schemas, "kuayu.Answered") == [1, 2]
    assert schema_by_id(schemas, first.id) == {"schema": first.text}
    assert schema_versions(schemas, first.id) == [{"subject": "kuayu.Answered", "version": 1}]
    expected = {"subject": "kuayu.Answered", "id": second.id, "version": 2, "schema": second.text}
    for version in (2, "2", "latest", -1, "-1"):
        assert subject_version(schemas, "kuayu.Answered", version) == expected
    assert subject_version(schemas, "kuayu.Answered", 1)["id"] == first.id


def test_a_schema_that_is_not_recorded_yet_is_the_latest_version(recorded: Any) -> None:
    first = load_schemas(recorded.root).by_name("kuayu.Answered")
    recorded.files["Answered"]["fields"].append(optional("note"))
    recorded.write()
    assert [schema.id for schema in load_schemas(recorded.root).versions("kuayu.Answered")][:1] == [first.id]
    record(recorded.root)
    recorded.files["Answered"]["fields"].pop()
    schemas = load_schemas(recorded.write())
    assert subject_versions(schemas, "kuayu.Answered") == [1, 2, 3]
    assert subject_version(schemas, "kuayu.Answered", "latest")["id"] == first.id


def test_a_fetched_schema_has_an_id_and_no_subject(contracts: Any) -> None:
    schemas = load_schemas(contracts.root)
    fetched = schemas.add('{"type":"record","name":"kuayu.Far","fields":[{"name":"x","type":"int"}]}')
    assert schema_by_id(schemas, fetched.id) == {"schema": fetched.text}
    assert schema_versions(schemas, fetched.id) == []


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (lambda s: schema_by_id(s, 1), 404, 40403),
        (lambda s: schema_versions(s, 1), 404, 40403),
        (lambda s: subject_versions(s, "kuayu.Nothing"), 404, 40401),
        (lambda s: subject_version(s, "kuayu.Nothing", 1), 404, 40401),
        (lambda s: subject_version(s, "kuayu.Asked", 2), 404, 40402),
        (lambda s: subject_version(s, "kuayu.Asked", "0"), 422, 42202),
        (lambda s: subject_version(s, "kuayu.Asked", "-2"), 422, 42202),
        (lambda s: subject_version(s, "kuayu.Asked", "newest"), 422, 42202),
        (lambda s: subject_version(s, "kuayu.Asked", "9" * 5000), 422, 42202),
    ],
)
def test_the_registry_view_refuses_as_confluent_does(
    contracts: Any, ask: Any, status: int, code: int
) -> None:
    with pytest.raises(RegistryError) as caught:
        ask(load_schemas(contracts.root))
    assert (caught.value.status, caught.value.code) == (status, code)
    assert caught.value.body() == {"error_code": code, "message": str(caught.value)}
