"""Encoders: from a model, or from plain data, straight to Avro's binary encoding; compiled once for each schema.

One function for each record within another, which appends to a list of bytes; all that follows each other without a loop
or a call is one tuple. Every value is checked on the way. What does not fit raises any exception: `misfit` then says which field it is.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas import _numbers
from schemas._code import DEEPEST, Classes, Code, Rare, Types, class_name
from schemas._source import Json

Encoder = Callable[[Any], bytes]

_SCOPE = {
    "Mapping": Mapping,
    "utf8": str.encode,
    "wrong": _numbers.wrong,
    "INT": _numbers.INT,
    "LONG": _numbers.LONG,
    "PRESENT_LONG": _numbers.PRESENT_LONG,
    "instant": _numbers.instant_bytes,
    "day": _numbers.day_bytes,
    "float32": _numbers.float_bytes,
    "float64": _numbers.double_bytes,
    "join": b"".join,
}
_END = r"b'\0'"


def encoder(normal: Json, classes: Classes | None = None, head: bytes = b"") -> Encoder:
    """The encoder of a record schema in normal form; its bytes begin with `head`.

    It takes the model among `classes`, the models of the schema's named types, or plain data if none are given.

    Raises:
        Rare: the schema has a union other than null and one other type, a logical type that is not of the contracts, or
            many arrays inside each other.
    """
    types = Types(normal)
    code = Code(**_SCOPE)
    writer = _Writer(types, code, classes)
    for full, node in types.named.items():
        if node["type"] == "record" and full != types.root:
            writer.record(full, node)
    with code.block("def encode(r):"):
        code.line(f"out = [{head!r}]")
        writer.fields(types.root, types.named[types.root])
        code.line("return join(out)")
    if writer.calls(types.root):  # it is somewhere within itself
        writer.record(types.root, types.named[types.root])
    return code.build("encode", f"encoder of {types.root}")  # type: ignore[no-any-return]


class _Writer:
    def __init__(self, types: Types, code: Code, classes: Classes | None) -> None:
        self._types = types
        self._code = code
        self._classes = classes
        self._functions: dict[str, str] = {}
        self._parts: list[str] = []
        self._loops = 0

    def function(self, full: str) -> str:
        """The name of the function that writes this record."""
        if full not in self._functions:
            self._functions[full] = self._code.name(f"write_{class_name(full)}")
        return self._functions[full]

    def calls(self, full: str) -> bool:
        """Whether the function that writes this record was named."""
        return full in self._functions

    def record(self, full: str, node: Json) -> None:
        """Write the function of this record."""
        with self._code.block(f"def {self.function(full)}(out, r):"):
            self.fields(full, node)

    def fields(self, full: str, node: Json) -> None:
        """Write what checks the record `r` and puts its fields into `out`."""
        if self._classes is not None:
            self._code.line(
                f"if type(r) is not {self._code.constant('class', self._classes[class_name(full)])}:",
                "    wrong(r)",
            )
        else:
            names = self._code.constant("names", frozenset(field["name"] for field in node["fields"]))
            self._code.line(
                "if type(r) is not dict and not isinstance(r, Mapping) or not r.keys() <= " + names + ":",
                "    wrong(r)",
            )
        for field in node["fields"]:
            self._value(field["type"], self._access(field))
        self._flush()

    def _access(self, field: Json) -> str:
        if self._classes is not None:
            return f"r.{field['name']}"
        if "default" in field:
            return f"r.get({field['name']!r}, {self._code.constant('default', field['default'])})"
        return f"r[{field['name']!r}]"

    def _value(self, node: Json, access: str) -> None:
        kind, node = self._types.look(node)
        if kind == "union":
            self._optional(node, access)
        elif kind in {"array", "map"}:
            self._many(kind, node, access)
        elif kind == "record":
            self._flush()
            self._code.line(f"{self.function(node['name'])}(out, {access})")
        else:
            self._parts += self._scalar(kind, node, access)

    def _optional(self, branches: list[Json], access: str) -> None:
        if len(branches) != 2 or branches.count("null") != 1:  # noqa: PLR2004 - null and one other
            raise Rare("a union other than null and one other type")
        absent, present = (b"\0", b"\2") if branches[0] == "null" else (b"\2", b"\0")
        some = branches[1] if branches[0] == "null" else branches[0]
        kind, node = self._types.look(some)
        if kind in {"array", "map", "record"}:
            self._flush()
            name = self._code.name("some")
            self._code.line(f"{name} = {access}")
            with self._code.block(f"if {name} is None:"):
                self._code.line(f"out.append({absent!r})")
            with self._code.block("else:"):
                self._code.line(f"out.append({present!r})")
                self._value(some, name)
                self._flush()
            return
        if kind == "enum":
            parts = self._enum(node, "v", present)
        elif kind == "string" and present == _numbers.PRESENT:
            parts = ["PRESENT_LONG[len(v := utf8(v))]", "v"]
        else:
            parts = [repr(present), *self._scalar(kind, node, "v")]
        self._parts.append(f"{absent!r} if (v := {access}) is None else {' + '.join(map(_whole, parts))}")

    def _scalar(self, kind: str, node: Json, access: str) -> list[str]:  # noqa: PLR0911 - one return a kind
        """Expressions of the bytes of one value; they may use `v`."""
        bound = "v" if access == "v" else f"(v := {access})"
        match kind:
            case "string":
                return [f"LONG[len(v := utf8({access}))]", "v"]
            case "enum":
                return self._enum(node, access)
            case "int" | "long":
                return [f"{kind.upper()}[v] if type({bound}) is int else wrong(v)"]
            case "instant" | "date":
                return [f"{'instant' if kind == 'instant' else 'day'}({access})"]
            case "boolean":
                return [f"b'\\1' if {bound} is True else b'\\0' if v is False else wrong(v)"]
            case "float" | "double":
                return [f"float{32 if kind == 'float' else 64}({access})"]
            case "bytes":
                return [f"LONG[len(v)] if type({bound}) is bytes or isinstance(v, bytes) else wrong(v)", "v"]
            case "fixed":
                return [f"v if isinstance({bound}, bytes) and len(v) == {node['size']} else wrong(v)"]
            case _:
                return [f"b'' if {bound} is None else wrong(v)"]

    def _enum(self, node: Json, access: str, before: bytes = b"") -> list[str]:
        symbols = node["symbols"]
        keys = symbols if self._classes is None else map(self._classes[class_name(node["name"])], symbols)
        table = {key: before + _numbers.LONG[index] for index, key in enumerate(keys)}
        return [f"{self._code.constant(node['name'], table)}[{access}]"]

    def _many(self, kind: str, node: Json, access: str) -> None:
        if self._loops == DEEPEST:
            raise Rare("many arrays inside each other")
        self._loops += 1
        self._flush()
        many, one = self._code.name("many"), self._code.name("one")
        self._code.line(f"{many} = {access}")
        if kind == "array":
            self._code.line(f"if type({many}) is not tuple and not isinstance({many}, (list, tuple)):")
        else:
            self._code.line(f"if not isinstance({many}, Mapping):")
        self._code.line(f"    wrong({many})")
        with self._code.block(f"if {many}:"):
            self._code.line(f"out.append(LONG[len({many})])")
            if kind == "array":
                with self._code.block(f"for {one} in {many}:"):
                    self._value(node["items"], one)
                    self._flush()
            else:
                key = self._code.name("key")
                with self._code.block(f"for {key}, {one} in {many}.items():"):
                    self._parts += self._scalar("string", node, key)
                    self._value(node["values"], one)
                    self._flush()
        self._parts.append(_END)
        self._loops -= 1

    def _flush(self) -> None:
        """Writes what is collected as one statement."""
        if len(self._parts) == 1:
            self._code.line(f"out.append({self._parts[0]})")
        elif self._parts:
            self._code.line("out += (", *(f"    {part}," for part in self._parts), ")")
        self._parts.clear()


def _whole(part: str) -> str:
    """The expression as an operand."""
    return f"({part})" if " if " in part else part
