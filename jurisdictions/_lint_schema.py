"""What is wrong with one file by itself, record by record, in words an office can act on."""

import re
from collections.abc import Iterator
from enum import Enum, EnumType
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import Struct

from jurisdictions._yaml import read_yaml

_File = TypeVar("_File", bound=Struct)
_LABELS: Final = ("id", "code", "basic_code")
_SEE_COMMENTS: Final = "what the comments at the top of the file describe"


class Finding(Struct, frozen=True, order=True):
    """Something wrong in a data folder: in which file, where in it, what, and what would be right."""

    file: str
    where: str
    problem: str
    expected: str

    def __str__(self) -> str:
        return f"{self.file}: {self.where}: {self.problem}; expected {self.expected}"


def read_checked(path: Path, schema: type[_File]) -> tuple[_File | None, list[Finding]]:
    """A file, or None and everything that keeps it from being read."""
    name = path.name
    try:
        raw = read_yaml(path.read_text("utf-8"))
    except FileNotFoundError:
        return None, [Finding(name, "-", "the file does not exist", f"a file {name} in the folder")]
    except UnicodeDecodeError:
        return None, [Finding(name, "-", "not in UTF-8", "the file saved in UTF-8")]
    except yaml.MarkedYAMLError as error:
        line = "-" if error.problem_mark is None else f"line {error.problem_mark.line + 1}"
        return None, [Finding(name, line, str(error.problem), "YAML in which each key stands once")]
    except yaml.YAMLError as error:
        return None, [Finding(name, "-", str(error), "YAML")]
    try:
        return msgspec.convert(raw, schema), []
    except msgspec.ValidationError as error:
        findings = list(_by_record(name, raw, schema)) if isinstance(raw, dict) else []
        return None, findings or [_finding(name, "", error, schema)]


def _by_record(name: str, raw: dict[Any, Any], schema: type[Struct]) -> Iterator[Finding]:
    hints = get_type_hints(schema, include_extras=True)
    for unknown in raw.keys() - hints.keys():
        yield Finding(name, str(unknown), "unknown field", f"one of {', '.join(hints)}")
    for field, hint in hints.items():
        if field not in raw:
            yield Finding(name, field, "missing", _SEE_COMMENTS)
            continue
        for where, value, kind in _records(field, raw[field], hint):
            try:
                msgspec.convert(value, kind)
            except msgspec.ValidationError as error:
                yield _finding(name, where, error, kind)


def _records(field: str, value: Any, hint: Any) -> Iterator[tuple[str, Any, Any]]:
    """The parts of a field that are checked on their own, so that one broken record does not hide the next."""
    if get_origin(hint) is tuple and isinstance(value, list):
        kind = get_args(hint)[0]
        for index, record in enumerate(value):
            label: Any = index
            if isinstance(record, dict):
                label = next((record[key] for key in _LABELS if key in record), index)
            yield f"{field}[{label}]", record, kind
    elif get_origin(hint) is dict and isinstance(value, dict):
        for key, record in value.items():
            yield f"{field}", {key: record}, hint
    else:
        yield field, value, hint


def _finding(name: str, where: str, error: msgspec.ValidationError, kind: Any) -> Finding:
    """Msgspec says "Expected `int`, got `str` - at `$.promised.amount`"."""
    problem, _, at = str(error).partition(" - at ")
    path = at.replace("`", "").removeprefix("$")
    here = _kind_at(kind, path)
    expected = _SEE_COMMENTS
    if wanted := re.fullmatch("Expected `(.+)`, got `(.+)`", problem):
        problem, expected = f"is {wanted[2]}", wanted[1]
    elif problem.startswith("Expected "):
        problem, expected = "is not allowed", problem.removeprefix("Expected ").replace("`", "")
    elif missing := re.fullmatch("Object missing required field `(.+)`", problem):
        problem, path = "is missing", f"{path}.{missing[1]}"
    elif isinstance(here, EnumType):
        members: list[Enum] = list(here)
        expected = f"one of {', '.join(str(member.value) for member in members)}"
    elif "unknown field" in problem and isinstance(here, type) and issubclass(here, Struct):
        expected = f"one of {', '.join(here.__struct_fields__)}"
    elif "; expected " in problem:
        problem, _, expected = problem.partition("; expected ")
    return Finding(name, (where + path).removeprefix(".") or "-", problem, expected)


def _kind_at(kind: Any, path: str) -> Any:
    """The type at a path such as `.statutory.unit` or `.modes[0]`."""
    for step in re.findall(r"\.[a-z_]+|\[[^]]*\]", path):
        kind = _plain(kind)
        if step.startswith("."):
            if not (isinstance(kind, type) and issubclass(kind, Struct)):
                return None
            kind = get_type_hints(kind, include_extras=True)[step[1:]]
        else:
            kind = next((arg for arg in reversed(get_args(kind)) if arg is not Ellipsis), None)
    return _plain(kind)


def _plain(kind: Any) -> Any:
    """Without Annotated and `| None`."""
    while get_origin(kind) is Annotated or NoneType in get_args(kind):
        kind = next(arg for arg in get_args(kind) if arg is not NoneType)
    return kind
