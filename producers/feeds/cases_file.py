"""Files of applications, as a system exports them that can't call an API: JSON, JSON Lines or CSV.

JSON has the form of `CaseSubmitted`, one object or a list. A CSV has the same fields by their dotted names, for instance

    item_code,belonging,channel,applicant.person.name,…,form.reason,materials,delivery.kind,delivery.jurisdiction

where `form.X` is the answer to the question X, and `materials` names them as `id_card=居民身份证;photo=证件照片`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from producers.feeds.csvlog import read_csv
from producers.feeds.files import MAX_BYTES, Feed, FeedError
from producers.feeds.rows import Row
from schemas.models import CaseSubmitted, MaterialForm

MAX_JSON: Final = 64 << 20
"""Bytes of a JSON document, which is read whole; JSON Lines and CSV may have up to `files.MAX_BYTES`."""
KEY_COLUMN: Final = "key"

_FORM: Final = "form"
_MATERIALS: Final = "materials"


class FiledCase(msgspec.Struct, frozen=True):
    """One application of a file: its place there (line, or number in a JSON list, from 1) and idempotency key.

    The key is the file's own, or follows from the content: the same file sent twice makes each case once, and equal
    applications within one file are cases of their own.
    """

    place: int
    key: str
    submission: CaseSubmitted


def read_cases(path: Path) -> Iterator[FiledCase]:
    """The applications of a file (`.json`, `.jsonl` or `.csv`, also gzipped), in their order.

    Raises:
        FeedError: the file or one of its values is wrong; names line and field.
        OSError: it can't be read.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    reader = _READERS.get(suffixes[-1] if suffixes else "")
    if reader is None:
        raise FeedError(
            path.name, "is no file of applications by its name", "a name that ends in .json, .jsonl or .csv"
        )
    seen: Counter[bytes] = Counter()
    with Feed(path, MAX_JSON if reader is _read_json else MAX_BYTES) as feed:
        for place, key, body in reader(feed):
            try:
                submission = msgspec.convert(body, CaseSubmitted)
            except msgspec.ValidationError as error:
                problem, _, field = str(error).partition(" - at ")
                expected = "a value as the contract CaseSubmitted has it"
                raise feed.error(
                    problem, expected, line=place, column=field.strip("`").removeprefix("$.")
                ) from None
            yield FiledCase(place, key or _key(submission, seen), submission)


def _key(submission: CaseSubmitted, seen: Counter[bytes]) -> str:
    digest = hashlib.sha256(msgspec.json.encode(submission)).digest()
    seen[digest] += 1
    return f"file-{digest.hex()[:40]}-{seen[digest]}"


_Body = tuple[int, str, Any]


def _read_json(feed: Feed) -> Iterator[_Body]:
    document = _decoded(feed, b"".join(feed.chunks()), "one object, or a list of objects")
    for number, body in enumerate(document if isinstance(document, list) else [document], 1):
        yield number, "", body


def _read_json_lines(feed: Feed) -> Iterator[_Body]:
    for number, line in enumerate(feed.lines(), 1):
        if not line.strip():
            continue
        yield number, "", _decoded(feed, line, "one object on each line", number)


def _decoded(feed: Feed, text: bytes | str, expected: str, line: int | None = None) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise feed.error(f"is no JSON ({error})", expected, line=line) from None
    except RecursionError:
        raise feed.error("is nested too deeply", expected, line=line) from None


def _read_csv(feed: Feed) -> Iterator[_Body]:
    for row in read_csv(feed):
        body: dict[str, Any] = {}
        form: list[dict[str, str]] = []
        for column, text in row.values.items():
            value = text.strip()
            if not value or column == KEY_COLUMN:
                continue
            if column == _MATERIALS:
                body[_MATERIALS] = _materials(feed, row, value)
            elif column.startswith(f"{_FORM}."):
                form.append({"name": column.removeprefix(f"{_FORM}."), "value": value})
            else:
                _put(feed, row, body, column, value)
        if form:
            body[_FORM] = form
        yield row.line, row.values.get(KEY_COLUMN, "").strip(), body


def _materials(feed: Feed, row: Row, text: str) -> list[dict[str, Any]]:
    found = []
    for entry in text.split(";"):
        code, separator, name = (part.strip() for part in entry.partition("="))
        if not (code and separator and name):
            raise feed.error(
                "is no list of materials", "code=name;code=name", line=row.line, column=_MATERIALS
            )
        found.append({"code": code, "name": name, "form": MaterialForm.ELECTRONIC.value, "may_follow": False})
    return found


def _put(feed: Feed, row: Row, body: dict[str, Any], column: str, value: str) -> None:
    *path, last = column.split(".")
    inner = body
    for name in path:
        inner = inner.setdefault(name, {})
        if not isinstance(inner, dict):
            raise feed.error(
                "is both a value and a group of values", "one of the two", line=row.line, column=column
            )
    if last in inner:
        raise feed.error(
            "is both a value and a group of values", "one of the two", line=row.line, column=column
        )
    inner[last] = value


_READERS: Final[dict[str, Callable[[Feed], Iterator[_Body]]]] = {
    ".json": _read_json,
    ".jsonl": _read_json_lines,
    ".csv": _read_csv,
}
