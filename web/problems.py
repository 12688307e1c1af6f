"""Errors as RFC 9457 problem details. They name the field and the rule, and never repeat a value."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from pydantic_core import PydanticCustomError
from sqlalchemy.exc import InterfaceError, OperationalError
from starlette.exceptions import HTTPException

from bus import BusError, Busy, CaseHeld, CommandRefused, KeyReused, Unavailable, VersionConflict
from jurisdictions import Invalid

MEDIA_TYPE = "application/problem+json"

_TITLES = {
    "invalid": ("内容不符合规则", "The request breaks a rule"),
    "unauthenticated": ("未认证", "Not authenticated"),
    "forbidden": ("无权限", "Not allowed"),
    "not_found": ("没有找到", "Not found"),
    "unknown_case": ("没有此办件", "No such case"),
    "method_not_allowed": ("不支持此方法", "Method not allowed"),
    "too_large": ("请求过大", "Too large"),
    "version_conflict": ("办件已有变化", "The case has changed meanwhile"),
    "key_reused": ("幂等键已用于其他请求", "The key was used for another request"),
    "case_held": ("办件暂被搁置", "The case is held"),
    "refused": ("不予处理", "Refused"),
    "busy": ("系统繁忙", "Busy"),
    "unavailable": ("暂不可用", "Not available now"),
    "no_answer_yet": ("尚无结果", "No answer yet"),
    "internal": ("内部错误", "Internal error"),
    "bad_cursor": ("游标无效", "Not a cursor"),
    "history_lost": ("游标之后的记录已因恢复而改变", "The ledger was restored to before this cursor"),
}


class FieldError(msgspec.Struct, frozen=True):
    """One field that is wrong: its dotted path, what is wrong, and what would be right."""

    field: str
    problem: str
    expected: str = ""


class ProblemDetails(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of an error (RFC 9457, 3.1), with Chinese title, field errors and where to go on as extensions."""

    type: str
    title: str
    title_zh: str
    status: int
    detail: str = ""
    instance: str = ""
    errors: tuple[FieldError, ...] = ()
    next: str = ""


class Problem(Exception):
    """An error to be answered. `code` is stable and for programs; `detail` is "中文 / English".

    `go_on` is a cursor that is good in place of the one that was sent.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        go_on: str = "",
    ) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.go_on = go_on

    def details(self, instance: str = "") -> ProblemDetails:
        """The body that says it."""
        phrase = HTTPStatus(self.status).phrase
        zh, en = _TITLES.get(self.code, _TITLES["refused"] if self.status in _REFUSALS else (phrase, phrase))
        return ProblemDetails(
            type=f"urn:kuayu:problem:{self.code}",
            title=en,
            title_zh=zh,
            status=self.status,
            detail=self.detail,
            instance=instance,
            errors=self.errors,
            next=self.go_on,
        )


_FIELD_ERROR = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in FieldError.__struct_fields__},
    "required": ["field", "problem", "expected"],
}
_SCHEMA = {
    "type": "object",
    "title": "Problem details (RFC 9457)",
    "properties": {
        "type": {"type": "string", "examples": ["urn:kuayu:problem:invalid"]},
        "title": {"type": "string"},
        "title_zh": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "中文 / English"},
        "instance": {"type": "string"},
        "errors": {"type": "array", "items": _FIELD_ERROR},
        "next": {"type": "string", "description": "可改用的游标 / a cursor that is good instead"},
    },
    "required": ["type", "title", "title_zh", "status"],
}
_REFUSALS = (HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY)
_BY_STATUS = {
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    422: "invalid",
    503: "unavailable",
}
_WRONG_STATE = frozenset(
    {
        "not_applicable",
        "claimed",
        "not_claimed",
        "already_requested",
        "already_extended",
        "already_held",
        "nothing_held",
        "not_first",
        "repair_not_applied",
    }
)
"""Refusals that are about the case's state, not about what was sent."""


def problem_of(error: Exception) -> Problem:  # noqa: C901, PLR0911, PLR0912 - one case for each error is the clearest table
    """What an error of the bus or of the directory says to a caller; 500 without internals for any other."""
    match error:
        case Problem():
            return error
        case CommandRefused(code="unknown_case"):
            return Problem(404, error.code, error.reason)
        case CommandRefused():
            status = 409 if error.code in _WRONG_STATE else 422
            named = (FieldError(error.field, error.reason),) if error.field else ()
            return Problem(status, error.code, error.reason, named)
        case VersionConflict():
            detail = "请重新读取办件后再试 / read the case again, then retry"
            return Problem(412, "version_conflict", detail, headers={"ETag": etag(error.found)})
        case KeyReused():
            return Problem(422, "key_reused", "请为新的请求使用新的幂等键 / use a new key for a new request")
        case CaseHeld():
            detail = "有事件待处理,请稍后再试 / an event of this case waits to be seen to; try again later"
            return Problem(409, "case_held", detail)
        case Busy():
            return _later(error, "busy", "请稍后重试 / try again shortly")
        case Unavailable():
            return _later(error, "unavailable", "账本暂不可写 / the ledger can't be written now")
        case OperationalError() | InterfaceError():  # a database that is away, locked or full: it comes back
            away = Unavailable("the ledger is away")
            return _later(away, "unavailable", "账本暂不可用 / the ledger is not there now")
        case Invalid():
            return invalid([FieldError(error.field, error.value_problem, error.expected)])
        case HTTPException(status_code=400):  # what can't be read as text at all
            wrong = FieldError("body", "不能读取 / can't be read", "a JSON document in UTF-8")
            return Problem(400, "invalid", "body: can't be read", [wrong])
        case HTTPException():
            code = _BY_STATUS.get(error.status_code, "refused")
            return Problem(error.status_code, code, headers=error.headers)
        case _:
            return Problem(500, "internal", "请联系运维并提供请求编号 / tell the operators the request id")


def invalid(errors: Sequence[FieldError]) -> Problem:
    """422 with what is wrong field by field."""
    return Problem(422, "invalid", "; ".join(f"{error.field}: {error.problem}" for error in errors), errors)


def etag(version: int) -> str:
    """The entity tag of a case's version."""
    return f'"{version}"'


def rule(problem: str, expected: str) -> PydanticCustomError:
    """What a validator of a request raises: the rule, without the value."""
    return PydanticCustomError("rule", "{problem}", {"problem": problem, "expected": expected})


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with, for its `responses`."""
    content = {MEDIA_TYPE: {"schema": _SCHEMA}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def _later(error: Busy | Unavailable, code: str, detail: str) -> Problem:
    return Problem(503, code, detail, headers={"Retry-After": str(error.retry_after)})


def response(problem: Problem, instance: str = "") -> Response:
    """The answer that tells a problem."""
    body = msgspec.json.encode(problem.details(instance))
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


def field_errors(error: RequestValidationError | ValidationError) -> list[FieldError]:
    """Pydantic's findings in our form; what was sent is left out."""
    return [_field_error(found) for found in error.errors()]


_PLACES = frozenset({"body", "query", "path", "header", "cookie"})


def _field_error(found: Mapping[str, Any]) -> FieldError:
    loc = found["loc"]
    where = ".".join(map(str, loc[1:] if loc and loc[0] in _PLACES else loc))
    message: str = found["msg"]
    match found["type"]:
        case "missing":
            return FieldError(where, "缺少 / is missing", "a value")
        case "extra_forbidden":
            return FieldError(where, "未知字段 / is no field of this request", "only fields of the schema")
        case "json_invalid":
            return FieldError("body", "不是 JSON / is not JSON", "a JSON document in UTF-8")
        case "rule":
            return FieldError(where, found["ctx"]["problem"], found["ctx"]["expected"])
        case _:
            expected = message.removeprefix("Value error, ").removeprefix("Input should ").removeprefix("be ")
            return FieldError(where, "取值不符合要求 / has a wrong value", expected)


def install(app: FastAPI) -> None:
    """Let the app answer every error as a problem."""

    async def on_error(request: Request, error: Exception) -> Response:
        return response(problem_of(error), request.url.path)

    async def on_validation(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it alone
        return response(invalid(field_errors(error)), request.url.path)

    for kind in (Problem, BusError, Invalid, HTTPException):
        app.add_exception_handler(kind, on_error)
    app.add_exception_handler(RequestValidationError, on_validation)
