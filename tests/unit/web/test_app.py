import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

import web
from bus import Busy, CaseHeld, CommandRefused, KeyReused, Unavailable, VersionConflict
from jurisdictions import Invalid
from web import Problem, Role
from web.traces import take_trace

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("error", "status", "code", "headers"),
    [
        (CommandRefused("missing", "缺 / gone", "applicant.name"), 422, "missing", {}),
        (CommandRefused("not_applicable", "不适用 / no"), 409, "not_applicable", {}),
        (CommandRefused("unknown_case", "没有 / none"), 404, "unknown_case", {}),
        (VersionConflict("c", 1, 2), 412, "version_conflict", {"etag": '"2"'}),
        (KeyReused("k"), 422, "key_reused", {}),
        (CaseHeld("c", "parked", "x"), 409, "case_held", {}),
        (Busy("full"), 503, "busy", {"retry-after": "1"}),
        (Unavailable("away"), 503, "unavailable", {"retry-after": "5"}),
        (Invalid("code", "wrong", "right"), 422, "invalid", {}),
        (Problem(418, "teapot"), 418, "teapot", {}),
        (RuntimeError("the secret is 42"), 500, "internal", {}),
        (
            OperationalError("SELECT 42", {}, Exception("the secret is 42")),
            503,
            "unavailable",
            {"retry-after": "5"},
        ),
    ],
)
def test_every_error_is_a_problem(
    client: httpx.Client,
    raised: list[Exception],
    error: Exception,
    status: int,
    code: str,
    headers: dict[str, str],
) -> None:
    raised.append(error)
    answer = client.get("/raises")
    body = answer.json()
    assert answer.status_code == body["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"urn:kuayu:problem:{code}"
    assert body["title"]
    assert body["title_zh"]
    assert body["instance"] == "/raises"
    assert headers.items() <= dict(answer.headers).items()
    assert "secret" not in answer.text


def test_a_refusal_names_its_field(client: httpx.Client, raised: list[Exception]) -> None:
    raised.append(CommandRefused("missing", "缺 / gone", "applicant.name"))
    assert client.get("/raises").json()["errors"] == [
        {"field": "applicant.name", "problem": "缺 / gone", "expected": ""}
    ]


@pytest.mark.parametrize(
    ("content", "field", "expected"),
    [
        ('{"size": 1}', "name", "a value"),
        ('{"name": "x", "size": "secret"}', "size", "a valid integer, unable to parse string as an integer"),
        ('{"name": "x", "more": "secret"}', "more", "only fields of the schema"),
        ('{"name": secret', "body", "a JSON document in UTF-8"),
    ],
)
def test_a_wrong_request_names_field_and_rule_and_repeats_no_value(
    client: httpx.Client, keys: dict[Role, str], content: str, field: str, expected: str
) -> None:
    headers = {"X-API-Key": keys[Role.SUBMIT], "Content-Type": "application/json"}
    answer = client.post("/things", content=content, headers=headers)
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert (error["field"], error["expected"]) == (field, expected)
    assert "secret" not in answer.text


def test_what_is_not_there_is_a_problem_too(client: httpx.Client) -> None:
    assert client.get("/nowhere").json()["type"] == "urn:kuayu:problem:not_found"
    wrong = client.delete("/who")
    assert wrong.json()["type"] == "urn:kuayu:problem:method_not_allowed"
    assert wrong.headers["allow"] == "GET"


@pytest.mark.parametrize("told", [True, False])
def test_too_large_a_body_is_refused(client: httpx.Client, keys: dict[Role, str], told: bool) -> None:  # noqa: FBT001
    body = b'{"name": "' + b"x" * web.MAX_BODY + b'"}'
    parts = body if told else (body[at : at + 65_536] for at in range(0, len(body), 65_536))
    headers = {"X-API-Key": keys[Role.SUBMIT], "Content-Type": "application/json"}
    answer = client.post("/things", content=parts, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["type"] == "urn:kuayu:problem:too_large"


def test_a_trace_goes_on_or_begins(client: httpx.Client) -> None:
    answer = client.get("/trace", headers={"traceparent": TRACE})
    assert answer.json() == TRACE
    assert answer.headers["x-request-id"] == "0af7651916cd43dd8448eb211c80319c"
    begun = client.get("/trace")
    assert begun.json() != TRACE
    assert begun.headers["x-request-id"] == web.trace_id(begun.json())


@given(st.text() | st.from_regex("00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", fullmatch=True))
def test_a_trace_is_always_one(header: str) -> None:
    trace = take_trace(header)
    assert take_trace(trace) == trace
    assert len(web.trace_id(trace)) == 32


def test_browsers_are_told_to_trust_nothing_else(client: httpx.Client) -> None:
    page = client.get("/login")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "http" not in page.text.replace("http-equiv", "")
    assert client.get("/static/kuayu.css").headers["content-type"].startswith("text/css")


def test_the_front_page_is_the_first_in_the_navigation(client: httpx.Client) -> None:
    assert client.get("/").headers["location"] == "/tasks"


@given(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_a_cursor_comes_back_as_it_was(row: int, name: str) -> None:
    text = web.cursor(row, name)
    assert text.replace("-", "").replace("_", "").isalnum()
    assert web.position(text, tuple[int, str]) == (row, name)


@pytest.mark.parametrize("text", ["", "?", "AAAA", web.cursor("x", 1), web.cursor(1), "é", "a" * 5])
def test_no_other_text_is_a_cursor(text: str) -> None:
    with pytest.raises(Problem, match="bad_cursor"):
        web.position(text, tuple[int, str])
