from collections.abc import Callable
from typing import Any

import httpx
import pytest

import web
from cases import commands
from tests.running import PATIENCE

Json = dict[str, Any]
Wait = Callable[[Callable[[], Any]], Any]


def read(client: httpx.Client, **query: Any) -> Json:
    answer = client.get("/v1/feed", params=query)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


@pytest.fixture
def now(client: httpx.Client) -> str:
    """The end of the feed."""
    page = read(client, limit=1_000)
    while page["more"]:
        page = read(client, after=page["next"], limit=1_000)
    return str(page["next"])


def test_the_feed_tells_what_happened_to_the_callers_cases(
    client: httpx.Client,
    application: Json,
    keys: dict[str, Any],
    office: Any,
    now: str,
    eventually: Wait,
) -> None:
    own = client.post("/v1/cases", json=application).json()["case_id"]
    client.post("/v1/cases", json=application, headers=keys["bank"].headers)
    eventually(lambda: office.knows(own))
    office.act(own, commands.Approve())
    items = eventually(lambda: (got := read(client, after=now)["items"])[1:] and got)
    assert [(item["case_id"], item["kind"]) for item in items] == [(own, "Submitted"), (own, "Decided")]
    assert items[1]["zh"]
    assert items[1]["en"]


def test_a_cursor_goes_on_where_it_was_and_goes_back_where_it_must(
    client: httpx.Client, application: Json, now: str
) -> None:
    cases = [client.post("/v1/cases", json=application).json()["case_id"] for _ in range(5)]
    seen: list[str] = []
    after, more = now, True
    while more:
        page = read(client, after=after, limit=2)
        assert len(page["items"]) <= 2
        seen += [item["case_id"] for item in page["items"]]
        after, more = page["next"], page["more"]
    assert seen == cases
    assert read(client, after=after)["items"] == []
    assert [item["case_id"] for item in read(client, after=now)["items"]] == cases  # again


def test_what_is_acknowledged_is_left_out(client: httpx.Client, application: Json, now: str) -> None:
    first, second = (client.post("/v1/cases", json=application).json()["case_id"] for _ in range(2))
    items = read(client, after=now)["items"]
    assert client.post("/v1/feed/ack", json={"cursor": items[0]["cursor"]}).status_code == 204
    assert [item["case_id"] for item in read(client)["items"]] == [second]
    client.post("/v1/feed/ack", json={"cursor": now})  # back, if it must be
    assert [item["case_id"] for item in read(client)["items"]] == [first, second]


def test_each_caller_acknowledges_for_itself(
    client: httpx.Client, application: Json, keys: dict[str, Any], now: str
) -> None:
    case = client.post("/v1/cases", json=application).json()["case_id"]
    client.post("/v1/feed/ack", json={"cursor": now})
    with httpx.Client(base_url=client.base_url, headers=keys["bank"].headers, timeout=PATIENCE) as bank:
        end = read(bank, after=now)["next"]
        assert bank.post("/v1/feed/ack", json={"cursor": end}).status_code == 204
    assert [item["case_id"] for item in read(client)["items"]] == [case]


@pytest.mark.parametrize("after", ["x", "!", web.cursor("1"), ""])
def test_a_cursor_is_one_that_was_given(client: httpx.Client, after: str) -> None:
    answer = client.get("/v1/feed", params={"after": after})
    assert answer.status_code == 422
    assert answer.json()["type"] == "urn:kuayu:problem:bad_cursor"
    ack = client.post("/v1/feed/ack", json={"cursor": after})
    assert ack.json()["errors"][0]["field"] == "cursor"


def test_nothing_is_acknowledged_that_was_not_told(client: httpx.Client) -> None:
    for cursor in (web.cursor(1, 10**12), web.cursor(1, -1), web.cursor(-1, 1), web.cursor(1)):
        assert client.post("/v1/feed/ack", json={"cursor": cursor}).status_code == 422


@pytest.mark.parametrize("limit", ["0", "1001", "x"])
def test_a_page_has_1_to_1000_items(client: httpx.Client, limit: str) -> None:
    assert client.get("/v1/feed", params={"limit": limit}).status_code == 422
