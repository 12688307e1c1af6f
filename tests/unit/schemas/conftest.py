"""A small set of contracts of its own for each test, and strategies for instances of any model."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from enum import StrEnum
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
import yaml
from hypothesis import strategies as st

from schemas import generate

INSTANT = {"type": "long", "logicalType": "timestamp-millis"}

PERSON = {
    "type": "record",
    "name": "Person",
    "namespace": "kuayu",
    "doc": "A natural person.",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "phone", "type": ["null", "string"], "default": None},
    ],
}
ASKED = {
    "type": "record",
    "name": "Asked",
    "namespace": "kuayu",
    "doc": "Somebody asks.",
    "fields": [
        {"name": "asker", "type": "Person", "doc": "Who asks."},
        {"name": "helper", "type": ["null", "kuayu.Person"], "default": None},
        {"name": "asked_at", "type": INSTANT},
        {
            "name": "kind",
            "type": {
                "type": "enum",
                "name": "Kind",
                "doc": "What about.",
                "symbols": ["fee", "day"],
                "default": "fee",
            },
            "default": "day",
        },
        {"name": "points", "type": {"type": "array", "items": "int"}, "default": []},
    ],
}
ANSWERED = {
    "type": "record",
    "name": "Answered",
    "namespace": "kuayu",
    "doc": "The answer.",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "valid_on", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
    ],
}
CATALOGUE = {
    "version": 1,
    "stages": ["acceptance", "review", "pickup"],
    "destinations": ["control", "intake", "intake-replies", "supervision"],
    "events": {
        "Asked": {
            "routes": [{"from": "acceptance", "to": "review"}],
            "replies": ["Answered"],
            "personal": ["asker.name", "asker.phone", "helper"],
        },
        "Answered": {"routes": [{"from": "review", "to": "acceptance"}], "replies": [], "personal": []},
    },
}


class Contracts:
    """A folder of contracts that a test may break."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[str, Any] = {
            name: json.loads(json.dumps(value))
            for name, value in {"types/Person": PERSON, "Asked": ASKED, "Answered": ANSWERED}.items()
        }
        self.catalogue: dict[str, Any] = json.loads(json.dumps(CATALOGUE))
        self.write()

    def write(self) -> Path:
        (self.root / "avro" / "types").mkdir(parents=True, exist_ok=True)
        for name, value in self.files.items():
            (self.root / "avro" / f"{name}.avsc").write_text(json.dumps(value), "utf-8")
        (self.root / "catalogue.yaml").write_text(yaml.safe_dump(self.catalogue), "utf-8")
        return self.root

    def models(self) -> ModuleType:
        """The models that are generated for these contracts."""
        generate(self.write())
        spec = spec_from_file_location("generated_models", self.root / "models.py")
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def field(self, file: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(field for field in self.files[file]["fields"] if field["name"] == name)
        return found


@pytest.fixture
def contracts(tmp_path: Path) -> Contracts:
    return Contracts(tmp_path)


_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    bytes: st.binary(max_size=40),
    float: st.floats(allow_nan=False),
    date: st.dates(),
    datetime: st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(  # noqa: DTZ001 - made aware below
        lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000, tzinfo=UTC)
    ),
    type(None): st.none(),
}


def _values(hint: Any) -> st.SearchStrategy[Any]:  # noqa: PLR0911 - one return a kind of type
    if hint in _SCALARS:
        return _SCALARS[hint]
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = get_type_hints(hint, include_extras=True)
        return st.builds(hint, **{name: _values(each) for name, each in hints.items()})
    if hasattr(hint, "__metadata__"):
        base, meta = hint.__origin__, hint.__metadata__[0]
        if base is int:
            return st.integers(meta.ge, meta.le)
        if base is bytes:
            return st.binary(min_size=meta.min_length, max_size=meta.max_length)
        return _values(base)
    if get_origin(hint) is tuple:
        return st.lists(_values(get_args(hint)[0]), max_size=3).map(tuple)
    return st.one_of(*map(_values, get_args(hint)))


@pytest.fixture(scope="session")
def instances() -> Callable[[type[Any]], st.SearchStrategy[Any]]:
    """The strategy of all instances of a model."""
    return _values
