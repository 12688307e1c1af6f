from pathlib import Path

import pytest

from jurisdictions import lint
from tests.unit.jurisdictions.findings import A, B, C, Edit, I, J, only


def test_the_packaged_data_is_clean() -> None:
    assert lint() == []


EAST = """\
  - code: 430102
    name_zh: 东区
    name_en: East
    level: county
    parent: 430100
    valid_from: 1983-01-01
    valid_to: 1996-07-01
"""
OWN_430781 = "    acceptors: [430781]\n    owner: 430781\n"


@pytest.mark.parametrize(
    ("file", "old", "new", "where", "problem", "expected"),
    [
        # one file by itself
        (
            J,
            "level: city",
            "level: town",
            "jurisdictions[430100].level",
            "Invalid enum",
            "one of province, city",
        ),
        (J, "code: 430102", "code: 4301", "jurisdictions[4301].code", "is int", "str"),
        (J, "    name_en: Furong\n", "", "jurisdictions[430102].name_en", "missing", "comments"),
        (J, "name_en: Furong", "name: Furong", "jurisdictions[430102]", "field `name", "code, name_zh"),
        (
            J,
            "valid_from: 2011-05-20",
            "valid_from: 2011-05-32",
            "jurisdictions[430112].valid_from",
            "date",
            "comments",
        ),
        (
            J,
            "stages: [acceptance,",
            "stages: [accept,",
            "jurisdictions[430100].stages[0]",
            "Invalid",
            "acceptance, review",
        ),
        (
            J,
            "{acceptance: 2,",
            "{acceptance: 9,",
            "jurisdictions[430100].partitions",
            "not allowed",
            "int <= 8",
        ),
        (
            J,
            "closes: 12:00:00",
            "closes: 08:00:00",
            "jurisdictions[433101].office_hours[0]",
            "not after opens",
            "later",
        ),
        (J, "opens: 13:30:00", "opens: 11:30:00", "jurisdictions[433101]", "overlap", "one after the other"),
        (
            J,
            "valid_to: 2017-04-09",
            "valid_to: 1970-01-01",
            "jurisdictions[430124]",
            "before valid_from",
            "last valid",
        ),
        (
            J,
            "[acceptance, review, pickup]",
            "[acceptance]",
            "jurisdictions[430100]",
            "not offered",
            "list above",
        ),
        (J, "[acceptance, review,", "[acceptance, acceptance,", "jurisdictions[430100]", "twice", "once"),
        (I, "amount: 15}", "amount: fifteen}", "items[002012001001].statutory.amount", "is str", "int"),
        (
            I,
            "{unit: working_days, amount: 15}",
            "{unit: days, amount: 15}",
            "statutory.unit",
            "Invalid",
            "calendar_days",
        ),
        (I, "{unit: at_once}", "{unit: at_once, amount: 1}", "promised", "at once", "no amount"),
        (I, "{id_card: yes, diploma", "{id_card: true, diploma", "materials[...]", "is bool", "str"),
        (I, "authorities:", "authority:", "authority", "unknown field", "authorities"),
        (I, "name_en: Notary Office}", "name_fr: Notaire}", "authorities[...]", "field", "name"),
        (B, 'version: "2026.1"', "version: 2026", "version", "is int", "str"),
        (B, 'version: "2026.1"', 'version: "new"', "version", "not allowed", "matching regex"),
        (
            A,
            "serials: [1, 4999]",
            "serials: [4999, 1]",
            "agreements[changsha-own]",
            "end before",
            "first, last",
        ),
        (
            A,
            "serials: [1, 4999]",
            "serials: [1, 10000]",
            "agreements[changsha-own].serials[1]",
            "not allowed",
            "int <= 9999",
        ),
        (
            A,
            'items: ["*"]',
            'items: ["*", 002012001001]',
            "agreements[changsha-own]",
            "beside",
            "basic codes",
        ),
        (
            A,
            "acceptors: [430100]",
            "acceptors: []",
            "agreements[changsha-own].acceptors",
            "not allowed",
            ">= 1",
        ),
        (
            A,
            "since: 2020-01-01",
            "since: 2020-01-01\n    until: 2019-01-01",
            "changsha-own",
            "before since",
            "last day",
        ),
        (A, "    owner: 430100\n", "    owner: 430100\n    owner: 430200\n", "line ", "twice", "once"),
        (A, "agreements:", "agreements: [", "line ", "", "YAML"),
        (C, "last: 2026-01-03", "last: 2025-01-03", "holidays[0]", "before first", "last day off"),
        # files against each other
        (J, "parent: 430100", "parent: 430199", "jurisdictions[430102].parent", "unknown code", "a code"),
        (
            J,
            "parent: 430100",
            "parent: 430200",
            "jurisdictions[430102].parent",
            "does not fit",
            "begins with 4301",
        ),
        (
            J,
            "parent: 430100",
            "parent: null",
            "jurisdictions[430102].parent",
            "missing for a county",
            "above",
        ),
        (
            J,
            "parent: 430100",
            "parent: 430103",
            "jurisdictions[430102].parent",
            "county above a county",
            "higher",
        ),
        (J, "successor: 430182", "successor: 430199", "jurisdictions[430124].successor", "unknown", "a code"),
        (
            J,
            "valid_to: 2017-04-09",
            "valid_to: null",
            "jurisdictions[430124].valid_to",
            "missing",
            "last day",
        ),
        (
            J,
            "successor: 430182",
            "successor: 430182\n    stages: [review]",
            "jurisdictions[430124].stages",
            "abolished",
            "none",
        ),
        (
            J,
            "  - code: 430103",
            EAST + "  - code: 430103",
            "jurisdictions[430102]",
            "same time",
            "before valid_from",
        ),
        (
            I,
            "authority: notary",
            "authority: notaries",
            "items[002012001001].authority",
            "unknown",
            "authorities",
        ),
        (
            I,
            "{id_card: yes, diploma",
            "{card: yes, diploma",
            "items[002012001001].materials.card",
            "unknown",
            "materials",
        ),
        (I, "amount: 5}", "amount: 16}", "items[002012001001].promised", "longer than statutory", "at most"),
        (
            I,
            "{statutory: K, pro",
            "{statutory: null, pro",
            "items[002012001001].sources.statutory",
            "not fit",
            "K, P",
        ),
        (B, "  430100:", "  430199:", "bodies.430199", "unknown code", "jurisdictions"),
        (B, "    notary:", "    notaries:", "bodies.430100.notaries", "unknown authority", "items"),
        (B, "notary: 12", "notary: 13", "bodies.430100.notary", "check character", "typing error"),
        (
            A,
            "pickup: [430100,",
            "pickup: [430199,",
            "agreements[changsha-own].pickup",
            "unknown code",
            "a code",
        ),
        (
            A,
            "pickup: [430100,",
            "pickup: [430700,",
            "changsha-own].pickup",
            "430700 does not offer pickup",
            "offers",
        ),
        (
            A,
            "pickup: [430100,",
            "pickup: [430221,",
            "changsha-own].pickup",
            "abolished after 2018-06-18",
            "430212",
        ),
        (
            A,
            "acceptors: [430100]",
            "acceptors: [430100, 430200]",
            "changsha-own].acceptors",
            "one block",
            "each",
        ),
        (A, "id: zhuzhou-own", "id: changsha-own", "agreements[changsha-own].id", "twice", "its own"),
        (A, "[000105001001]", "[999999999999]", "agreements[jilin-own].items", "unknown item", "basic code"),
        (
            A,
            "[000105001001]",
            "[002012001001]",
            "agreements[jilin-own].items",
            "220000 does not offer",
            "body",
        ),
        (
            A,
            "serials: [5000, 5499]",
            "serials: [4999, 5499]",
            "].serials",
            "overlap with those of",
            "no other",
        ),
        (
            A,
            OWN_430781,
            OWN_430781.replace("[430781]", "[433101]"),
            "agreements of 430781",
            "own windows",
            "430781",
        ),
        (C, "year: 2026", "year: 2028", "year", "not the file's", "2026"),
        (C, "published: 2025-11-04", "published: null", "source", "not fit published", "both"),
        (C, "last: 2026-10-07", "last: 2026-10-02", "holidays", "10-3 is missing", "every holiday"),
        (
            C,
            "last: 2026-10-07",
            "last: 2027-01-02",
            "holidays",
            "2027-01-01 is in another year",
            "days of 2026",
        ),
        (C, "2026-01-04, ", "2026-01-05, ", "working_weekends", "no weekend", "Saturday"),
        (C, "2026-01-04, ", "2026-01-03, ", "working_weekends", "holiday as well", "one or the other"),
    ],
)
def test_what_is_broken_is_named(
    folder: Path, edit: Edit, file: str, old: str, new: str, where: str, problem: str, expected: str
) -> None:
    edit(file, old, new)
    findings = lint(folder)
    matching = [
        finding
        for finding in findings
        if finding.file == file
        and where in finding.where
        and problem in finding.problem
        and expected in finding.expected
    ]
    assert matching, findings
    assert str(matching[0]).startswith(f"{file}: ")


def test_every_broken_record_is_named_at_once(folder: Path, edit: Edit) -> None:
    edit(A, "power: accept", "power: take")
    edit(A, "mode: direct\n    receipt_rule: window", "mode: direct\n    receipt_rule: both")
    edit(I, "regime: notarial", "regime: notary")
    edit(B, "bodies:\n", "bodies:\n  43: {}\n")
    found = {(finding.file, finding.where) for finding in lint(folder)}
    assert found >= {(A, "agreements[changsha-own].power"), (I, "items[002012001001].regime")}
    assert any(file == B for file, _ in found)


@pytest.mark.parametrize("file", [J, I, B, A])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    assert only(lint(folder)).problem == "the file does not exist"


@pytest.mark.parametrize("content", [b"", b"- 430100", b"agreements", b"\xff\xfe\x00", b"a: \x01"])
def test_what_is_no_data_file_is_named(folder: Path, content: bytes) -> None:
    (folder / A).write_bytes(content)
    assert only(lint(folder)).file == A


def test_a_folder_needs_calendars(folder: Path) -> None:
    for path in folder.glob("calendar-*.yaml"):
        path.unlink()
    assert only(lint(folder)).file == "calendar-*.yaml"


def test_codes_need_no_quotes_and_words_are_words(folder: Path, edit: Edit) -> None:
    edit(J, "code: 430100", 'code: "430100"')
    edit(I, "authorisation: no}", 'authorisation: "no"}')
    assert lint(folder) == []


def test_a_body_belongs_to_one_owner(folder: Path, edit: Edit) -> None:
    text = (folder / B).read_text("utf-8")
    changsha, zhuzhou = [line for line in text.split("\n") if line.startswith("    notary:")][:2]
    edit(B, zhuzhou, changsha)
    assert "430100 too" in only(lint(folder)).problem
