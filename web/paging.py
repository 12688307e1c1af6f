"""Opaque cursors: where a list goes on. Callers keep them as they are and look into none."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar

import msgspec

from web.problems import FieldError, Problem

T = TypeVar("T")


def cursor(*position: str | int) -> str:
    """A position as text for a URL."""
    return urlsafe_b64encode(msgspec.msgpack.encode(position)).rstrip(b"=").decode()


def _stored(part: str | int) -> bool:
    """Whether a database can be asked for it: 64 bits, and no zero byte."""
    return "\0" not in part if isinstance(part, str) else -(2**63) <= part < 2**63


def position(text: str, kind: type[T], field: str = "after") -> T:
    """The position in a cursor; `kind` is the type of its tuple: `tuple[int, str]`.

    Raises:
        Problem: 422 `bad_cursor`, not one of ours.
    """
    try:
        found = msgspec.msgpack.decode(urlsafe_b64decode(text + "=" * (-len(text) % 4)), type=kind)
    except (ValueError, msgspec.DecodeError):
        found = None
    if found is None or not all(map(_stored, found)):  # type: ignore[call-overload]  # a tuple, as its caller says
        detail = "请使用上一次返回的游标 / use the cursor that was given last, unchanged"
        wrong = FieldError(field, "不是本系统的游标 / is no cursor of ours", "the last answer's cursor")
        raise Problem(422, "bad_cursor", detail, [wrong])
    return found
