"""Plain data to Avro's binary encoding, with every value checked: a writer is put together once for each schema.

Source: Apache Avro specification 1.12, "Binary Encoding". This is one of the few places where own code beats the library:
fastavro tries each branch of a union by validating the value against it, and takes wrong numbers and naive times without a
word. For a case file with many optional fields this is several times faster, checks included; the tests compare the
bytes of both.
"""

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from schemas._errors import Invalid
from schemas._source import Json, definitions

Writer = Callable[[bytearray, Any], None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_DAY_SECONDS = 86_400
_EARLIEST = datetime(1, 1, 2, tzinfo=UTC) - _EPOCH
_LATEST = datetime(9999, 12, 31, tzinfo=UTC) - _EPOCH
"""Between these two an instant can be told in every time zone."""

_MISSING = object()


def record_writer(normal: Json) -> Writer:
    """The writer of a schema in normal form; it raises `Invalid` for what does not fit.

    Logical types other than `timestamp-millis` and `date` are written as the type below them.
    """
    known: dict[str, Writer] = {}
    for full, node in definitions(normal).items():
        known[full] = _named(node, known)
    return known[normal["name"]]


def _writer(node: Json, known: Mapping[str, Writer]) -> Writer:
    if isinstance(node, list):
        return _union(node, known)
    if isinstance(node, str):
        return known.get(node) or _PRIMITIVES[node]
    if node["type"] == "array":
        return _array(_writer(node["items"], known))
    if node["type"] == "map":
        return _map(_writer(node["values"], known))
    return _LOGICAL.get((node["type"], node.get("logicalType"))) or _PRIMITIVES[node["type"]]


def _named(node: dict[str, Any], known: Mapping[str, Writer]) -> Writer:
    if node["type"] == "record":
        return _record(node, known)
    return _enum(node["symbols"]) if node["type"] == "enum" else _fixed(node["size"])


def _record(node: dict[str, Any], known: Mapping[str, Writer]) -> Writer:
    fields = [
        (field["name"], _writer(field["type"], known), field.get("default", _MISSING))
        for field in node["fields"]
    ]
    names = {field["name"] for field in node["fields"]}

    def write(out: bytearray, value: Any) -> None:
        if type(value) is not dict and not isinstance(value, Mapping):
            raise _wrong(value, "record")
        get = value.get
        name = ""
        try:
            for name, write_field, default in fields:
                write_field(out, get(name, default))
        except Invalid as error:
            raise error.inside(name) from None
        if len(value) > len(names) or not names.issuperset(value):
            raise Invalid("", f"has no field {', '.join(sorted(map(str, set(value) - names)))}")

    return write


def _union(branches: list[Json], known: Mapping[str, Writer]) -> Writer:
    if branches[0] == "null" and len(branches) == 2:  # noqa: PLR2004 - null and one other
        return _optional(_writer(branches[1], known))
    writers = [_writer(branch, known) for branch in branches]

    def write(out: bytearray, value: Any) -> None:
        start = len(out)
        for index, write_branch in enumerate(writers):
            try:
                _long(out, index)
                write_branch(out, value)
            except Invalid:
                del out[start:]
            else:
                return
        raise _wrong(value, "union")

    return write


def _optional(write_some: Writer) -> Writer:
    def write(out: bytearray, value: Any) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(2)
            write_some(out, value)

    return write


def _array(write_item: Writer) -> Writer:
    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, list | tuple):
            raise _wrong(value, "array")
        if value:
            _long(out, len(value))
            for index, item in enumerate(value):
                try:
                    write_item(out, item)
                except Invalid as error:
                    raise error.inside(f"[{index}]") from None
        out.append(0)

    return write


def _map(write_value: Writer) -> Writer:
    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise _wrong(value, "map")
        if value:
            _long(out, len(value))
            for key, each in value.items():
                _string(out, key)
                write_value(out, each)
        out.append(0)

    return write


def _enum(symbols: list[str]) -> Writer:
    encoded: dict[Any, bytes] = {}
    for index, symbol in enumerate(symbols):
        number = bytearray()
        _long(number, index)
        encoded[symbol] = bytes(number)

    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, str) or value not in encoded:
            raise Invalid("", f"is none of {', '.join(symbols)}")
        out += encoded[value]

    return write


def _fixed(size: int) -> Writer:
    def write(out: bytearray, value: Any) -> None:
        if not isinstance(value, bytes) or len(value) != size:
            raise _wrong(value, f"fixed of {size} bytes")
        out += value

    return write


def _null(_out: bytearray, value: Any) -> None:
    if value is not None:
        raise _wrong(value, "null")


def _boolean(out: bytearray, value: Any) -> None:
    if not isinstance(value, bool):
        raise _wrong(value, "boolean")
    out.append(value)


def _integer(bits: int) -> Writer:
    limit = 1 << (bits - 1)

    def write(out: bytearray, value: Any) -> None:
        if type(value) is not int or not -limit <= value < limit:
            raise _wrong(value, f"whole number of {bits} bits")
        _long(out, value)

    return write


def _long(out: bytearray, value: int) -> None:
    """Zigzag and variable length; `value` fits 64 bits."""
    rest = (value << 1) ^ (value >> 63)
    while rest > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)


def _floating(form: str) -> Writer:
    pack = struct.Struct(form).pack

    def write(out: bytearray, value: Any) -> None:
        if type(value) not in {int, float}:
            raise _wrong(value, "number")
        try:
            out += pack(value)
        except OverflowError:
            raise _wrong(value, "number of this size") from None

    return write


def _bytes(out: bytearray, value: Any) -> None:
    if not isinstance(value, bytes):
        raise _wrong(value, "bytes")
    _long(out, len(value))
    out += value


def _string(out: bytearray, value: Any) -> None:
    if not isinstance(value, str):
        raise _wrong(value, "string")
    try:
        encoded = value.encode()
    except UnicodeEncodeError:
        raise Invalid("", "has lone surrogates, which are no text") from None
    length = len(encoded)
    if length < 0x40:  # noqa: PLR2004 - one byte of six bits, a sign and no continuation
        out.append(length << 1)
    else:
        _long(out, length)
    out += encoded


def _instant(out: bytearray, value: Any) -> None:
    if not isinstance(value, datetime):
        raise _wrong(value, "time (datetime)")
    if value.utcoffset() is None:
        raise Invalid("", f"{value!r} has no time zone; give an aware time")
    since = value - _EPOCH
    if not _EARLIEST <= since <= _LATEST:
        raise Invalid("", f"{value!r} is not within the years 1 to 9999 everywhere")
    millis, finer = divmod(since.microseconds, 1000)
    if finer:
        raise Invalid("", f"{value!r} is finer than a millisecond; see whole_millis")
    _long(out, (since.days * _DAY_SECONDS + since.seconds) * 1000 + millis)


def _day(out: bytearray, value: Any) -> None:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _wrong(value, "date")
    _long(out, value.toordinal() - _EPOCH_DAY)


def _wrong(value: Any, expected: str) -> Invalid:
    if value is _MISSING:
        return Invalid("", f"is missing; needs a {expected}")
    return Invalid("", f"this {type(value).__name__} is no {expected}")


_PRIMITIVES: dict[str, Writer] = {
    "null": _null,
    "boolean": _boolean,
    "int": _integer(32),
    "long": _integer(64),
    "float": _floating("<f"),
    "double": _floating("<d"),
    "bytes": _bytes,
    "string": _string,
}
_LOGICAL: dict[tuple[str, Any], Writer] = {("long", "timestamp-millis"): _instant, ("int", "date"): _day}
