"""The linter: schemas and catalogue against the house rules, and against each other."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
from fastavro.validation import validate

from schemas._catalogue import CatalogueError, load_catalogue
from schemas._finding import Finding
from schemas._generate import models_text
from schemas._lint_catalogue import lint_catalogue
from schemas._source import NAMESPACE, PRIMITIVES, ROOT, Json, SchemaError, Source, definitions

_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_PASCAL = re.compile(r"([A-Z][a-z0-9]*)+")

_LOGICAL_BY_ENDING = {"_at": "timestamp-millis", "_on": "date", "_date": "date"}
_LOGICAL_TYPES = frozenset(_LOGICAL_BY_ENDING.values())


def lint(root: Path = ROOT) -> list[Finding]:
    """Everything wrong with the schemas and the catalogue under `root`, sorted; empty if all is well."""
    try:
        source = Source(root)
        types = source.all_definitions()
    except SchemaError as error:
        return [Finding(error.where, "schema", error.reason)]
    findings = [finding for full in types for finding in _lint_type(full, types)]
    used = {full for name in source.events for full in definitions(source.normal(name))}
    findings += [_unused(name) for name in source.types if name not in used]
    try:
        models_text(source)
    except SchemaError as error:
        findings.append(Finding(error.where, "model", error.reason))
    try:
        findings += lint_catalogue(source, load_catalogue(root))
    except (CatalogueError, FileNotFoundError) as error:
        findings.append(Finding("catalogue.yaml", "catalogue", str(error)))
    return sorted(findings)


def _unused(name: str) -> Finding:
    return Finding(name, "unused", "no event uses this shared type: use it or delete its file")


def _lint_type(full: str, types: dict[str, Json]) -> Iterator[Finding]:
    node = types[full]
    namespace, _, name = full.rpartition(".")
    if namespace != NAMESPACE:
        yield Finding(full, "namespace", f"must be in namespace {NAMESPACE}")
    if not _PASCAL.fullmatch(name):
        yield Finding(full, "naming", "a type's name is in PascalCase")
    if not node.get("doc"):
        yield Finding(full, "doc", "needs a doc that says what it is")
    for repeated in _repeated(node.get("symbols", [])):
        yield Finding(full, "duplicate", f"symbol {repeated} stands here twice")
    for symbol in node.get("symbols", []):
        if not _SNAKE.fullmatch(symbol):
            yield Finding(f"{full}.{symbol}", "naming", "a symbol is in snake_case")
    if "symbols" in node and node.get("default", node["symbols"][0]) not in node["symbols"]:
        yield Finding(full, "default", f"default {node['default']!r} is none of the symbols")
    fields = node.get("fields", [])
    for repeated in _repeated([field["name"] for field in fields]):
        yield Finding(full, "duplicate", f"field {repeated} stands here twice")
    for field in fields:
        yield from _lint_field(f"{full}.{field['name']}", field, types)


def _lint_field(where: str, field: dict[str, Any], types: dict[str, Json]) -> Iterator[Finding]:
    if not _SNAKE.fullmatch(field["name"]):
        yield Finding(where, "naming", "a field's name is in snake_case")
    kind = field["type"]
    if isinstance(kind, list):
        if kind[0] != "null" or len(kind) != 2:  # noqa: PLR2004 - null and one other
            yield Finding(where, "union", 'a union is ["null", one other type], null first')
        elif "default" not in field or field["default"] is not None:
            yield Finding(where, "union", "what may be null has the default null")
    elif "default" in field and not _fits(field["default"], kind, types):
        yield Finding(where, "default", f"default {field['default']!r} is no value of the type {kind!r}")
    core = kind[-1] if isinstance(kind, list) else kind
    logical = core.get("logicalType") if isinstance(core, dict) else None
    if logical is not None and logical not in _LOGICAL_TYPES:
        yield Finding(
            where, "time", f"logical type {logical} is not used here: {', '.join(sorted(_LOGICAL_TYPES))}"
        )
    for ending, expected in _LOGICAL_BY_ENDING.items():
        named = field["name"].endswith(ending) and _is_plain(core)
        if named and logical != expected:
            yield Finding(where, "time", f"a field named …{ending} has the logical type {expected}")


def _is_plain(core: Json) -> bool:
    return core in PRIMITIVES if isinstance(core, str) else core["type"] in PRIMITIVES


def _fits(default: Json, kind: Json, types: dict[str, Json]) -> bool:
    if isinstance(kind, str) and kind in types:
        node = types[kind]
        return node["type"] == "enum" and default in node["symbols"]
    if isinstance(kind, dict) and kind["type"] == "array":
        return bool(default == [])
    try:
        return bool(validate(default, fastavro.parse_schema(kind), raise_errors=False))
    except (fastavro.schema.SchemaParseException, TypeError):
        return False


def _repeated(values: list[str]) -> list[str]:
    return sorted({value for value in values if values.count(value) > 1})
