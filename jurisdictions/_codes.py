"""Validators of the identifiers that travel with a case. None of them repeats the value it refuses."""

import re
from datetime import date
from functools import cache
from typing import Final

from msgspec import Struct
from stdnum import numdb
from stdnum.cn import ric, uscc

from jurisdictions._errors import Invalid
from jurisdictions._model import LAST_SERIAL

# GB 32100: registering body and kind of organisation may be letters too (N1 village economic collectives,
# Y other), which stdnum's own validation refuses.
_CREDIT_CODE: Final = re.compile(r"[0-9A-HJ-NP-RTUW-Y]{2}[0-9]{6}[0-9A-HJ-NP-RTUW-Y]{10}")
_CITIZEN_NUMBER: Final = re.compile(r"[1-9][0-9]{16}[0-9X]")
# Provinces, and the residence permits of people from Hong Kong, Macao and Taiwan, numbered likewise.
_PROVINCE: Final = re.compile("1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]")
_AREA_CODE: Final = re.compile(r"[1-9][0-9]{5}")
_CASE_TAIL: Final = re.compile(r"([0-9]{8})([0-9]{4})([0-9]{5}|[1-9][0-9]{5,6})?")
_LAST_OVERFLOW: Final = 9_999_999  # 31 + 8 + 4 + 7 characters: the 50 of GB/T 39046


def credit_code(value: str) -> str:
    """The unified social credit code (GB 32100-2015), in upper case.

    Raises:
        Invalid: not 18 characters of its alphabet, or the check character (mod 31) does not fit.
    """
    code = value.strip().upper()
    if not _CREDIT_CODE.fullmatch(code):
        raise Invalid("credit_code", "not of the form", "18 digits or capital letters without I, O, S, V, Z")
    if uscc.calc_check_digit(code[:17]) != code[17]:
        raise Invalid("credit_code", "check character does not fit", "a code without a typing error")
    return code


def citizen_number(value: str, on: date | None = None) -> str:
    """The citizen number (GB 11643-1999), the final X in upper case; with `on`, born no later than that day.

    The area is checked by province only: numbers keep the area code of the day they were given, and a person
    may be older than the county, so a register of counties by years would refuse people their own number.

    Raises:
        Invalid: form, province, date of birth or check character (ISO 7064 MOD 11-2) is wrong.
    """
    number = value.strip().upper()
    if not _CITIZEN_NUMBER.fullmatch(number):
        raise Invalid("citizen_number", "not of the form", "17 digits and a digit or X")
    if not _PROVINCE.fullmatch(number[:2]):
        raise Invalid("citizen_number", "begins with no province", "the area code of a province first")
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        raise Invalid("citizen_number", "holds no date of birth", "YYYYMMDD in places 7 to 14") from None
    if born.year < 1850 or (on is not None and born > on):  # noqa: PLR2004 - nobody living is older
        raise Invalid("citizen_number", "date of birth is out of range", "a person who lives")
    if ric.calc_check_digit(number) != number[17]:
        raise Invalid("citizen_number", "check character does not fit", "a number without a typing error")
    return number


def area_code(value: str, on: date) -> str:
    """A GB/T 2260 code of a province, city, county or district that was in use in the year of `on`.

    The register behind it (python-stdnum's) knows years only, so both old and new code pass in the year of
    a change; the directory knows the days of its members.

    Raises:
        Invalid: not six digits, unknown, or not in use in that year.
    """
    code = value.strip()
    if not _AREA_CODE.fullmatch(code):
        raise Invalid("area_code", "not of the form", "six digits")
    periods = _periods(code)
    if not periods:
        raise Invalid("area_code", "unknown", "a code of GB/T 2260")
    if not any(first <= on.year <= last for first, last in periods):
        raise Invalid("area_code", f"not in use in {on.year}", "the code of that time")
    return code


@cache
def _periods(code: str) -> tuple[tuple[int, int], ...]:
    """The years in which a code had a meaning: stdnum writes them as "[1983-1996]old,[1997-]new"."""
    found = [
        properties["county"] for _, properties in numdb.get("cn/loc").info(code) if "county" in properties
    ]
    if not found:
        return ()
    periods = re.findall(r"\[([0-9]*)-([0-9]*)\]", found[0])
    return tuple((int(first or 0), int(last or 9999)) for first, last in periods) or ((0, 9999),)


class ItemCodeLayout(Struct, frozen=True):
    """How many characters each part of an item code has; provinces have variants."""

    body: int = 18
    level: int = 1
    basic: int = 12
    business: int = 0


NATIONAL_LAYOUT: Final = ItemCodeLayout()
"""实施编码: 18 + 1 + 12 = 31 characters."""
BUSINESS_LAYOUT: Final = ItemCodeLayout(business=2)
"""业务办理项编码: the national one and 2 more."""


class ItemCode(Struct, frozen=True):
    """An item code in its parts; `business` is empty where the layout has no such part."""

    body: str
    level: str
    basic: str
    business: str

    @property
    def text(self) -> str:
        """The code as one text."""
        return self.body + self.level + self.basic + self.business


def item_code(value: str, layout: ItemCodeLayout = NATIONAL_LAYOUT) -> ItemCode:
    """The parts of an item code. A body part of 18 characters must be a valid credit code.

    Raises:
        Invalid: wrong length, other than digits and capital letters, or a wrong credit code.
    """
    length = layout.body + layout.level + layout.basic + layout.business
    if len(value) != length:
        raise Invalid("item_code", f"has {len(value)} characters", f"{length}")
    if not re.fullmatch("[0-9A-Z]+", value):
        raise Invalid("item_code", "has other characters", "digits and capital letters")
    level_at = layout.body
    basic_at = level_at + layout.level
    business_at = basic_at + layout.basic
    body = value[:level_at]
    if len(body) == 18:  # noqa: PLR2004 - GB 32100
        try:
            credit_code(body)
        except Invalid as error:
            raise Invalid("item_code", f"credit code: {error.value_problem}", error.expected) from None
    return ItemCode(body, value[level_at:basic_at], value[basic_at:business_at], value[business_at:])


class CaseNumber(Struct, frozen=True):
    """A case number (办件编号) in its parts; `overflow` counts the cases of a day beyond the block, from 1."""

    item: ItemCode
    day: date
    serial: int
    overflow: int | None


def case_number(value: str, layout: ItemCodeLayout = NATIONAL_LAYOUT) -> CaseNumber:
    """The parts of a case number: item code, yyyyMMdd, serial of 4 digits, and 5 to 7 more where the block ran out.

    Raises:
        Invalid: one of the parts is wrong.
    """
    length = layout.body + layout.level + layout.basic + layout.business
    tail = _CASE_TAIL.fullmatch(value, length)
    if tail is None:
        raise Invalid(
            "case_number",
            "not of the form",
            f"an item code of {length}, a date of 8, a serial of 4 or 9 to 11",
        )
    try:
        item = item_code(value[:length], layout)
    except Invalid as error:
        raise Invalid("case_number", f"item code: {error.value_problem}", error.expected) from None
    try:
        day = date.fromisoformat(tail[1])
    except ValueError:
        raise Invalid("case_number", "holds no date", "yyyyMMdd after the item code") from None
    return CaseNumber(item, day, int(tail[2]), None if tail[3] is None else int(tail[3]))


def make_case_number(item_code: str, day: date, serials: tuple[int, int], n: int) -> str:
    """The number of an acceptor's n-th case of an item on a day, n from 0.

    `serials` is the acceptor's block, first and last. Beyond it the number is the block's first serial and a count
    from 1, of 5 digits or as many as it takes up to 7: acceptors never need to ask each other, and numbers of
    different lengths never collide.

    Raises:
        Invalid: the block is none, or n is out of range.
    """
    first, last = serials
    if not 0 <= first <= last <= LAST_SERIAL:
        raise Invalid("serials", "not a block", f"first ≤ last, from 0 to {LAST_SERIAL}")
    head = item_code + day.isoformat().replace("-", "")
    if 0 <= n <= last - first:
        return f"{head}{first + n:04d}"
    overflow = n - (last - first)
    if not 0 < overflow <= _LAST_OVERFLOW:
        raise Invalid("n", "out of range", f"0 to {last - first + _LAST_OVERFLOW}")
    return f"{head}{first:04d}{overflow:05d}"
