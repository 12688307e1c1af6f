"""Data files as an office may mangle them: the linter finds, the loader refuses, and nothing else ever happens."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from jurisdictions import Directory, Finding, Invalid, lint, load_directory, read_yaml
from tests.fuzz.profile import fuzz

PACKAGED = Path(lint.__code__.co_filename).parent / "data"
FILES = ("jurisdictions.yaml", "items.yaml", "bodies.yaml", "agreements.yaml", "calendar-2026.yaml")
LINES = {name: (PACKAGED / name).read_text("utf-8").splitlines() for name in FILES}
VALUES = (
    "", "~", "null", "true", "0", "-1", "99999", "123456", "1e9", ".inf", "0x10", "1_000", "2026-02-30", "9999-12-31",
    "0001-01-01", "no", "[]", "{}", "[[]]", "{a: b}", "'", '"', "|", ">", "&a", "*a", "!!int x", "!!binary x", "!!set {a}",
    "!!timestamp x", "!python/object:x y", "<<", "? [a]", "a: b: c", "- -", "%", "@", "`", "\t", "\0", "\x85", "\u2028",
    "长" * 300, "430100", "430199", "city", "working_days", "---", "...", "#",
)  # fmt: skip
edits = st.tuples(
    st.sampled_from(FILES),
    st.sampled_from(["value", "drop", "twice", "indent", "line", "cut", "swap"]),
    st.integers(0, 2000),
    st.sampled_from(VALUES) | st.text(max_size=10).map(lambda text: text.encode(errors="replace").decode()),
)


def edited(lines: list[str], what: str, at: int, value: str) -> list[str]:
    at %= max(1, len(lines))
    line = lines[at] if lines else ""
    match what:
        case "value":
            new = [re.sub(r"(: |- ).*", lambda found: found[1] + value, line, count=1)]
        case "drop":
            new = []
        case "twice":
            new = [line, line]
        case "indent":
            new = ["  " + line]
        case "cut":
            return lines[:at]
        case "swap":
            return [*lines[:at], *lines[at + 1 : at + 2], line, *lines[at + 2 :]]
        case _:
            new = [value]
    return [*lines[:at], *new, *lines[at + 1 :]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("directory")


def fresh(folder: Path) -> Path:
    shutil.copytree(PACKAGED, folder, dirs_exist_ok=True)
    return folder


def judged(folder: Path) -> list[Finding]:
    """What the linter says; the loader must take what the linter finds nothing wrong with."""
    findings = lint(folder, before=PACKAGED)
    for finding in findings:
        assert finding.problem
        assert finding.expected
        assert len(str(finding)) < 2000
    try:
        directory = load_directory(folder)
    except Invalid:
        assert findings, "refused, and the linter does not say why"
    else:
        assert isinstance(directory, Directory)
    return findings


@fuzz(0.3)
@given(changes=st.lists(edits, min_size=1, max_size=3))
def test_a_mangled_folder_has_findings_or_is_loaded(
    folder: Path, changes: list[tuple[str, str, int, str]]
) -> None:
    fresh(folder)
    texts = dict(LINES)
    for name, what, at, value in changes:
        texts[name] = edited(texts[name], what, at, value)
    for name in {change[0] for change in changes}:
        (folder / name).write_text("\n".join(texts[name]) + "\n", "utf-8")
    judged(folder)


@fuzz(0.3)
@given(name=st.sampled_from(FILES), content=st.binary(max_size=60))
def test_a_file_of_any_bytes_is_a_finding(folder: Path, name: str, content: bytes) -> None:
    fresh(folder)
    (folder / name).write_bytes(content)
    assert judged(folder)


BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (BOMB + "\njurisdictions: [{code: *a29}]", "anchor"),
        ("jurisdictions: " + "[" * 1_000_000, "nested too deeply"),
        ("- " * 1_000_000, "nested too deeply"),
        ("version: !!int x", "tag"),
        ("? [a]\n: b", "key is no text"),
        ("a: 1\n---\na: 2", "second document"),
        ("a: " + "x" * 5_000_000, "unknown field"),
    ],
)
def test_a_bomb_is_a_finding(folder: Path, text: str, problem: str) -> None:
    fresh(folder)
    (folder / "jurisdictions.yaml").write_text(text, "utf-8")
    assert problem in str(judged(folder)[0]) + str(judged(folder)[-1])


SCALARS: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 99_999),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Cn", "Co"]), max_size=12),
)
DATA = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abcä长 :#-", max_size=6), inner, max_size=4)
    ),
    max_leaves=20,
)


@fuzz()
@given(data=DATA)
def test_what_is_written_is_read_as_it_was(data: Any) -> None:
    """JSON is YAML with all texts in quotes."""
    assert read_yaml(json.dumps(data, ensure_ascii=False)) == data


@fuzz(3)
@given(text=st.text(max_size=60))
def test_any_text_is_data_or_a_yaml_error(text: str) -> None:
    try:
        read_yaml(text.encode(errors="replace").decode())
    except yaml.YAMLError as error:
        assert str(error)  # noqa: PT017 - either outcome is right
