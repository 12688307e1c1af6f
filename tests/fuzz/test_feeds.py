"""Files that come in from elsewhere: whatever stands in them is read, or told by a FeedError, soon and in little memory."""

import gzip
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producers.feeds import FeedError, load_mapping, read_cases, read_plans
from tests.applications import BODY, CSV
from tests.fuzz.profile import fuzz

MAPPING = load_mapping()
LOG = (
    b"case:concept:name,concept:name,time:timestamp,org:resource\n"
    b'1,Confirmation of receipt,2011-10-11T13:45:40+02:00,"desk, one"\n'
    b"1,T10 Determine necessity to stop indication,2011-10-12T08:26:25+02:00,web\n"
    b"2,Confirmation of receipt,2011-10-12T08:26:25Z,web\n"
)
XES = (
    b'<?xml version="1.0" encoding="UTF-8"?><log xmlns="http://www.xes-standard.org/"><trace>'
    b'<string key="concept:name" value="1"/><event><string key="concept:name" value="Confirmation of receipt"/>'
    b'<date key="time:timestamp" value="2011-10-11T13:45:40+02:00"/></event></trace></log>'
)
HEAD, ROW, _ = CSV.split("\n")
WHOLE = {
    "log.csv": LOG,
    "log.xes": XES,
    "cases.csv": HEAD.encode() + b",key\n" + ROW.encode() + b",k1\n",
    "cases.json": json.dumps([BODY, BODY], ensure_ascii=False).encode(),
    "cases.jsonl": (json.dumps(BODY, ensure_ascii=False) + "\n").encode() * 2,
}
PIECES = (
    b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\x1f\x8b", b'"', b'""', b'",', b"\r", b"\r\n", b"\n\n", b",,,", b"=",
    b";", b"<", b"</log>", b"<trace>", b"<event>", b"]]>", b"<![CDATA[", b"&x;", b"&#0;", b"&#xD800;", b"<?xml",
    b'<!DOCTYPE log [<!ENTITY a "b">]>', b'<string key="a"/>', b"{", b"[", b"null", b"1e999", b"-0", b"\\ud800", b"\\u0000",
    b"NaN", b"9" * 400, b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59-23:59", b"key,key", b"a" * 5000,
    '<?xml version="1.0" encoding="UTF-16"?>'.encode("utf-16"), b'encoding="utf-7"', b'encoding="cp037"', b'encoding="x"',
)  # fmt: skip


def read(path: Path) -> int:
    """How many things stand in it; raises FeedError alone."""
    read_all: Callable[[Path], Iterator[Any]] = (
        read_cases if path.name.startswith("cases") else lambda log: read_plans(log, MAPPING)
    )
    return sum(1 for _ in read_all(path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("feeds")


@pytest.mark.parametrize("name", WHOLE)
def test_the_whole_file_is_read(folder: Path, name: str) -> None:
    path = folder / name
    path.write_bytes(WHOLE[name])
    assert read(path) == (2 if name not in {"cases.csv", "log.xes"} else 1)


@fuzz(6)
@given(
    name=st.sampled_from(list(WHOLE)),
    edits=st.lists(
        st.tuples(st.integers(0, 700), st.integers(0, 30), st.sampled_from(PIECES) | st.binary(max_size=9)),
        min_size=1,
        max_size=4,
    ),
    packed=st.sampled_from(["", "gz", "gz cut", "gz damaged"]),
)
def test_a_mangled_file_is_read_or_told(
    folder: Path, name: str, edits: list[tuple[int, int, bytes]], packed: str
) -> None:
    content = WHOLE[name]
    for at, length, piece in edits:
        place = at % (len(content) + 1)
        content = content[:place] + piece + content[place + length :]
    if packed:
        content = gzip.compress(content, 1, mtime=0)
    if packed == "gz cut":
        content = content[: -edits[0][0] % len(content)]
    elif packed == "gz damaged":
        place = edits[0][0] % len(content)
        content = content[:place] + edits[0][2] + content[place + len(edits[0][2]) :]
    path = folder / name
    path.write_bytes(content)
    try:
        read(path)
    except FeedError as error:
        assert error.problem and error.expected and len(str(error)) < 500  # noqa: PT017, PT018 - either is right


@fuzz(2)
@given(name=st.sampled_from([*WHOLE, "cases", "log", "log.xes.csv.gz"]), content=st.binary(max_size=200))
def test_any_bytes_are_read_or_told(folder: Path, name: str, content: bytes) -> None:
    path = folder / name
    path.write_bytes(content)
    try:
        read(path)
    except FeedError as error:
        assert error.problem  # noqa: PT017 - either outcome is right


BOMBS = (
    # the file, its beginning, what is repeated, how often
    ("log.csv", "", "%d,", 140_000),
    ("log.xes", "", "<log><trace><event>" * 100, 30_000),
    ("log.xes", "<log><trace>", '<string key="k%d" value=""/>', 200_000),
    ("cases.json", "", "[" * 100, 100_000),
    ("cases.jsonl", "", '{"a":', 100_000),
    ("cases.json", '"', "a" * 1000, 200_000),
    ("cases.csv", '"', "x\n" * 1000, 200_000),
    ("cases.csv", "", "a." * 10 + "%d,", 35_000),
)
CHILD = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_AS, (768 << 20, 768 << 20))
from tests.fuzz.test_feeds import read
from producers.feeds import FeedError
for path in sys.argv[1:]:
    try:
        print(path, read(Path(path)))
    except FeedError as error:
        print(path, "told:", error)
"""


def test_bombs_are_defused_soon_and_in_little_memory(tmp_path: Path) -> None:
    """Small files that unpack to much: 0.75 GB of addresses must do, and no time that grows with the square."""
    paths = []
    for number, (name, head, piece, times) in enumerate(BOMBS):
        path = tmp_path / str(number) / f"{name}.gz"
        path.parent.mkdir()
        with gzip.open(path, "wt", 1) as file:
            file.write(head)
            file.writelines(piece.replace("%d", str(n)) for n in range(times))
        paths.append(str(path))
    run = subprocess.run(
        [sys.executable, "-c", CHILD, *paths], capture_output=True, text=True, timeout=120, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
    assert len(run.stdout.splitlines()) == len(BOMBS)
