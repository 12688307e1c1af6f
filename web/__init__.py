"""What all pages and APIs of a node share: who calls, errors, acts that are waited for, paging, templates."""

from web.acts import submit, submit_all
from web.app import create_app
from web.auth import Caller, Callers, KeysError, Role, new_key, require, signed_in
from web.context import Context
from web.edge import MAX_BODY
from web.pages import NAV, Pages, local_time
from web.paging import cursor, position
from web.problems import (
    FieldError,
    Problem,
    ProblemDetails,
    documented,
    etag,
    field_errors,
    invalid,
    problem_of,
    rule,
)
from web.traces import trace, trace_id
from web.versions import expected_version

__all__ = [
    "MAX_BODY",
    "NAV",
    "Caller",
    "Callers",
    "Context",
    "FieldError",
    "KeysError",
    "Pages",
    "Problem",
    "ProblemDetails",
    "Role",
    "create_app",
    "cursor",
    "documented",
    "etag",
    "expected_version",
    "field_errors",
    "invalid",
    "local_time",
    "new_key",
    "position",
    "problem_of",
    "require",
    "rule",
    "signed_in",
    "submit",
    "submit_all",
    "trace",
    "trace_id",
]
