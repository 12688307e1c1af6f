import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from jurisdictions import Finding, lint

Edit = Callable[[str, str, str], None]


def test_the_packaged_data_is_clean() -> None:
    assert lint() == []


def only(findings: list[Finding]) -> Finding:
    assert len(findings) == 1, findings
    return findings[0]


J, I, B, A = "jurisdictions.yaml", "items.yaml", "bodies.yaml", "agreements.yaml"  # noqa: E741 - the four files
C = "calendar-2026.yaml"
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
            "{acceptance: 8,",
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


def item_of(folder: Path, first: str, then: str) -> str:
    text = (folder / I).read_text("utf-8")
    return text[text.index(f"  - basic_code: {first}") : text.index(then)]


@pytest.mark.parametrize(
    ("changes", "where", "problem"),
    [
        ([], "items[002012001001].version", "twice"),
        ([("version: 1", "version: 2")], "items[002012001001].since", "too early"),
    ],
)
def test_versions_of_an_item_follow_each_other(
    folder: Path, edit: Edit, changes: list[tuple[str, str]], where: str, problem: str
) -> None:
    record = item_of(folder, "002012001001", "  # 2  ")
    again = record
    for old, new in changes:
        again = again.replace(old, new)
    edit(I, record, record + again)
    finding = only(lint(folder))
    assert (finding.where, problem in finding.problem) == (where, True)


@pytest.mark.parametrize(
    ("statutory", "promised", "longer"),
    [
        ("{unit: calendar_days, amount: 5}", "{unit: working_days, amount: 5}", False),
        ("{unit: calendar_days, amount: 5}", "{unit: working_days, amount: 6}", True),
        ("{unit: working_days, amount: 5}", "{unit: calendar_days, amount: 7}", False),
        ("{unit: at_once}", "{unit: working_days, amount: 1}", True),
        ("{unit: at_once}", "{unit: at_once}", False),
        ("{unit: working_days, amount: 5}", "{unit: at_once}", False),
        ("{unit: working_days, amount: 1}", "{unit: working_days, amount: 5, starts: window_end}", False),
    ],
)
def test_a_promise_is_no_longer_than_the_law(
    folder: Path, edit: Edit, statutory: str, promised: str, *, longer: bool
) -> None:
    edit(I, "statutory: {unit: working_days, amount: 15}", f"statutory: {statutory}")
    edit(I, "promised: {unit: working_days, amount: 5}", f"promised: {promised}")
    assert [finding.problem for finding in lint(folder)] == (["longer than statutory"] if longer else [])


def agreement_of(folder: Path, name: str) -> str:
    text = (folder / A).read_text("utf-8")
    start = text.index(f"  - id: {name}")
    return text[start : text.index("  - id:", start + 5)]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ([], "covers an acceptor and an item at the same time"),
        ([("since: 2021-07-01", "since: 2022-07-01")], "covers an acceptor and an item at the same time"),
        ([("430200]\n    owner", "440200]\n    owner")], "overlap with those of zhuzhou-for-changsha"),
        ([("430200]\n    owner", "440200]\n    owner"), ('"*"', "002012001001")], "overlap with those of"),
        ([("430200]\n    owner", "440200]\n    owner"), ("[5000, 5499]", "[9000, 9999]")], None),
        ([('"*"', "002012001001")], None),
        ([("since: 2021-07-01", "since: 2020-07-01\n    until: 2021-06-30")], None),
    ],
)
def test_agreements_of_one_owner_keep_apart(
    folder: Path, edit: Edit, changes: list[tuple[str, str]], problem: str | None
) -> None:
    record = agreement_of(folder, "zhuzhou-for-changsha")
    second = record.replace("id: zhuzhou-for-changsha", "id: second")
    for old, new in changes:
        assert old in second
        second = second.replace(old, new)
    edit(A, record, record + second)
    findings = lint(folder)
    if problem is None:
        assert findings == []
    else:
        finding = only(findings)
        assert finding.where.startswith("agreements[second]")
        assert problem in finding.problem


def test_an_owner_has_something_to_offer(folder: Path, edit: Edit) -> None:
    text = (folder / B).read_text("utf-8")
    start = text.index("  220000:")
    edit(B, text[start : text.index("\n  ", text.index("education", start))], "")
    problems = [finding.problem for finding in lint(folder)]
    assert "220000 offers no item" not in problems  # it names its item
    assert "220000 does not offer 000105001001" in problems
    edit(A, "[000105001001]", '["*"]')
    assert "220000 offers no item" in [finding.problem for finding in lint(folder)]


# From one version to the next


@pytest.fixture
def before(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "before"))


NEXT = ('version: "2026.1"', 'version: "2026.2"')


@pytest.mark.parametrize(
    ("file", "old", "new", "where", "problem"),
    [
        (
            J,
            "{acceptance: 8,",
            "{acceptance: 4,",
            "jurisdictions[430100].partitions.acceptance",
            "topic exists",
        ),
        (J, "  - code: 430103", "  - code: 430106", "jurisdictions[430103]", "removed"),
        (I, "amount: 5}", "amount: 4}", "items[002012001001 version 1]", "changed"),
        (A, "id: changsha-own", "id: changsha", "agreements[changsha-own]", "removed"),
    ],
)
def test_what_cases_under_way_need_is_kept(
    folder: Path, edit: Edit, before: Path, file: str, old: str, new: str, where: str, problem: str
) -> None:
    edit(file, *NEXT)
    edit(file, old, new)
    assert lint(folder) == []
    finding = only(lint(folder, before=before))
    assert (finding.file, finding.where) == (file, where)
    assert problem in finding.problem


@pytest.mark.parametrize("file", [J, I, B, A, C])
def test_new_content_has_a_new_version(folder: Path, edit: Edit, before: Path, file: str) -> None:
    changes = {
        J: ("name_en: Furong", "name_en: Furong District"),
        I: ("name_en: Photograph", "name_en: Photo"),
        B: ("    culture: ", "    # "),
        A: ("receipt_rule: window", "receipt_rule: owner"),
        C: ("name_en: Mid-Autumn,", "name_en: Mid-Autumn Festival,"),
    }
    edit(file, *changes[file])
    assert lint(folder) == []
    finding = only(lint(folder, before=before))
    assert (finding.file, finding.where) == (file, "version")
    edit(file, *NEXT)
    assert lint(folder, before=before) == []


def test_what_was_unreadable_before_is_named(folder: Path, before: Path) -> None:
    (before / A).unlink()
    assert only(lint(folder, before=before)).file == A
