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
        if 1 << 13 <= number < 1 << 27:  # three or four bytes, as the numbers of many rows: written in one go
            first, second, third = number << 1 & 127 | 128, number >> 6 & 127 | 128, number >> 13
            if third < _MORE:
                return self._prefix + _THREE(first, second, third)
            return self._prefix + _FOUR(first, second, third & 127 | 128, third >> 7)
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
    if at.tzinfo is not UTC:  # in other zones two times may be equal and not the same instant (PEP 495)
        return _instant_bytes(at)
    found = _written.get(at)
    if found is None:
        found = _instant_bytes(at)
        if len(_written) >= _KEPT:
            _written.clear()
        _written[at] = found
    return found


def _instant_bytes(at: datetime) -> bytes:
    since = at - EPOCH
    micros = since.microseconds
    if micros % 1000:
        raise ValueError("finer than a millisecond")
    number = since.days * 172_800_000 + since.seconds * 2000 + micros // 500  # twice the milliseconds
    if 1 << 35 <= number < 1 << 42:  # July 1970 to 2039: six bytes, written in one go
        low, high = number & 0xFFFFFFF, number >> 28
        return _SIX(
            low & 127 | 128,
            low >> 7 & 127 | 128,
            low >> 14 & 127 | 128,
            low >> 21 | 128,
            high & 127 | 128,
            high >> 7,
        )
    if not FIRST_DAY <= since.days <= LAST_DAY:
        raise ValueError("beyond the calendar")
    return varint(number if number >= 0 else ~number)


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
    if len(data) - at > 3 and (first := data[at]) & (second := data[at + 1]) & 128:  # noqa: PLR2004 - room for four
        third, fourth = data[at + 2], data[at + 3]
        if third < _MORE:  # three or four bytes, as the numbers of many rows: read in one go
            number = first + second * 128 + third * 16384 - 0x4080
            return number >> 1 ^ -(number & 1), at + 3
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
    """The `timestamp-millis` at this place, in UTC, and where the next value begins."""
    six = data[at : at + 6]
    if found := _kept.get(six):
        return found, at + 6
    if len(six) == 6:  # noqa: PLR2004 - as all instants from July 1970 to 2039
        a, b, c, d, e, f = six
        if a > 127 and b > 127 and c > 127 and d > 127 and e > 127 and f < 128 and not a & 1:  # noqa: PLR2004 - the top bit
            twice = a + b * 128 + c * 16384 + d * 2097152 + (e + f * 128) * 268435456 - 0x8_1020_4080
            found = datetime.fromtimestamp(
                twice / 2000, UTC
            )  # so few seconds that a float tells each microsecond
            if len(_kept) >= _KEPT:
                _kept.clear()
            _kept[six] = found
            return found, at + 6
    number, at = read_long(data, at)
    return EPOCH + MILLISECOND * number, at


_KEPT = 1024
_kept: dict[bytes, datetime] = {}
"""Instants read of late: an event often tells one instant several times, and what is due on a day is due at one instant."""
_written: dict[datetime, bytes] = {}
"""Instants written of late."""

_REAL = frozenset({int, float})
_FLOAT = struct.Struct("<f")
_DOUBLE = struct.Struct("<d")
_THREE = struct.Struct("3B").pack
_FOUR = struct.Struct("4B").pack
_SIX = struct.Struct("6B").pack
