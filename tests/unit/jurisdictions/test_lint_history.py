"""From one version of the data files to the next."""

import shutil
from pathlib import Path

import pytest

from jurisdictions import lint
from tests.unit.jurisdictions.findings import A, B, C, Edit, I, J, only


@pytest.fixture
def before(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "before"))


NEXT = ('version: "2026.1"', 'version: "2026.2"')


@pytest.mark.parametrize(
    ("file", "old", "new", "where", "problem"),
    [
        (
            J,
            "{acceptance: 2,",
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
