"""Avro's numbers and times in bytes: what the compiled codecs call for all that is not one byte.

Source: Apache Avro specification 1.12, "Binary Encoding": an int or long is zigzag (0, -1, 1, -2 … become 0, 1, 2, 3 …) and
of variable length, seven bits a byte, the lowest first, the top bit set in all bytes but the last.

What does not fit raises one of Python's own errors; who called the codec turns it into an error of this package.
"""

import struct
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_DAY = EPOCH.toordinal()
MILLISECOND = timedelta(milliseconds=1)

FIRST_DAY = datetime(1, 1, 2, tzinfo=UTC).toordinal() - EPOCH_DAY
LAST_DAY = datetime(9999, 12, 30, tzinfo=UTC).toordinal() - EPOCH_DAY
"""In days since 1970: an instant of these days, both included, can be told in every time zone."""

_MORE = 0x80
_LONG_BITS = 64
_PLACES = tuple(1 << shift for shift in range(0, _LONG_BITS, 7))
"""What the seven bits of each byte are worth, the first one first; ten bytes hold 64 bits."""
_LOW = 1 << 13
"""What the first two bytes of a longer number tell apart: fourteen bits, of which one is the sign."""
_FIRST_TWO = tuple(bytes([number << 1 & 127 | 128, number >> 6 | 128]) for number in range(_LOW))
"""Of a positive number, by the rest that `_LOW` leaves."""
_BYTE = tuple(bytes([number]) for number in range(256))


def varint(number: int) -> bytes:
    """The bytes of a number that is not negative."""
    out = bytearray()
    while number >= _MORE:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


class Numbers(dict[int, bytes]):
    """The bytes of each whole number of this many bits after `prefix`; those of small numbers are kept.

    Looking up one beyond the range raises `OverflowError`.
    """

    def __init__(self, bits: int, prefix: bytes = b"") -> None:
        self._limit = 1 << (bits - 1)
        self._prefix = prefix
        super().__init__({number: self[number] for number in range(-64, 1024)})

    def __missing__(self, number: int) -> bytes:
        if _LOW <= number < 1 << 27:
            # Three or four bytes, as the numbers of many rows have: put together from kept ones.
            rest = number // _LOW
            last = _BYTE[rest] if rest < _MORE else _BYTE[rest & 127 | 128] + _BYTE[rest >> 7]
            return self._prefix + _FIRST_TWO[number % _LOW] + last
        if not -self._limit <= number < self._limit:
            raise OverflowError("a number beyond its range")
        return self._prefix + varint(number << 1 if number >= 0 else ~(number << 1))


INT = Numbers(32)
LONG = Numbers(64)
PRESENT = b"\2"
"""The second branch of a union."""
PRESENT_LONG = Numbers(64, PRESENT)
"""Numbers after the index of a union's second branch."""


def instant_bytes(at: datetime) -> bytes:
    """A `timestamp-millis`: an aware time of whole milliseconds."""
    since = at - EPOCH
    millis, finer = divmod(since.microseconds, 1000)
    if finer:
        raise ValueError("finer than a millisecond")
    number = since.days * 86_400_000 + since.seconds * 1000 + millis
    if span := _written_spans.get(number // _SPAN):
        return _FIRST_TWO[number % _SPAN] + span
    if not FIRST_DAY <= since.days <= LAST_DAY:
        raise ValueError("beyond the calendar")
    written = varint(number << 1 if number >= 0 else ~(number << 1))
    if number >= 0 and len(written) == _SIX_BYTES:
        if len(_written_spans) >= _KEPT:
            _written_spans.clear()
        _written_spans[number // _SPAN] = written[2:]
    return written


def day_bytes(day: date) -> bytes:
    """A `date`."""
    return INT[day.toordinal() - EPOCH_DAY] if not isinstance(day, datetime) else wrong(day)


def float_bytes(number: float) -> bytes:
    """A `float`; `OverflowError` for what its 32 bits cannot hold."""
    return _FLOAT.pack(number) if type(number) in _REAL else wrong(number)


def double_bytes(number: float) -> bytes:
    """A `double`."""
    return _DOUBLE.pack(number) if type(number) in _REAL else wrong(number)


def wrong(value: Any) -> NoReturn:
    """Refuses a value of another type than the schema's."""
    raise TypeError(f"{type(value).__name__} is of the wrong type")


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """The long at this place, and where the next value begins."""
    first = data[at]
    if first < _MORE:
        return first >> 1 ^ -(first & 1), at + 1
    second = data[at + 1]
    if second < _MORE:  # two to four bytes, as the numbers of many rows: read in one go
        number = first + second * 128 - 0x80
        return number >> 1 ^ -(number & 1), at + 2
    third = data[at + 2]
    if third < _MORE:
        number = first + second * 128 + third * 16384 - 0x4080
        return number >> 1 ^ -(number & 1), at + 3
    fourth = data[at + 3]
    if fourth < _MORE:
        number = first + second * 128 + third * 16384 + fourth * 2097152 - 0x204080
        return number >> 1 ^ -(number & 1), at + 4
    number = 0
    for place in _PLACES:
        byte = data[at]
        at += 1
        if byte < _MORE:
            number += byte * place
            if number >> _LONG_BITS:
                break
            return number >> 1 ^ -(number & 1), at
        number += (byte - _MORE) * place
    raise ValueError("a number of more than 64 bits")


def read_int(data: bytes, at: int) -> tuple[int, int]:
    """The int at this place, and where the next value begins."""
    number, at = read_long(data, at)
    if not -(1 << 31) <= number < 1 << 31:
        raise ValueError("a number of more than 32 bits")
    return number, at


def read_length(data: bytes, at: int) -> tuple[int, int]:
    """A length in bytes, or the place in a list, and where the next value begins."""
    first, second = data[at], data[at + 1]
    if first & 129 == 128 and second < _MORE:  # noqa: PLR2004 - two bytes, as most lengths that are not one
        return (first & 127 | second << 7) >> 1, at + 2
    number, at = read_long(data, at)
    if number < 0:
        raise ValueError("a length or place below 0")
    return number, at


def read_count(data: bytes, at: int) -> tuple[int, int]:
    """How many items are in the block of an array or map that begins here, and where the first begins.

    For counts of more than one byte. They are no more than the bytes left, so garbage cannot claim a billion items that take
    none, and not 0, whose one byte ends the array.
    """
    count, at = read_long(data, at)
    if count < 0:  # the size of the block in bytes follows, for those who skip it
        count = -count
        _, at = read_long(data, at)
    if not 0 < count <= len(data) - at:
        raise ValueError(f"{count} items in {len(data) - at} bytes")
    return count, at


def read_instant(data: bytes, at: int) -> tuple[datetime, int]:
    """The `timestamp-millis` at this place, in UTC, and where the next value begins.

    One of six bytes leaves in `SPANS` and `BEHIND` what it consists of: with both, the next one is a sum.
    """
    number, end = read_long(data, at)
    if number >= 0 and end - at == _SIX_BYTES:
        if len(SPANS) >= _KEPT:
            SPANS.clear()
        SPANS[data[at + 2 : end]] = EPOCH + MILLISECOND * (number - number % _SPAN)
        BEHIND[data[at : at + 2]] = MILLISECOND * (number % _SPAN)
    return EPOCH + MILLISECOND * number, end


_SIX_BYTES = 6
"""Of every instant from July 1970 to 2039: two for the milliseconds within a span, and four for the span."""
_SPAN = _LOW
"""Milliseconds. What happens now lies in few spans, and so does what is due: on one day at one instant."""
_KEPT = 1024
SPANS: dict[bytes, datetime] = {}
"""By the last four bytes of an instant, where its span begins; those of late."""
BEHIND: dict[bytes, timedelta] = {}
"""By the first two, how far behind that."""
_written_spans: dict[int, bytes] = {}
"""The last four bytes of instants by the number of their span; those of late."""

_REAL = frozenset({int, float})
_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")
