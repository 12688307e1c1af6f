"""Which trace a request belongs to: W3C Trace Context (Recommendation of 2021-11-23), header `traceparent`."""

import re

from starlette.requests import HTTPConnection

from bus.envelope import new_trace

_TRACEPARENT = re.compile("00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def take_trace(header: str | None) -> str:
    """The caller's `traceparent` if it is one, else a new one."""
    if header is not None and _TRACEPARENT.fullmatch(header):
        return header
    return new_trace()


def trace(connection: HTTPConnection) -> str:
    """The `traceparent` of a request; hand it on to what the request causes."""
    found: str = connection.state.trace
    return found


def trace_id(traceparent: str) -> str:
    """The 32 hexadecimal digits that all parts of a trace share; also the request id."""
    return traceparent[3:35]
