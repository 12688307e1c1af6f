"""What every request meets first: a trace, a bound on its body, headers for browsers, and an answer if all else fails."""

import traceback
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.problems import Problem, problem_of, response
from web.traces import take_trace, trace_id

MAX_BODY = 1_048_576
"""Bytes of a request; what is larger comes in parts, and files never come this way."""
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_log = structlog.get_logger()


class Edge:
    """ASGI middleware around the whole app."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        trace = take_trace(headers.get("traceparent"))
        scope.setdefault("state", {})["trace"] = trace
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer.setdefault(name, value)
                answer["X-Request-Id"] = trace_id(trace)
            await send(message)

        too_large = Problem(413, "too_large", f"最多 {MAX_BODY} 字节 / at most {MAX_BODY} bytes")
        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > MAX_BODY:
            await response(too_large, scope["path"])(scope, receive, sending)
            return
        try:
            await self._app(scope, _Bounded(receive), sending)
        except Exception as error:
            if started:
                raise
            _log.error(
                "request_failed",
                method=scope["method"],
                trace=trace_id(trace),
                error=type(error).__name__,
                where=_where(error),
            )
            await response(problem_of(error), scope["path"])(scope, receive, sending)


def _where(error: BaseException) -> list[str]:
    """The frames of an error. Its message and its values stay out of the log: they may be personal (law 10)."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


class _Bounded:
    """Reads at most MAX_BODY bytes, whatever the length said."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = 0

    async def __call__(self) -> Any:
        message = await self._receive()
        self._read += len(message.get("body", b""))
        if self._read > MAX_BODY:
            raise HTTPException(413)
        return message
