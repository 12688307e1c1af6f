"""Models say what the schemas say."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import Event, Record, SchemaError, generate, models_drifted


def test_models_are_typed_as_the_schemas(contracts: Any) -> None:
    contracts.files["Asked"]["fields"] += [
        {"name": "sum", "type": {"type": "fixed", "name": "Sum", "doc": "A digest.", "size": 4}},
        {"name": "share", "type": "double", "default": 0.5},
        {"name": "sure", "type": "boolean", "default": False},
        {"name": "word", "type": "string", "default": 'a "quoted" \\ 字'},
        {"name": "raw", "type": ["null", "bytes"], "default": None, "doc": 'Ends with a "quote"'},
        {"name": "helpers", "type": {"type": "array", "items": "Person"}, "default": []},
    ]
    models = contracts.models()
    assert issubclass(models.Asked, Event)
    assert issubclass(models.Person, Record)
    assert not issubclass(models.Person, Event)
    assert dict(models.EVENTS) == {"kuayu.Answered": models.Answered, "kuayu.Asked": models.Asked}
    assert sorted(models.__all__) == ["Answered", "Asked", "EVENTS", "Kind", "Person", "Sum"]
    fields = {field.name: field for field in msgspec.structs.fields(models.Asked)}
    assert {name: field.default for name, field in fields.items() if not field.required} == {
        "helper": None,
        "kind": models.Kind.DAY,
        "points": (),
        "share": 0.5,
        "sure": False,
        "word": 'a "quoted" \\ 字',
        "raw": None,
        "helpers": (),
    }
    person = models.Person
    assert fields["helper"].type.__args__ == (person, type(None))
    assert fields["helpers"].type.__args__ == (person, ...)
    assert [kind.value for kind in models.Kind] == ["fee", "day"]
    assert models.Kind.__doc__ == "What about."
    assert models.Asked.__doc__ == "Somebody asks."


def test_generating_again_changes_nothing(contracts: Any) -> None:
    assert models_drifted(contracts.root)
    assert generate(contracts.root)
    assert not generate(contracts.root)
    assert not models_drifted(contracts.root)
    contracts.files["Asked"]["doc"] = "Somebody wants to know."
    assert models_drifted(contracts.write())


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ({"name": "class", "type": "int"}, "reserved word"),
        ({"name": "x", "type": ["int", "string"]}, r'must be \["null", one other type\]'),
        ({"name": "x", "type": ["null", "int", "string"], "default": None}, "must be"),
        ({"name": "x", "type": {"type": "map", "values": "int"}}, "array of records"),
        ({"name": "x", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4}}, "logical type"),
        ({"name": "x", "type": "Person", "default": {"name": "n"}}, "not a plain value"),
        ({"name": "x", "type": "int", "default": True}, "not a plain value"),
        ({"name": "x", "type": "string", "default": 1}, "not a plain value"),
    ],
)
def test_what_has_no_model_is_refused_by_name(contracts: Any, field: dict[str, Any], reason: str) -> None:
    contracts.files["Asked"]["fields"].append(field)
    with pytest.raises(SchemaError, match=reason) as caught:
        generate(contracts.write())
    assert caught.value.where == f"kuayu.Asked.{field['name']}"


def test_the_commands_work_where_the_models_are_wrong(contracts: Any) -> None:
    """A copy of the package whose models cannot even be imported mends itself."""
    package = contracts.root / "copy" / "schemas"
    source = Path(sys.modules["schemas"].__file__ or "").parent
    for path in [*source.glob("*.py"), source / "catalogue.yaml", *source.glob("avro/**/*.avsc")]:
        target = package / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (package / "models.py").write_text("this is no Python", "utf-8")

    def run(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "schemas", command],
            cwd=package.parent,
            capture_output=True,
            text=True,
            check=False,
        )

    checked = run("check")
    assert (checked.returncode, "models.py: is not what the schemas say" in checked.stdout) == (1, True)
    assert run("generate").stdout == "models.py written\n"
    assert "history/CaseCollected/v1.avsc\n" in run("record").stdout
    assert run("check").stdout == run("lint").stdout == "all is well\n"
    (package / "avro" / "CaseCollected.avsc").write_text("{", "utf-8")
    for command in ("generate", "record"):
        refused = run(command)
        assert (refused.returncode, "CaseCollected.avsc: is not JSON" in refused.stderr) == (1, True)
