"""Optimistic concurrency: a case's version as entity tag (RFC 9110, 8.8.3 and 13.1.1)."""

import re

from web.problems import Problem

_TAG = re.compile('"([0-9]{1,18})"')


def expected_version(if_match: str | None) -> int | None:
    """The version that a request's `If-Match` wants the case to have; None if any will do.

    Raises:
        Problem: 412, no version has such a tag.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        detail = "If-Match: 没有这样的版本 / no version has this tag"
        raise Problem(412, "version_conflict", detail)
    return int(tag[1])
