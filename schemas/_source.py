"""Reading `.avsc` files, and writing any Avro schema in the one form that everything here works on.

The *normal form* of a schema is JSON data in which
- every named type is spelled out where it is used first and called by its full name afterwards, so that the schema
  stands on its own;
- names and aliases are full names, without `namespace`;
- a primitive type with nothing to add is a plain string;
- only what changes how bytes are read or written remains: name, type, fields, symbols, items, values, size, default,
  aliases, logicalType, precision, scale.

Documentation is left out of it on purpose, and with it out of the schema id: an id says how to read bytes, so mending a
sentence must not make every receiver fetch a new schema, nor ask for a new version.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NAMESPACE = "kuayu"
ROOT = Path(__file__).parent
"""Where the committed contracts are: `avro/`, `history/`, `catalogue.yaml`, `models.py`."""

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NAMED = frozenset({"record", "enum", "fixed"})

_KEPT = ("logicalType", "precision", "scale")

Json = Any
"""Any JSON data: what an Avro schema is written in."""


class SchemaError(ValueError):
    """A schema that cannot be used. The message names the place and what would be right."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason


class Source:
    """The `.avsc` files under `root`: event types in `avro/`, shared named types in `avro/types/`.

    `events` and `types` map full names to the JSON data as written.

    Raises:
        SchemaError: a file is not JSON, or holds another type than its name says.
    """

    def __init__(self, root: Path = ROOT) -> None:
        self.events = dict(_read_folder(root / "avro"))
        self.types = dict(_read_folder(root / "avro" / "types"))

    def normal(self, name: str, *, docs: bool = False) -> Json:
        """The normal form of the event type or shared type `name`; with its documentation if `docs`."""
        written = self.events.get(name) or self.types[name]
        return normal_form(written, library=self.types, docs=docs, where=name)

    def all_definitions(self) -> dict[str, Json]:
        """Every named type of these files, documentation included, each after those it is made of.

        Raises:
            SchemaError: one name is defined in two ways.
        """
        found: dict[str, Json] = {}
        for name in [*self.types, *self.events]:
            for full, node in definitions(self.normal(name, docs=True)).items():
                if found.setdefault(full, node) != node:
                    raise SchemaError(
                        name, f"{full} is defined another way elsewhere; make it a file in types/"
                    )
        return found


def _read_folder(folder: Path) -> Iterator[tuple[str, Json]]:
    for path in sorted(folder.glob("*.avsc")):
        try:
            written = json.loads(path.read_text("utf-8"))
        except ValueError as error:
            raise SchemaError(path.name, f"is not JSON: {error}") from error
        expected = f"{NAMESPACE}.{path.stem}"
        if not isinstance(written, dict) or written.get("type") not in NAMED:
            raise SchemaError(path.name, f"must hold the one named type {expected}")
        if (full := full_name(written.get("name"), written.get("namespace"))) != expected:
            raise SchemaError(path.name, f"holds {full!r}, but the file's name stands for {expected!r}")
        yield expected, written


def full_name(name: Json, namespace: str | None) -> str:
    """The full name of `name` seen from `namespace`, by the Avro specification's rule for names."""
    if not isinstance(name, str) or not name:
        raise SchemaError(str(name), "a type needs a name")
    return f"{namespace}.{name}" if namespace and "." not in name else name


def normal_form(
    written: Json, *, library: Mapping[str, Json] | None = None, docs: bool = False, where: str = "schema"
) -> Json:
    """The normal form of a schema as written, with names it does not define taken from `library`.

    Raises:
        SchemaError: not an Avro schema, an unknown name, a recursive type (a decoder of one can be led arbitrarily
            deep by garbage), or a type whose values take no bytes (a few bytes of garbage could claim any number).
    """
    return _Normaliser(library or {}, docs=docs).visit(written, None, where)


def canonical(normal: Json) -> str:
    """JSON data as the one text that its digest is taken of: keys sorted, no blanks, UTF-8 characters as they are."""
    return json.dumps(normal, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def definitions(normal: Json) -> dict[str, Json]:
    """All named types of a schema in normal form by full name, each after those it is made of.

    Inside of each, other named types are only called by name.
    """
    found: dict[str, Json] = {}

    def flat(node: Json) -> Json:
        if isinstance(node, list):
            return [flat(branch) for branch in node]
        if isinstance(node, str):
            return node
        out = node | {part: flat(node[part]) for part in ("items", "values") if part in node}
        if "fields" in node:
            out["fields"] = [field | {"type": flat(field["type"])} for field in node["fields"]]
        if node["type"] not in NAMED:
            return out
        found[node["name"]] = out
        return node["name"]

    flat(normal)
    return found


class _Normaliser:
    def __init__(self, library: Mapping[str, Json], *, docs: bool) -> None:
        self._library = library
        self._docs = docs
        self._known: dict[str, Json] = {}
        self._open: set[str] = set()

    def visit(self, node: Json, namespace: str | None, where: str) -> Json:  # noqa: PLR0911 - one return a kind
        if isinstance(node, str):
            if node == "null":
                raise SchemaError(where, "null stands only in a union")
            return node if node in PRIMITIVES else self._reference(node, namespace, where)
        if isinstance(node, list):
            return [branch if branch == "null" else self.visit(branch, namespace, where) for branch in node]
        if not isinstance(node, dict) or "type" not in node:
            raise SchemaError(where, f"{node!r} is not an Avro schema")
        kind = node["type"]
        if not isinstance(kind, str):
            return self.visit(kind, namespace, where)
        if kind in NAMED:
            return self._named(node, kind, namespace, where)
        if kind in {"array", "map"}:
            part = "items" if kind == "array" else "values"
            inner = self.visit(node.get(part), namespace, f"{where}[]")
            return {"type": kind, part: inner} | self._kept(node)
        if kind in PRIMITIVES:
            kept = self._kept(node)
            return {"type": kind} | kept if kept else kind
        return self._reference(kind, namespace, where)

    def _reference(self, name: str, namespace: str | None, where: str) -> Json:
        for full in (full_name(name, namespace), name):
            if full in self._open:
                raise SchemaError(where, f"{full} contains itself; events are trees")
            if full in self._known:
                return full
            if full in self._library:
                return self.visit(self._library[full], None, where)
        raise SchemaError(where, f"no type named {name!r}; shared types are files in types/")

    def _named(self, node: Json, kind: str, namespace: str | None, where: str) -> Json:
        full = full_name(node.get("name"), node.get("namespace", namespace))
        if full in self._known or full in self._open:
            raise SchemaError(where, f"{full} is defined twice")
        own = full.rpartition(".")[0]
        self._open.add(full)
        out: dict[str, Json] = {"type": kind, "name": full} | self._kept(node) | self._doc(node)
        if aliases := node.get("aliases"):
            out["aliases"] = [full_name(alias, own) for alias in aliases]
        if kind == "record":
            if not node.get("fields") or not isinstance(node["fields"], list):
                raise SchemaError(where, f"record {full} needs a list of at least one field")
            out["fields"] = [self._field(field, own, where) for field in node["fields"]]
        elif kind == "enum":
            if not node.get("symbols") or not isinstance(node["symbols"], list):
                raise SchemaError(where, f"enum {full} needs a list of symbols")
            out["symbols"] = node["symbols"]
            if "default" in node:
                out["default"] = node["default"]
        else:
            if not isinstance(node.get("size"), int) or node["size"] < 1:
                raise SchemaError(where, f"fixed {full} needs a size of at least 1 byte")
            out["size"] = node["size"]
        self._open.remove(full)
        self._known[full] = out
        return out

    def _field(self, field: Json, namespace: str, where: str) -> Json:
        if not isinstance(field, dict) or not isinstance(field.get("name"), str) or "type" not in field:
            raise SchemaError(where, f"{field!r} is not a field: it needs name and type")
        inner = self.visit(field["type"], namespace, f"{where}.{field['name']}")
        out: dict[str, Json] = {"name": field["name"], "type": inner} | self._doc(field)
        if "default" in field:
            out["default"] = field["default"]
        if field.get("aliases"):
            out["aliases"] = field["aliases"]
        return out

    def _kept(self, node: Json) -> dict[str, Json]:
        return {key: node[key] for key in _KEPT if key in node}

    def _doc(self, node: Json) -> dict[str, Json]:
        return {"doc": node["doc"]} if self._docs and node.get("doc") else {}
