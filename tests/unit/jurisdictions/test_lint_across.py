"""What no single record of a data folder can say about itself: versions, promises, agreements beside each other."""

from pathlib import Path

import pytest

from jurisdictions import lint
from tests.unit.jurisdictions.findings import A, B, Edit, I, only


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
