"""What is wrong with data that an encoder refused: the careful walk through data and schema that names the field."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from fastavro.write import LOGICAL_WRITERS

from schemas._errors import Invalid
from schemas._numbers import EPOCH, FIRST_DAY, LAST_DAY, double_bytes, float_bytes
from schemas._source import Json, definitions

_MISSING = object()
_CLASSES: dict[str, type] = {"null": type(None), "boolean": bool, "bytes": bytes, "string": str}


def check_fits(normal: Json, data: Any) -> None:
    """Checks plain data against a record schema in normal form.

    A value of a logical type other than those of the contracts is not looked at.

    Raises:
        Invalid: names the first field that does not fit.
    """
    try:
        _Check(normal).value(normal["name"], data)
    except RecursionError:
        raise Invalid("", "is nested too deep, or contains itself") from None


class _Check:
    def __init__(self, normal: Json) -> None:
        self._named = definitions(normal)

    def value(self, node: Json, value: Any) -> None:
        if isinstance(node, list):
            self._union(node, value)
            return
        node = self._named.get(node, {"type": node}) if isinstance(node, str) else node
        kind, logical = node["type"], node.get("logicalType")
        match kind, logical:
            case "long", "timestamp-millis":
                _instant(value)
            case "int", "date":
                if not isinstance(value, date) or isinstance(value, datetime):
                    raise _wrong(value, "date")
            case _ if f"{kind}-{logical}" in LOGICAL_WRITERS:
                pass
            case "record", _:
                self._record(node, value)
            case "array", _:
                self._array(node, value)
            case "map", _:
                self._map(node, value)
            case _:
                _scalar(node, value)

    def _record(self, node: Json, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise _wrong(value, "record")
        for field in node["fields"]:
            try:
                self.value(field["type"], value.get(field["name"], field.get("default", _MISSING)))
            except Invalid as error:
                raise error.inside(field["name"]) from None
        if extra := set(value) - {field["name"] for field in node["fields"]}:
            raise Invalid("", f"has no field {', '.join(sorted(map(str, extra)))}")

    def _union(self, branches: list[Json], value: Any) -> None:
        others = [branch for branch in branches if branch != "null"]
        if value is None and len(others) < len(branches):
            return
        if len(others) == 1:
            self.value(others[0], value)
            return
        for branch in others:
            try:
                self.value(branch, value)
            except Invalid:
                continue
            return
        raise _wrong(value, "union")

    def _array(self, node: Json, value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise _wrong(value, "array")
        for index, item in enumerate(value):
            try:
                self.value(node["items"], item)
            except Invalid as error:
                raise error.inside(f"[{index}]") from None

    def _map(self, node: Json, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise _wrong(value, "map")
        for key, each in value.items():
            _scalar({"type": "string"}, key)
            self.value(node["values"], each)


def _scalar(node: Json, value: Any) -> None:
    match node["type"]:
        case "enum":
            if not isinstance(value, str) or value not in node["symbols"]:
                raise Invalid("", f"is none of {', '.join(node['symbols'])}")
        case "fixed":
            if not isinstance(value, bytes) or len(value) != node["size"]:
                raise _wrong(value, f"fixed of {node['size']} bytes")
        case "int" | "long" as kind:
            bits = 32 if kind == "int" else 64
            if type(value) is not int or not -(1 << bits - 1) <= value < 1 << bits - 1:
                raise _wrong(value, f"whole number of {bits} bits")
        case "float" | "double" as kind:
            _number(kind, value)
        case kind:
            if not isinstance(value, _CLASSES[kind]):
                raise _wrong(value, kind)
            if isinstance(value, str):
                _text(value)


def _number(kind: str, value: Any) -> None:
    if type(value) not in {int, float}:
        raise _wrong(value, "number")
    try:
        float_bytes(value) if kind == "float" else double_bytes(value)
    except OverflowError:
        raise _wrong(value, "number of this size") from None


def _text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Invalid("", "has lone surrogates, which are no text") from None


def _instant(value: Any) -> None:
    if not isinstance(value, datetime):
        raise _wrong(value, "time (datetime)")
    if value.utcoffset() is None:
        raise Invalid("", f"{value!r} has no time zone; give an aware time")
    since = value - EPOCH
    if not FIRST_DAY <= since.days <= LAST_DAY:
        raise Invalid("", f"{value!r} is not within the years 1 to 9999 everywhere")
    if since.microseconds % 1000:
        raise Invalid("", f"{value!r} is finer than a millisecond; see whole_millis")


def _wrong(value: Any, expected: str) -> Invalid:
    if value is _MISSING:
        return Invalid("", f"is missing; needs a {expected}")
    return Invalid("", f"this {type(value).__name__} is no {expected}")
