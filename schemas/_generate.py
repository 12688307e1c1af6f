"""Typed models from the `.avsc` files: `models.py` is written here and by nobody else."""

import json
import keyword
import textwrap
from pathlib import Path

from schemas._source import NAMESPACE, ROOT, Json, SchemaError, Source

_HEAD = '''\
"""Typed models of all contracts. Generated from the .avsc files by `python -m schemas generate`: never edit."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from schemas._record import Event, Instant, Int, Long, Record
'''

_SCALARS = {
    "null": "None",
    "boolean": "bool",
    "int": "Int",
    "long": "Long",
    "float": "float",
    "double": "float",
    "bytes": "bytes",
    "string": "str",
}
_LOGICAL = {("long", "timestamp-millis"): "Instant", ("int", "date"): "date"}


def models_text(source: Source) -> str:
    """The text of `models.py` for these files.

    Raises:
        SchemaError: a schema that no model can be made for; says where and what would be right.
    """
    known = source.all_definitions()
    writer = _Writer(known, frozenset(source.events))
    classes = [writer.definition(full) for full in known]
    names = [_class_name(full) for full in sorted(source.events)]
    table = "".join(f'    "{NAMESPACE}.{name}": {name},\n' for name in names)
    body = "\n\n".join([*classes, f"EVENTS: Mapping[str, type[Event]] = {{\n{table}}}\n" + _EVENTS_DOC])
    exported = sorted([*map(_class_name, known), "EVENTS"])
    all_text = "__all__ = [\n" + "".join(f'    "{name}",\n' for name in exported) + "]\n"
    return f"{_HEAD}\n{all_text}\n\n{body}"


_EVENTS_DOC = '"""The model of each event type, by the full name of its schema."""\n'


def generate(root: Path = ROOT) -> bool:
    """Writes `models.py` for the `.avsc` files under `root`; True if that changed the file.

    Raises:
        SchemaError: as `models_text`.
    """
    if not models_drifted(root):
        return False
    (root / "models.py").write_text(models_text(Source(root)), "utf-8")
    return True


def models_drifted(root: Path = ROOT) -> bool:
    """Whether `models.py` is not what `generate` would write now."""
    target = root / "models.py"
    return not target.exists() or target.read_text("utf-8") != models_text(Source(root))


def _class_name(full: str) -> str:
    return full.rpartition(".")[2]


class _Writer:
    def __init__(self, known: dict[str, Json], events: frozenset[str]) -> None:
        self._known = known
        self._events = events

    def definition(self, full: str) -> str:
        node = self._known[full]
        name = _class_name(full)
        doc = _docstring(node.get("doc", ""), 4)
        if node["type"] == "enum":
            symbols = "".join(f'    {symbol.upper()} = "{symbol}"\n' for symbol in node["symbols"])
            return f"class {name}(StrEnum):\n{doc}{symbols}"
        if node["type"] == "fixed":
            size = node["size"]
            return f"{name} = Annotated[bytes, Meta(min_length={size}, max_length={size})]\n{doc and doc.strip()}\n"
        base = "Event" if full in self._events else "Record"
        fields = "".join(self._field(field, f"{full}.{field['name']}") for field in node["fields"])
        head = f"class {name}({base}, frozen=True, kw_only=True, forbid_unknown_fields=True):\n"
        return head + ((doc + fields) or "    pass\n")

    def _field(self, field: Json, where: str) -> str:
        name = field["name"]
        if keyword.iskeyword(name):
            raise SchemaError(where, "is a reserved word of Python; choose another field name")
        default = f" = {self._default(field['type'], field['default'], where)}" if "default" in field else ""
        return f"    {name}: {self._type(field['type'], where)}{default}\n" + _docstring(
            field.get("doc", ""), 4
        )

    def _type(self, node: Json, where: str) -> str:
        if isinstance(node, list):
            others = [branch for branch in node if branch != "null"]
            if len(others) != 1 or len(node) > 2:  # noqa: PLR2004 - null and one other
                raise SchemaError(where, 'a union must be ["null", one other type]')
            return (
                f"{self._type(others[0], where)} | None" if "null" in node else self._type(others[0], where)
            )
        if isinstance(node, str):
            return _SCALARS[node] if node in _SCALARS else _class_name(node)
        kind = node["type"]
        if kind == "array":
            return f"tuple[{self._type(node['items'], where)}, ...]"
        if kind == "map":
            raise SchemaError(where, "maps have no field paths; use an array of records with a key field")
        try:
            return _LOGICAL[kind, node["logicalType"]]
        except KeyError:
            usable = ", ".join(f"{logical} ({kind})" for kind, logical in _LOGICAL)
            raise SchemaError(where, f"logical type of {node!r} is not one of {usable}") from None

    def _default(self, node: Json, value: Json, where: str) -> str:
        branch = node[0] if isinstance(node, list) else node
        branch = self._known.get(branch, branch) if isinstance(branch, str) else branch
        kind = branch if isinstance(branch, str) else branch["type"]
        if value is None and kind == "null":
            return "None"
        if kind == "enum" and value in branch["symbols"]:
            return f"{_class_name(branch['name'])}.{value.upper()}"
        if kind == "array" and value == []:
            return "()"
        scalars: dict[str, tuple[type, ...]] = {
            "boolean": (bool,),
            "int": (int,),
            "long": (int,),
            "float": (int, float),
            "double": (int, float),
            "string": (str,),
        }
        if isinstance(branch, str) and type(value) in scalars.get(kind, ()):
            return json.dumps(value, ensure_ascii=False) if kind == "string" else repr(value)
        raise SchemaError(where, f"default {value!r} is not a plain value of the (first) type {kind}")


def _docstring(doc: str, indent: int) -> str:
    if not doc:
        return ""
    safe = doc.strip().replace("\\", "\\\\").replace('"""', "'''")
    if safe.endswith('"'):
        safe += " "
    return textwrap.indent(f'"""{safe}"""\n', " " * indent)
