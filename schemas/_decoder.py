"""Decoders: from Avro's binary encoding straight to a model, or to plain data; compiled once for each schema.

One function a record, which takes the bytes and a place in them and returns the value and the place behind it. Lengths are
not held against the end of the bytes one by one: a slice beyond it is short, and leaves a place at which the next read, or
the comparison at the end, fails. So nothing larger than the bytes is ever made, and each item of an array takes at least
one byte. What does not fit raises any exception.
"""

import struct
from collections.abc import Callable
from datetime import date
from typing import Any

from schemas import _numbers
from schemas._code import DEEPEST, Classes, Code, Rare, Types, class_name
from schemas._source import Json

Decoder = Callable[[bytes, int], Any]

_SHORT = tuple(1 + (byte >> 1) if byte < 128 and not byte & 1 else 0 for byte in range(256))  # noqa: PLR2004 - the top bit
"""By its first byte, how many bytes a string of at most 63 takes with it; 0 if the length has more bytes, or is negative."""
_NUMBERS = tuple(byte >> 1 ^ -(byte & 1) if byte < 128 else None for byte in range(256))  # noqa: PLR2004 - the top bit
"""By its first byte, a number that has only this one."""

_SCOPE = {
    "SHORT": _SHORT,
    "NUMBER": _NUMBERS,
    "BOOLEAN": (False, True),
    "EPOCH_DAY": _numbers.EPOCH_DAY,
    "day_of": date.fromordinal,
    "SPANS": _numbers.SPANS,
    "BEHIND": _numbers.BEHIND,
    "read_int": _numbers.read_int,
    "read_long": _numbers.read_long,
    "read_length": _numbers.read_length,
    "read_count": _numbers.read_count,
    "read_instant": _numbers.read_instant,
    "float32": struct.Struct("<f").unpack_from,
    "float64": struct.Struct("<d").unpack_from,
}


_LENGTH = """\
n = d[i]
if n & 129:
    n, i = read_length(d, i)
else:
    n >>= 1
    i += 1""".splitlines()
"""Lines that read a number that is not negative into `n`."""

_NUMBER = """\
if (TO := NUMBER[d[i]]) is not None:
    i += 1
elif (m := d[i + 1]) > 127 and (n := d[i + 2]) < 128:
    n = d[i] + m * 128 + n * 16384 - 16512
    TO = n >> 1 ^ -(n & 1)
    i += 3
else:
    TO, i = read_{kind}(d, i)
"""
"""Numbers of one byte and of three, as those of many rows, are read here; the others have a function."""
_INSTANT = """\
if (TO := SPANS.get(d[i + 2 : i + 6])) and (n := BEHIND.get(d[i : i + 2])) is not None:
    TO += n
    i += 6
else:
    TO, i = read_instant(d, i)
"""
_BYTES = """\
if n := SHORT[d[i]]:
    TO = d[i + 1 : (i := i + n)]{then}
else:
    n, i = read_length(d, i)
    TO = d[i : (i := i + n)]{then}
"""
_SCALARS = {
    "null": "TO = None",
    "boolean": "TO = BOOLEAN[d[i]]\ni += 1",
    "int": _NUMBER.format(kind="int"),
    "long": _NUMBER.format(kind="long"),
    "float": "(TO,) = float32(d, i)\ni += 4",
    "double": "(TO,) = float64(d, i)\ni += 8",
    "bytes": _BYTES.format(then=""),
    "string": _BYTES.format(then=".decode()"),
    "instant": _INSTANT,
    "date": _NUMBER.format(kind="int") + "TO = day_of(TO + EPOCH_DAY)",
}
"""Lines that read one value into the variable TO."""


def decoder(normal: Json, classes: Classes | None = None) -> Decoder:
    """The decoder of a record schema in normal form: it takes the bytes and where the record begins in them.

    It gives the model among `classes`, the models of the schema's named types, or plain data if none are given.

    Raises:
        Rare: the schema has a logical type that is not of the contracts, many arrays inside each other, or a union of more
            than 64 types.
    """
    types = Types(normal)
    code = Code(**_SCOPE)
    reader = _Reader(types, code, classes)
    records = {full: node for full, node in types.named.items() if node["type"] == "record"}
    with code.block("def decode(d, i):"):
        made = reader.record(types.root, records[types.root])
        with code.block("if i != len(d):"):
            with code.block("if i > len(d):"):
                code.line("raise IndexError")
            code.line("raise ValueError(f'{len(d) - i} bytes are left over')")
        code.line(f"return {made}")
    for full, node in records.items():
        if full != types.root or reader.calls(full):
            with code.block(f"def {reader.function(full)}(d, i):"):
                code.line(f"return {reader.record(full, node)}, i")
    return code.build("decode", f"decoder of {types.root}")  # type: ignore[no-any-return]


class _Reader:
    def __init__(self, types: Types, code: Code, classes: Classes | None) -> None:
        self._types = types
        self._code = code
        self._classes = classes
        self._functions: dict[str, str] = {}
        self._symbols: dict[str, str] = {}
        self._loops = 0

    def function(self, full: str) -> str:
        """The name of the function that reads this record."""
        if full not in self._functions:
            self._functions[full] = self._code.name(f"read_{class_name(full)}")
        return self._functions[full]

    def calls(self, full: str) -> bool:
        """Whether that function was asked for: a record without it is read where it stands, as the whole is."""
        return full in self._functions

    def record(self, full: str, node: Json) -> str:
        """Lines that read the fields of a record; the expression that makes it of them."""
        found: list[tuple[str, str]] = []
        for field in node["fields"]:
            value = self._code.name(field["name"])
            self._value(field["type"], value)
            found.append((field["name"], value))
        if self._classes is None:
            return "{" + ", ".join(f"{name!r}: {value}" for name, value in found) + "}"
        model = self._code.constant(class_name(full), self._classes[class_name(full)])
        return f"{model}({', '.join(f'{name}={value}' for name, value in found)})"

    def _value(self, node: Json, to: str) -> None:
        """Lines that read one value into the variable `to`."""
        kind, node = self._types.look(node)
        line = self._code.line
        match kind:
            case "union":
                self._union(node, to)
            case "record":
                line(f"{to}, i = {self.function(node['name'])}(d, i)")
            case "array" | "map":
                self._many(kind, node, to)
            case "fixed":
                line(f"{to} = d[i : (i := i + {node['size']})]")
            case "enum":
                line(*_LENGTH, f"{to} = {self._members(node)}[n]")
            case _:
                line(*_SCALARS[kind].replace("TO", to).splitlines())

    def _members(self, node: Json) -> str:
        full = node["name"]
        if full not in self._symbols:
            symbols = node["symbols"]
            if self._classes is not None:
                symbols = map(self._classes[class_name(full)], symbols)
            self._symbols[full] = self._code.constant(full, tuple(symbols))
        return self._symbols[full]

    def _union(self, branches: list[Json], to: str) -> None:
        if len(branches) > 64:  # noqa: PLR2004 - whose places are one byte each
            raise Rare("a union of more than 64 types")
        self._code.line("n = d[i]", "i += 1")
        for index, branch in enumerate(branches):
            with self._code.block(f"{'elif' if index else 'if'} n == {index << 1}:"):
                self._value(branch, to)
        with self._code.block("else:"):
            self._code.line("raise ValueError('no such branch of a union')")

    def _many(self, kind: str, node: Json, to: str) -> None:
        if self._loops == DEEPEST:
            raise Rare("many arrays inside each other")
        self._loops += 1
        left, one, key = self._code.name("left"), self._code.name("one"), self._code.name("key")
        self._code.line(f"{to} = {'[]' if kind == 'array' else '{}'}")
        with self._code.block(f"while {left} := d[i]:"):
            self._code.line(
                f"if {left} & 129:",
                f"    {left}, i = read_count(d, i)",
                "else:",
                f"    {left} >>= 1",
                "    i += 1",
            )
            with self._code.block(f"for _ in range({left}):"):
                if kind == "array":
                    self._value(node["items"], one)
                    self._code.line(f"{to}.append({one})")
                else:
                    self._value("string", key)
                    self._value(node["values"], one)
                    self._code.line(f"{to}[{key}] = {one}")
        self._code.line("i += 1")
        if kind == "array" and self._classes is not None:
            self._code.line(f"{to} = tuple({to}) if {to} else ()")
        self._loops -= 1
