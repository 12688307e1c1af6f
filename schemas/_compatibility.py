"""Can data written with one schema be read with another? Avro's rules of schema resolution, asked of the schemas alone.

Source: Apache Avro specification 1.12, "Schema Resolution". Stricter in three points, because the answer is for all data
and our readers are typed: every branch of a writer's union must be readable, bytes are not read as a string (not all bytes
are text), and a logical type may not change.
"""

from typing import Any

from msgspec import Struct

from schemas._source import NAMED, Json, definitions

_PROMOTIONS = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
}


class Incompatibility(Struct, frozen=True, order=True):
    """One reason why a reader cannot read what a writer wrote; `where` is the dotted path of the field."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def incompatibilities(*, reader: Json, writer: Json) -> list[Incompatibility]:
    """Why data written with `writer` cannot always be read with `reader`; empty where it can.

    Both are schemas in normal form, and the top one's name is the first part of each path.
    """
    comparison = _Comparison(definitions(reader), definitions(writer))
    root = reader.get("name", "schema") if isinstance(reader, dict) else "schema"
    comparison.compare(_by_name(reader), _by_name(writer), root.rpartition(".")[2])
    return comparison.found


def _by_name(normal: Json) -> Json:
    return normal["name"] if isinstance(normal, dict) and normal["type"] in NAMED else normal


def _short(node: dict[str, Any]) -> str:
    return str(node["name"]).rpartition(".")[2]


def _label(node: dict[str, Any]) -> str:
    kind = f"{node['type']} {_short(node)}" if "name" in node else str(node["type"])
    return f"{kind} ({node['logicalType']})" if "logicalType" in node else kind


class _Comparison:
    def __init__(self, reader_types: dict[str, Json], writer_types: dict[str, Json]) -> None:
        self._reader_types = reader_types
        self._writer_types = writer_types
        self.found: list[Incompatibility] = []

    def compare(self, reader: Json, writer: Json, where: str) -> None:
        if isinstance(writer, list):
            for branch in writer:
                self.compare(reader, branch, where)
        elif isinstance(reader, list):
            self._one_of(reader, writer, where)
        else:
            self._same_kind(_node(reader, self._reader_types), _node(writer, self._writer_types), where)

    def _one_of(self, reader: list[Json], writer: Json, where: str) -> None:
        """The writer's type must be readable as one branch; the reasons of the branch of its kind are told."""
        before, best = self.found, None
        for branch in reader:
            self.found = []
            self.compare(branch, writer, where)
            if not self.found:
                self.found = before
                return
            if _node(branch, self._reader_types)["type"] == _node(writer, self._writer_types)["type"]:
                best = self.found
        label = _label(_node(writer, self._writer_types))
        self.found = before + (
            best or [Incompatibility(where, f"the reader has no branch for the writer's {label}")]
        )

    def _same_kind(self, reader: dict[str, Any], writer: dict[str, Any], where: str) -> None:
        kind = reader["type"]
        if reader.get("logicalType") != writer.get("logicalType") or any(
            reader.get(part) != writer.get(part) for part in ("precision", "scale")
        ):
            self._say(
                where,
                f"{_label(writer)} was written and {_label(reader)} is expected: a logical type may not change",
            )
        elif kind != writer["type"]:
            if kind not in _PROMOTIONS.get(writer["type"], ()):
                self._say(where, f"{_label(writer)} was written, which cannot be read as {_label(reader)}")
        elif kind == "array":
            self.compare(reader["items"], writer["items"], f"{where}[]")
        elif kind == "map":
            self.compare(reader["values"], writer["values"], f"{where}[]")
        elif kind in NAMED:
            self._named(reader, writer, where)

    def _named(self, reader: dict[str, Any], writer: dict[str, Any], where: str) -> None:
        if _short(reader) != _short(writer) and writer["name"] not in reader.get("aliases", ()):
            self._say(
                where,
                f"{_label(writer)} was written and {_label(reader)} is expected, which has no such alias",
            )
        elif reader["type"] == "record":
            self._fields(reader, writer, where)
        elif reader["type"] == "fixed":
            if reader["size"] != writer["size"]:
                self._say(where, f"{writer['size']} bytes were written and {reader['size']} are expected")
        elif "default" not in reader:
            for symbol in sorted(set(writer["symbols"]) - set(reader["symbols"])):
                self._say(
                    where,
                    f"symbol {symbol} may be written, which the reader lacks, as it lacks a default symbol",
                )

    def _fields(self, reader: dict[str, Any], writer: dict[str, Any], where: str) -> None:
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            names = [field["name"], *field.get("aliases", ())]
            source = next((written[name] for name in names if name in written), None)
            if source is not None:
                self.compare(field["type"], source["type"], f"{where}.{field['name']}")
            elif "default" not in field:
                self._say(
                    f"{where}.{field['name']}",
                    "the writer has no such field, and the reader no default for it",
                )

    def _say(self, where: str, reason: str) -> None:
        self.found.append(Incompatibility(where, reason))


def _node(node: Json, types: dict[str, Json]) -> dict[str, Any]:
    if isinstance(node, dict):
        return node
    found: dict[str, Any] = types.get(node) or {"type": node}
    return found
