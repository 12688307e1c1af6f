"""/v1/held: what operators see of held events, and what their acts do, here and at the sender."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from bus.verification import verify
from tests.running import PATIENCE, eventually

NAME = "张伟明"


@pytest.fixture
def broken(town: Any) -> Iterator[Any]:
    """Changsha's review stumbles over every event until it is mended."""
    [review] = [h for h in town.changsha.engine.records.handlers.values() if h.stage == "review"]
    patch = pytest.MonkeyPatch()
    patch.setattr(review, "decide", lambda _state, _message: 1 / 0)
    yield patch
    patch.undo()
    for node in (town.zhuzhou, town.changsha):
        assert verify(node.ledger, node.engine.records) == []


@pytest.fixture
def on_postgresql(
    town_on_postgresql: Any, serve: Callable[[Any], str], keys: dict[str, str]
) -> Iterator[Any]:
    headers = {"Authorization": f"Bearer {keys['operator']}"}
    with httpx.Client(
        base_url=f"http://{serve(town_on_postgresql.changsha)}", headers=headers, timeout=PATIENCE
    ) as made:
        yield town_on_postgresql, made


def test_every_filter_and_act_works_on_postgresql(
    on_postgresql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    town, operator = on_postgresql
    [review] = [h for h in town.changsha.engine.records.handlers.values() if h.stage == "review"]
    with monkeypatch.context() as broken:
        broken.setattr(review, "decide", lambda _state, _message: 1 / 0)
        for _ in range(3):
            town.garbage("kuayu.review.430100")
        first, *_ = cases = parked(town, 3)
        told(town, {("parked", "handler_error")})
        said = {
            "status": "parked",
            "stream": "430100/review",
            "type": "CaseAccepted",
            "code": "handler_error",
        }
        wanted = said | {"since": "2026-03-02T00:00:00Z", "first": "true", "limit": "2"}
        page = operator.get("/v1/held", params=wanted).json()
        rest = operator.get("/v1/held", params=wanted | {"cursor": page["next"]}).json()
        assert {each["case"] for each in page["held"] + rest["held"]} == set(cases)
        assert operator.get("/v1/held", params={"awaits": "schema:"}).json()["held"] == []
        [event] = operator.get("/v1/held", params={"case": first}).json()["held"]
        assert operator.get(f"/v1/held/{event['row']}").json()["told"]["status"] == "parked"
        quarantine = operator.get("/v1/quarantine", params={"limit": 1}).json()
        more = operator.get("/v1/quarantine", params={"cursor": quarantine["next"]}).json()
        assert len(more["quarantined"]) == 2
        refusal = {"code": "wrong_person", "reason": "有误 / wrong"}
        assert operator.post(f"/v1/held/{event['row']}/refuse", json=refusal).status_code == 200
    assert operator.post("/v1/held/replay", json=said).json()["settled"] == 2
    told(town, {("refused", "wrong_person")})
    assert verify(town.changsha.ledger, town.changsha.engine.records) == []


@pytest.fixture
def operator(town: Any, serve: Callable[[Any], str], keys: dict[str, str]) -> Iterator[httpx.Client]:
    """Asks Changsha's node."""
    headers = {"Authorization": f"Bearer {keys['operator']}"}
    with httpx.Client(base_url=f"http://{serve(town.changsha)}", headers=headers, timeout=PATIENCE) as made:
        yield made


def parked(town: Any, cases: int = 1) -> list[str]:
    handed_in = [town.hand_in() for _ in range(cases)]
    town.settle()
    town.start()
    return handed_in


def told(town: Any, expected: set[tuple[str, str]]) -> None:
    """Zhuzhou hears, sooner or later, exactly this of what it handed over."""
    eventually(lambda: heard(town) == expected, *(node.engine for node in town.nodes.values()))


def heard(town: Any) -> set[tuple[str, str]]:
    books = town.zhuzhou.engine.books
    return {
        (row.status, row.code)
        for lane in list(books.lanes.values())
        if lane.outward
        for row in books.exceptions(lane, 1, lane.number).values()
    }


def test_only_operators_may(town: Any, operator: httpx.Client, keys: dict[str, str]) -> None:
    town.settle()
    for path in ("/v1/held", "/v1/held/1", "/v1/quarantine"):
        assert operator.get(path, headers={"Authorization": "Bearer nothing"}).status_code == 401
        assert operator.get(path, headers={"Authorization": f"Bearer {keys['reviewer']}"}).status_code == 403
    assert operator.get("/v1/held").json() == {"held": [], "next": None}


def test_a_parked_case_is_listed_explained_and_replayed(
    town: Any, operator: httpx.Client, broken: Any
) -> None:
    [case] = parked(town)
    told(town, {("parked", "handler_error")})
    [event] = operator.get("/v1/held", params={"status": "parked", "stream": "430100/review"}).json()["held"]
    assert (event["case"], event["type"], event["code"], event["tries"]) == (
        case,
        "CaseAccepted",
        "handler_error",
        1,
    )
    found = operator.get(f"/v1/held/{event['row']}")
    assert NAME not in found.text
    shown = found.json()
    assert shown["data"]["file"]["applicant"] == "***"
    assert shown["data"]["file"]["item"]["name"] == "食品经营许可"
    assert (shown["source"], shown["told"]["status"]) == ("430200/acceptance", "parked")

    still = operator.post("/v1/held/replay", json={"code": "handler_error"}).json()
    assert [(each["outcome"], each["code"]) for each in still["tried"]] == [("parked", "handler_error")]
    assert (still["cases"], still["settled"]) == (1, 0)
    broken.undo()
    would = operator.post("/v1/held/replay", json={"row": event["row"], "dry_run": True}).json()
    assert (would["dry_run"], would["settled"]) == (True, 1)
    assert heard(town) == {("parked", "handler_error")}
    assert operator.post("/v1/held/replay", json={"row": event["row"]}).json()["settled"] == 1
    told(town, set())
    again = operator.post("/v1/held/replay", json={"row": event["row"]}).json()
    assert (again["cases"], again["tried"]) == (0, [])
    assert operator.get(f"/v1/held/{event['row']}").status_code == 404


def test_the_list_comes_in_pages_and_a_replay_has_a_limit(
    town: Any, operator: httpx.Client, broken: Any
) -> None:
    cases = parked(town, 5)
    seen: list[str] = []
    cursor = None
    while True:
        page = operator.get("/v1/held", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [each["case"] for each in page["held"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(seen) == sorted(cases)
    broken.undo()
    assert operator.post("/v1/held/replay", json={"limit": 3}).json()["settled"] == 3
    assert len(operator.get("/v1/held").json()["held"]) == 2


@pytest.mark.usefixtures("broken")
def test_a_refusal_is_told_to_the_sender_and_named_in_the_log(town: Any, operator: httpx.Client) -> None:
    [case] = parked(town)
    [event] = operator.get("/v1/held").json()["held"]
    path = f"/v1/held/{event['row']}/refuse"
    wrong = operator.post(path, json={"code": "Not A Code", "reason": "x\ny"})
    assert (wrong.status_code, {each["field"] for each in wrong.json()["errors"]}) == (
        422,
        {"code", "reason"},
    )
    said = {"code": "wrong_person", "reason": "申请人有误 / wrong applicant"}
    assert operator.post(path, json=said).json()["tried"][0]["outcome"] == "refused"
    told(town, {("refused", "wrong_person")})
    again = operator.post(path, json=said)
    assert (again.status_code, again.json()["type"]) == (404, "urn:kuayu:problem:not_found")
    *_, row = town.changsha.ledger.history(case)
    assert (row.type, row.actor, row.code, row.cause) == (
        "Refuse",
        "clerk:operator@430100",
        "wrong_person",
        event["row"],
    )


def test_a_repair_changes_what_the_patch_says_and_keeps_the_rest(
    town: Any, operator: httpx.Client, broken: Any
) -> None:
    [case] = parked(town)
    [event] = operator.get("/v1/held").json()["held"]
    path = f"/v1/held/{event['row']}/repair"
    body = {"reason": "电话核实 / checked by phone", "patch": {"file": {"reference": "改-1"}}}
    refused = operator.post(path, json=body)
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:kuayu:problem:repair_not_applied")
    broken.undo()
    assert operator.post(path, json=body | {"dry_run": True}).json()["settled"] == 1
    assert heard(town) == {("parked", "handler_error")}
    assert operator.post(path, json=body).json()["tried"][0]["code"] == "repaired"
    told(town, set())
    original, *_, repaired = (row for row in town.changsha.ledger.history(case) if row.type == "CaseAccepted")
    decode = town.changsha.engine.records.codec.decode
    before, after = decode(original.value), decode(repaired.value)
    assert (before.file.reference, after.file.reference) == (None, "改-1")
    assert after.file.applicant == before.file.applicant
    assert (repaired.actor, repaired.reason) == ("clerk:operator@430100", "电话核实 / checked by phone")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "x"}, "data"),
        ({"reason": "x", "patch": {}, "data": {}}, "data"),
        ({"patch": {}}, "reason"),
        ({"reason": "x", "patch": {"file": {"item": 1}}}, "file.item"),
        ({"reason": "x", "patch": {"file": {"item": {"code": None}}}}, "file.item"),
        ({"reason": "x", "data": {"acts": []}}, "data"),
        ({"reason": "x", "patch": {}, "operator": "me"}, "operator"),
    ],
)
@pytest.mark.usefixtures("broken")
def test_a_repair_that_is_none_names_the_field(
    town: Any, operator: httpx.Client, body: dict[str, Any], field: str
) -> None:
    parked(town)
    [event] = operator.get("/v1/held").json()["held"]
    answer = operator.post(f"/v1/held/{event['row']}/repair", json=body)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert heard(town) == {("parked", "handler_error")}


def test_quarantined_records_are_listed_without_their_contents(town: Any, operator: httpx.Client) -> None:
    for _ in range(3):
        town.garbage("kuayu.review.430100")
    town.settle()
    page = operator.get("/v1/quarantine", params={"limit": 2}).json()
    rest = operator.get("/v1/quarantine", params={"limit": 2, "cursor": page["next"]}).json()
    assert [each["offset"] for each in page["quarantined"] + rest["quarantined"]] == [0, 1, 2]
    assert set(page["quarantined"][0]) == {"topic", "partition", "offset", "seen_at", "reason", "size"}
    assert operator.get("/v1/quarantine", params={"cursor": "none"}).status_code == 422


def test_the_api_describes_itself(town: Any, operator: httpx.Client) -> None:
    town.settle()
    paths = operator.get("/openapi.json").json()["paths"]
    described = paths["/v1/held/{row}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert set(described["properties"]) >= {"event", "told", "behind", "meaning_zh", "meaning_en"}
    assert described["properties"]["event"]["properties"]["awaits"]["type"] == "string"
