"""Files of applications: the three forms say the same, and the same file sent twice has the same keys."""

import gzip
import json
from pathlib import Path

import pytest

from producers.feeds import FeedError, read_cases
from tests.applications import BODY, CSV


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    content = text.encode()
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def test_the_forms_say_the_same(tmp_path: Path) -> None:
    one = json.dumps(BODY, ensure_ascii=False)
    texts = {
        "one.json": one,
        "list.json.gz": f"[{one}]",
        "lines.jsonl": f"{one}\n\n",
        "table.csv": CSV,
        "table.csv.gz": CSV,
    }
    found = [list(read_cases(write(tmp_path, name, text))) for name, text in texts.items()]
    assert all(len(cases) == 1 for cases in found)
    assert {cases[0].key for cases in found} == {found[0][0].key}
    assert all(cases[0].submission == found[0][0].submission for cases in found)


def test_equal_applications_in_one_file_are_cases_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path, "list.json", json.dumps([BODY, BODY]))
    keys = [case.key for case in read_cases(path)]
    assert len(set(keys)) == 2
    assert keys == [case.key for case in read_cases(path)]


def test_a_file_may_bring_its_own_keys(tmp_path: Path) -> None:
    head, row, _ = CSV.split("\n")
    path = write(tmp_path, "table.csv", f"key,{head}\nours-7,{row}\n")
    assert [case.key for case in read_cases(path)] == ["ours-7"]


@pytest.mark.parametrize(
    ("name", "text", "line", "column"),
    [
        ("a.json", "{", None, ""),
        ("a.json", json.dumps([BODY, BODY | {"channel": "pigeon"}]), 2, "channel"),
        ("a.json", json.dumps(BODY | {"delivery": {"kind": "post"}}), 1, "delivery"),
        ("a.json", "[1]", 1, ""),
        ("a.jsonl", f"{json.dumps(BODY)}\nnothing\n", 2, ""),
        ("a.csv", CSV.replace("id_card=", "id_card:"), 2, "materials"),
        ("a.csv", CSV.replace("channel,", "colour,"), 2, ""),
        ("a.csv", CSV.replace("channel,", "delivery,"), 2, "delivery.kind"),
        ("a.xlsx", "", None, ""),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, text: str, line: int | None, column: str) -> None:
    with pytest.raises(FeedError) as caught:
        list(read_cases(write(tmp_path, name, text)))
    assert (caught.value.line, caught.value.column) == (line, column)
    assert "11010519491231002X" not in str(caught.value)
    assert "张三" not in str(caught.value)
