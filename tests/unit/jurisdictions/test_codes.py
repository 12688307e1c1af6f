from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric, uscc

from jurisdictions import (
    BUSINESS_LAYOUT,
    Directory,
    Invalid,
    ItemCodeLayout,
    area_code,
    case_number,
    citizen_number,
    credit_code,
    item_code,
    make_case_number,
)

REAL_ITEM_CODES = ["11650000010183859F2650116013001", "11450000007565194H2000115015005"]
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
TODAY = date(2026, 11, 20)


def with_check(head: str) -> str:
    return head + uscc.calc_check_digit(head)


CREDIT_CODES = st.builds(
    lambda kind, area, organisation: with_check(kind + area + organisation),
    st.text(ALPHABET, min_size=2, max_size=2),
    st.text("0123456789", min_size=6, max_size=6),
    st.text(ALPHABET, min_size=9, max_size=9),
)


@given(CREDIT_CODES)
def test_a_credit_code_is_accepted_in_either_case(code: str) -> None:
    assert credit_code(f" {code.lower()} ") == code


@given(CREDIT_CODES, st.integers(0, 17), st.sampled_from(ALPHABET))
def test_one_wrong_character_in_a_credit_code_is_seen(code: str, place: int, other: str) -> None:
    wrong = code[:place] + other + code[place + 1 :]
    if wrong != code:
        with pytest.raises(Invalid) as caught:
            credit_code(wrong)
        assert caught.value.field == "credit_code"
        assert wrong not in str(caught.value)


def test_credit_codes_of_village_collectives_begin_with_a_letter() -> None:
    code = with_check("N2430121MF1234567")
    assert credit_code(code) == code


@pytest.mark.parametrize(
    "bad", ["", "1165000001018385", "11650000010183859I", "１１650000010183859F", "1165000001018385 9F"]
)
def test_what_has_not_the_form_of_a_credit_code_is_refused(bad: str) -> None:
    with pytest.raises(Invalid, match="not of the form"):
        credit_code(bad)


def citizen(area: str, born: date, order: int) -> str:
    head = f"{area}{born:%Y%m%d}{order:03d}"
    return head + ric.calc_check_digit(head + "0")


CITIZENS = st.builds(
    citizen,
    st.sampled_from(["430102", "430221", "440106", "810000", "830000"]),
    st.dates(date(1900, 1, 1), TODAY),
    st.integers(1, 999),
)


@given(CITIZENS)
def test_a_citizen_number_is_accepted_in_either_case(number: str) -> None:
    assert citizen_number(number.lower(), TODAY) == number


@given(CITIZENS, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_one_wrong_character_in_a_citizen_number_is_seen_and_never_told(
    number: str, place: int, other: str
) -> None:
    wrong = number[:place] + other + number[place + 1 :]
    if wrong != number:
        with pytest.raises(Invalid) as caught:
            citizen_number(wrong)
        assert caught.value.field == "citizen_number"
        told = f"{caught.value} {caught.value.args} {caught.value.__cause__}"
        assert wrong not in told
        assert wrong[6:14] not in told


def test_a_person_may_be_older_than_the_code_of_the_place() -> None:
    # 渌口区 has its code since 2018; a child born the year before and registered late carries it.
    number = citizen("430212", date(2017, 12, 1), 11)
    assert citizen_number(number) == number


@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (citizen("990102", date(1990, 1, 1), 11), "no province"),
        ("43010219900230001X", "no date of birth"),
        (citizen("430102", date(1790, 1, 1), 11), "out of range"),
        (citizen("430102", date(2026, 11, 21), 11), "out of range"),
        ("430102900101001", "not of the form"),
    ],
)
def test_impossible_citizen_numbers_are_refused(number: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        citizen_number(number, TODAY)


@pytest.mark.parametrize(
    ("code", "day"),
    [
        ("430000", date(2026, 1, 1)),
        ("430100", date(2026, 1, 1)),
        ("430221", date(2017, 1, 1)),
        ("430212", date(2026, 1, 1)),
        ("420105", date(2026, 1, 1)),
    ],
)
def test_area_codes_in_use_are_accepted(code: str, day: date) -> None:
    assert area_code(code, day) == code


@pytest.mark.parametrize(
    ("code", "day", "problem"),
    [
        ("430221", date(2020, 1, 1), "not in use in 2020"),
        ("430212", date(2016, 1, 1), "not in use in 2016"),
        ("439999", date(2026, 1, 1), "unknown"),
        ("990000", date(2026, 1, 1), "unknown"),
        ("4301", date(2026, 1, 1), "not of the form"),
        ("43010a", date(2026, 1, 1), "not of the form"),
    ],
)
def test_other_area_codes_are_refused(code: str, day: date, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        area_code(code, day)


def test_every_place_of_the_directory_has_a_code_of_the_standard(directory: Directory) -> None:
    for place in directory.jurisdictions:
        assert area_code(place.code, place.valid_to or TODAY) == place.code
        assert area_code(place.code, place.valid_from) == place.code


@pytest.mark.parametrize("code", REAL_ITEM_CODES)
def test_real_item_codes_fall_into_their_parts(code: str) -> None:
    parts = item_code(code)
    assert (parts.body, parts.level, parts.basic) == (code[:18], "2", code[19:])
    assert parts.text == code
    assert item_code(code + "01", BUSINESS_LAYOUT).business == "01"


def test_provincial_variants_split_elsewhere() -> None:
    variant = ItemCodeLayout(body=9, level=1, basic=12)
    assert item_code("0101838592650116013001", variant).basic == "650116013001"


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        (REAL_ITEM_CODES[0][:-1], "has 30 characters"),
        (REAL_ITEM_CODES[0] + "01", "has 33 characters"),
        (REAL_ITEM_CODES[0].replace("F", "H"), "check character"),
        (REAL_ITEM_CODES[0][:-1] + "-", "other characters"),
    ],
)
def test_other_item_codes_are_refused(code: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        item_code(code)


BLOCKS = st.tuples(st.integers(1, 9999), st.integers(1, 9999)).map(lambda pair: (min(pair), max(pair)))


@given(
    st.sampled_from(REAL_ITEM_CODES),
    st.dates(date(1992, 1, 1), date(2099, 12, 31)),
    BLOCKS,
    st.integers(0, 60_000),
)
def test_a_case_number_can_be_read_again(code: str, day: date, serials: tuple[int, int], n: int) -> None:
    text = make_case_number(code, day, serials, n)
    assert len(text) <= 50
    number = case_number(text)
    assert (number.item.text, number.day) == (code, day)
    assert serials[0] <= number.serial <= serials[1]
    size = serials[1] - serials[0] + 1
    assert n == (number.serial - serials[0] if number.overflow is None else size - 1 + number.overflow)


@given(st.integers(2, 9999), st.integers(0, 30_000), st.integers(0, 30_000), st.booleans())
def test_case_numbers_never_collide(border: int, n: int, m: int, same_block: bool) -> None:  # noqa: FBT001 - drawn
    lower, upper = (1, border - 1), (border, 9999)
    one = make_case_number(REAL_ITEM_CODES[0], TODAY, lower, n)
    other = make_case_number(REAL_ITEM_CODES[0], TODAY, lower if same_block else upper, m)
    assert (one == other) == (same_block and n == m)


def test_the_block_comes_first_then_a_count() -> None:
    head = REAL_ITEM_CODES[0] + "20261120"
    numbers = [make_case_number(REAL_ITEM_CODES[0], TODAY, (5000, 5001), n) for n in range(4)]
    assert numbers == [f"{head}5000", f"{head}5001", f"{head}500000001", f"{head}500000002"]
    assert len(numbers[0]) == 43
    assert make_case_number(REAL_ITEM_CODES[0], TODAY, (5000, 5001), 10_000_000) == f"{head}50009999999"


@pytest.mark.parametrize(
    ("serials", "n", "field"),
    [((5, 4), 0, "serials"), ((1, 10_000), 0, "serials"), ((1, 9), -1, "n"), ((1, 9), 10_000_008, "n")],
)
def test_impossible_blocks_and_counts_are_refused(serials: tuple[int, int], n: int, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        make_case_number(REAL_ITEM_CODES[0], TODAY, serials, n)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        ("202611200001x", "form"),
        ("20261120001", "form"),
        ("202613200001", "date"),
        ("202611200001000001", "form"),
    ],
)
def test_other_case_numbers_are_refused(tail: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem):
        case_number(REAL_ITEM_CODES[0] + tail)


def test_a_case_number_with_a_mistyped_item_code_is_refused() -> None:
    with pytest.raises(Invalid, match="check character"):
        case_number(REAL_ITEM_CODES[0].replace("8", "9", 1) + "202611200001")
