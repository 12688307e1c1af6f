"""A whole node over HTTP: nonsense is answered with a problem that names it, never with an error of ours, and changes nothing."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from typing import Any, NamedTuple

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bus.transport import MemoryBroker, MemoryTransport
from jurisdictions import load_directory
from kuayu.keys import add_key
from kuayu.node import Node
from kuayu.settings import Settings
from kuayu.topology import DirectoryTopology
from producers.models import EXAMPLE
from schemas import load_catalogue
from tests.fuzz.profile import fuzz
from tests.running import PATIENCE
from web import Role, cursor

CODE = "430200"
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


class Hall(NamedTuple):
    url: str
    node: Node
    key: str
    case: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


@pytest.fixture(scope="module")
def hall(
    tmp_path_factory: pytest.TempPathFactory, serving: Callable[[FastAPI], AbstractContextManager[str]]
) -> Iterator[Hall]:
    """A node with all its stages, its routers and one case."""
    folder = tmp_path_factory.mktemp("hall")
    keys = folder / "keys.yaml"
    key = add_key(
        keys, caller="system:all", name="all", jurisdiction=CODE, roles=[role.value for role in Role]
    )
    transport = MemoryTransport(MemoryBroker())
    directory = load_directory()
    transport.ensure_topics(DirectoryTopology(directory, load_catalogue()).topics())
    node = Node(CODE, Settings(data=folder, keys=keys), directory=directory, transport=transport)
    node.start()
    try:
        with serving(node.app) as url:
            headers = {"Authorization": f"Bearer {key}"}
            taken = httpx.post(f"{url}/v1/cases", json=EXAMPLE, headers=headers, timeout=PATIENCE).json()
            yield Hall(url, node, key, taken["case_id"])
    finally:
        node.stop()
    assert node.engine.failure is None


@pytest.fixture(scope="module")
def client(hall: Hall) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=hall.url, headers=hall.headers, timeout=PATIENCE) as client:
        yield client


def rows(hall: Hall) -> int:
    head = hall.node.ledger.head()
    assert head is not None
    return head.next_row


def told(answer: httpx.Response) -> None:
    assert 400 <= answer.status_code < 500, answer.text
    if answer.headers["content-type"] == "application/problem+json":
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["title"]
        assert problem["title_zh"]


BODIES = {
    "nothing": b"",
    "half": b'{"item_code": "1',
    "zero byte": b"\0",
    "not utf-8": b'{"item_code": "\xff\xfe"}',
    "half a pair as key": b'{"\\ud800": 1}',
    "half a pair as value": json.dumps(EXAMPLE | {"reference": "\ud800"}).encode(),
    "half a pair in a batch": json.dumps({"cases": [{"key": "\ud800"}]}).encode(),
    "half a pair as key in a batch": json.dumps([{"\ud800": "\ud800"}]).encode(),
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "deep in a batch": b'{"cases": [' + b"[" * 900 + b"]" * 900 + b"]}",
    "a number without end": b"9" * 100_000,
    "infinite": json.dumps(EXAMPLE).encode()[:-1] + b', "serial": 1e999}',
    "not a number": b'{"item_code": NaN}',
    "a key twice": b'{"item_code": "a", "item_code": "b"}',
    "too many": json.dumps([{}] * 1001).encode(),
    "too large": b" " * 1_048_577,
    "a list of nulls": json.dumps([None] * 3).encode(),
    "a text": b'"text"',
}
POSTS = (
    "/v1/cases",
    "/v1/cases/{case}/supplements",
    "/v1/cases/{case}/withdrawal",
    "/v1/feed/ack",
    "/v1/tasks/{case}/claim?stage=acceptance",
    "/v1/tasks/{case}/decide",
    "/v1/webhooks",
)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", POSTS)
def test_a_body_of_nonsense_is_told(hall: Hall, client: httpx.Client, path: str, body: str) -> None:
    before = rows(hall)
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        headers = {"Content-Type": kind, "If-Match": "*"}
        answer = client.post(path.format(case=hall.case), content=BODIES[body], headers=headers)
        if answer.status_code == 207:
            assert answer.json()["taken"] == 0
        elif not ("claim" in path and body == "nothing"):
            told(answer)
    assert rows(hall) <= before + ("claim" in path)


PATHS = (
    "/v1/cases/%00", "/v1/cases/%ff%fe", "/v1/cases/%ED%A0%80", "/v1/cases/" + "x" * 20_000, "/v1/cases/%00/journey",
    "/v1/tasks/%00?stage=acceptance", "/v1/tasks?stage=acceptance&cursor=%00", "/v1/tasks?stage=acceptance&cursor=W10",
    *(f"/v1/tasks?stage=acceptance&cursor={cursor(*wrong)}" for wrong in ((2**64 - 1, "a"), (1, "a\0"), (1,), ("a", 1))),
    "/v1/tasks?stage=acceptance&claimed_by=%00", "/v1/tasks?stage=acceptance&limit=" + "9" * 5000, "/v1/tasks?stage=%ff",
    "/v1/feed?after=%00", "/v1/feed?after=W10", "/v1/feed?after=WzFlOTld", "/v1/feed?after=WzkyMjMzNzIwMzY4NTQ3NzU4MDhd",
    "/v1/feed?limit=1e3", "/schemas/ids/-1", "/schemas/ids/99999999999999999999999", "/schemas/ids/%00", "/subjects/%00/versions",
    "/subjects/x/versions/%00", "/subjects/kuayu.Receipt/versions/0", "/static/%00", "/static/..%2f..%2fauth.py", "/static/%2e%2e/x",
    "/v1/webhooks/%00", "/v1/webhooks/%00/deliveries", "/nothing/%00",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_path_of_nonsense_is_told(hall: Hall, client: httpx.Client, method: str, path: str) -> None:
    before = rows(hall)
    told(client.request(method, path))
    assert rows(hall) == before


PAGES = (
    "/",
    "/search?q=%00",
    "/cases/%00",
    "/tasks/acceptance",
    "/operator",
    "/login?next=%00",
    "/login?next=//x.example/",
)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_that_is_asked_for_nonsense_does_not_fail(hall: Hall, path: str) -> None:
    with httpx.Client(base_url=hall.url, headers={"Origin": hall.url}, timeout=PATIENCE) as browser:
        for form in (
            {"key": "\0"},
            {"key": "长" * 5000},
            {"nothing": "x"},
            {"key": hall.key, "next": "//x.example/\r\nA: b"},
        ):
            answer = browser.post("/login", data=form)
            assert answer.status_code < 500
            assert "x.example" not in answer.headers.get("location", "")
        assert browser.get(path, follow_redirects=True).status_code < 500


HEADERS: Any = (
    {"Authorization": b"Bearer \xff"}, {"Authorization": b"Bearer " + b"x" * 20_000}, {"Authorization": b"Basic x"},
    {"X-API-Key": b"\xff"}, {"Cookie": b"kuayu_session=\xff"}, {"Cookie": b"=;=;" * 1000},
)  # fmt: skip


@pytest.mark.parametrize("headers", HEADERS)
def test_a_key_of_nonsense_is_no_key(hall: Hall, headers: dict[str, bytes]) -> None:
    sent: Any = headers
    answer = httpx.get(f"{hall.url}/v1/feed", headers=sent, timeout=PATIENCE)
    assert answer.status_code in {400, 401, 431}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Idempotency-Key", b"\xff"), ("Idempotency-Key", b""), ("If-Match", b"\xff"), ("If-Match", b'"' + b"9" * 39),
        ("traceparent", b"\xff"), ("traceparent", b"00-" + b"z" * 5000), ("Content-Length", b"-1"),
        ("Content-Type", b"application/json; charset=\xff"), ("Content-Type", b"multipart/form-data; boundary="),
    ],
)  # fmt: skip
def test_a_header_of_nonsense_is_told_or_ignored(hall: Hall, name: str, value: bytes) -> None:
    headers: Any = hall.headers | {"Content-Type": "application/json", name: value}
    for path in ("/v1/cases", f"/v1/tasks/{hall.case}/decide"):
        try:
            answer = httpx.post(f"{hall.url}{path}", content=b"{}", headers=headers, timeout=PATIENCE)
        except (httpx.RemoteProtocolError, httpx.LocalProtocolError):
            continue  # it was no HTTP
        told(answer)


RAW = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET", b"\r\n" * 10_000, b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n",
    b"POST /v1/cases HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/cases HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345",
    b"POST /v1/cases HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /v1/cases HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFFFF\r\n",
    b"POST /v1/cases HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n{",
    b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
)  # fmt: skip


@pytest.mark.parametrize("number", range(len(RAW)))
def test_what_is_no_http_hurts_nobody(hall: Hall, client: httpx.Client, number: int) -> None:
    host, _, port = hall.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(RAW[number])
    assert client.get(f"/v1/cases/{hall.case}").status_code == 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place within JSON data."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


PLACES = places(EXAMPLE)[1:]


@fuzz(2)
@given(at=st.sampled_from(PLACES), value=JSON, batch=st.booleans())
def test_an_application_with_anything_anywhere_is_taken_or_told(
    client: httpx.Client,
    at: tuple[Any, ...],
    value: Any,
    batch: bool,  # noqa: FBT001 (hypothesis names it)
) -> None:
    body = json.loads(json.dumps(EXAMPLE))
    inner = body
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    answer = client.post(
        "/v1/cases",
        content=json.dumps([body] if batch else body).encode(),
        headers={"Content-Type": "application/json"},
    )
    if answer.status_code == 207:
        [result] = answer.json()["results"]
        assert result["status"] == 202 or 400 <= result["status"] < 500
    elif answer.status_code != 202:
        told(answer)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_route_of_the_document_keeps_to_it(hall: Hall, mode: GenerationMode) -> None:
    document: Any = schemathesis.openapi.from_url(f"{hall.url}/openapi.json")
    for result in document.get_all_operations():

        @fuzz(0.04)
        @given(result.ok().as_strategy(generation_mode=mode))
        def holds(case: Any) -> None:
            case.call_and_validate(headers=hall.headers, checks=CHECKS)

        with suppress(Unsatisfiable):  # nothing can be wrong about a request without parameters
            holds()
