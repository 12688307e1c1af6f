"""The task API over HTTP: a case from its arrival to the applicant's hands, and all that can go wrong on the way."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.running import PATIENCE

REVIEW = {"stage": "review"}
PICKUP = {"stage": "pickup"}
GROUNDS = [{"source": "食品经营许可和备案管理办法", "article": "第十六条"}]
REMEDY = {"body": "长沙市人民政府", "period_days": 60}


@pytest.fixture
def li(region: Any) -> httpx.Client:
    client: httpx.Client = region.client("li", region.there)
    return client


@pytest.fixture
def wang(region: Any) -> httpx.Client:
    client: httpx.Client = region.client("wang", region.here)
    return client


@pytest.fixture
def arrived(region: Any, li: httpx.Client, eventually: Any) -> Any:
    """Hands a case in, and waits until it is at review."""

    def hand_in(*args: Any) -> str:
        case: str = region.hand_in(*args)
        eventually(lambda: li.get(f"/v1/tasks/{case}", params=REVIEW).status_code == 200)
        return case

    return hand_in


def act(
    client: httpx.Client, case: str, name: str, body: Any = None, params: Any = None, **headers: str
) -> Any:
    """An act upon the case as it is now."""
    stage = params or REVIEW
    if "If-Match" not in headers:
        headers["If-Match"] = client.get(f"/v1/tasks/{case}", params=stage).headers["ETag"]
    return client.post(f"/v1/tasks/{case}/{name}", json=body or {}, params=stage, headers=headers)


def test_a_case_from_arrival_to_collection(
    region: Any, li: httpx.Client, wang: httpx.Client, arrived: Any, eventually: Any
) -> None:
    case = arrived()
    read = li.get(f"/v1/tasks/{case}", params=REVIEW).json()
    assert read["status"] == "received"
    assert read["task"]["kind"] == "review_accept"
    assert read["task"]["applicant"] == "张**"
    assert read["state"]["file"]["applicant"]["person"]["name"] == "张伟明"
    assert {"accept", "not-accept", "supplements", "transfer", "claim"} <= set(read["actions"])
    assert [step["kind"] for step in read["journey"]] == ["Received"]

    assert act(li, case, "claim").json()["status"] == "received"
    accepted = act(li, case, "accept")
    assert (accepted.status_code, accepted.json()["status"]) == (200, "in_review")
    assert accepted.headers["ETag"] == f'"{accepted.json()["version"]}"'
    decided = act(li, case, "decide", {"outcome": "approved"}, **{"If-Match": accepted.headers["ETag"]})
    assert decided.json()["status"] == "approved"

    eventually(lambda: wang.get(f"/v1/tasks/{case}", params=PICKUP).status_code == 200)
    ready = act(wang, case, "ready", {"place": "天河窗口"}, PICKUP)
    assert ready.json()["status"] == "ready"
    code = eventually(lambda: region.code_sent(case))
    assert code not in ready.text
    assert code not in wang.get(f"/v1/tasks/{case}", params=PICKUP).text
    assert code not in wang.get(f"/v1/tasks/{case}", params={"stage": "acceptance"}).text

    wrong = act(wang, case, "hand-over", {"code": "WRONG", "document_number": "E12345678"}, PICKUP)
    assert wrong.status_code == 422
    assert wrong.json()["type"] == "urn:kuayu:problem:code_mismatch"
    assert "4" in wrong.json()["detail"]
    done = act(
        wang,
        case,
        "hand-over",
        {"code": code, "document_number": "e12345678"},
        PICKUP,
        **{"If-Match": wrong.headers["ETag"]},
    )
    assert done.json()["status"] == "collected"
    listed = wang.get("/v1/tasks", params=PICKUP | {"state": "done"}).json()["tasks"]
    assert case in [task["case_id"] for task in listed]
    eventually(lambda: li.get(f"/v1/tasks/{case}", params=REVIEW).json()["status"] == "collected")


def test_supplements_then_refusal(
    li: httpx.Client, wang: httpx.Client, arrived: Any, eventually: Any
) -> None:
    case = arrived()
    wanted = [{"code": "layout_plan", "name": "平面图", "problem": "无比例尺"}]
    due = (datetime.now(UTC) + timedelta(days=10)).isoformat()
    asked = act(li, case, "supplements", {"materials": wanted, "due": due})
    assert asked.json()["status"] == "supplementing"
    waits = eventually(
        lambda: [
            task
            for task in wang.get("/v1/tasks", params={"stage": "acceptance"}).json()["tasks"]
            if task["case_id"] == case
        ]
    )
    assert waits[0]["kind"] == "supplement_provide"
    again = act(li, case, "supplements", {"materials": wanted})
    assert again.status_code == 409

    other = arrived()
    act(li, other, "accept")
    without = act(li, other, "decide", {"outcome": "refused", "reason": "不符合条件"})
    assert without.status_code == 422
    assert {error["field"] for error in without.json()["errors"]} == {"refused.grounds", "refused.remedy"}
    body = {"outcome": "refused", "reason": "不符合条件", "grounds": GROUNDS, "remedy": REMEDY}
    assert act(li, other, "decide", body).json()["status"] == "refused"


def test_suspension_extension_and_resumption(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    act(li, case, "accept")
    stop = {
        "kind": "hearing",
        "notice_number": "听1",
        "reason": "利害关系人申请听证",
        "expected_end": (datetime.now(UTC) + timedelta(days=9)).isoformat(),
    }
    assert act(li, case, "suspend", stop).json()["status"] == "suspended"
    assert act(li, case, "decide", {"outcome": "approved"}).status_code == 409
    assert act(li, case, "resume", {"result": "听证结束"}).json()["status"] == "in_review"
    before = li.get(f"/v1/tasks/{case}", params=REVIEW).json()["task"]["due"]
    longer = {"days": 10, "approved_by": "局长", "notice_number": "延1", "reason": "案情复杂"}
    extended = act(li, case, "extend", longer).json()
    assert before is None or extended["due"] > before
    assert act(li, case, "extend", longer).status_code == 409


def test_transfer_names_a_place_with_a_review_stage(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    there = {"to": "999999", "kind": "wrong_office", "reason": "经营场所不在长沙"}
    refused = act(li, case, "transfer", there)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "to"
    done = act(li, case, "transfer", there | {"to": "430300"})
    assert done.json()["status"] == "transferred"


def test_post_is_mailed_and_delivered(
    li: httpx.Client, wang: httpx.Client, arrived: Any, eventually: Any
) -> None:
    case = arrived("李四", "post")
    act(li, case, "accept")
    act(li, case, "decide", {"outcome": "approved"})
    eventually(lambda: wang.get(f"/v1/tasks/{case}", params=PICKUP).status_code == 200)
    assert "ready" not in wang.get(f"/v1/tasks/{case}", params=PICKUP).json()["actions"]
    assert act(wang, case, "ready", {"place": "窗口"}, PICKUP).status_code == 422
    assert act(wang, case, "mail", {"carrier": "EMS", "tracking_number": "EX1"}, PICKUP).status_code == 200
    assert act(wang, case, "returned", {"reason": "undeliverable"}, PICKUP).json()["status"] == "returned"
    act(wang, case, "mail", {"carrier": "EMS", "tracking_number": "EX2"}, PICKUP)
    assert act(wang, case, "delivered", {"proof": "签1"}, PICKUP).json()["status"] == "delivered"


def test_who_acts_says_which_version_he_saw(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    seen = li.get(f"/v1/tasks/{case}", params=REVIEW).headers["ETag"]
    missing = li.post(f"/v1/tasks/{case}/accept", json={})
    assert missing.status_code == 428
    assert missing.headers["content-type"] == "application/problem+json"
    assert li.post(f"/v1/tasks/{case}/accept", json={}, headers={"If-Match": "abc"}).status_code == 422
    assert li.post(f"/v1/tasks/{case}/claim", json={}, params=REVIEW).status_code == 200
    stale = act(li, case, "accept", **{"If-Match": seen})
    assert stale.status_code == 412
    assert stale.headers["ETag"] == li.get(f"/v1/tasks/{case}", params=REVIEW).headers["ETag"]
    assert act(li, case, "accept", **{"If-Match": "*"}).status_code == 200


def test_a_claimed_task_is_nobody_elses(region: Any, li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    zhao = region.client("zhao", region.there)
    act(li, case, "claim")
    assert act(zhao, case, "accept").status_code == 409
    assert zhao.get(f"/v1/tasks/{case}", params=REVIEW).json()["actions"] == ["release"]
    assert act(zhao, case, "release").json()["errors"][0]["field"] == "reason"
    assert act(zhao, case, "release", {"reason": "李请假"}).status_code == 200
    assert act(zhao, case, "accept").status_code == 200


def test_the_same_key_does_it_once(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    seen = li.get(f"/v1/tasks/{case}", params=REVIEW).headers["ETag"]
    headers = {"If-Match": seen, "Idempotency-Key": f"accept-{case}"}
    first = act(li, case, "accept", **headers)
    again = act(li, case, "accept", **headers)
    assert (first.json()["repeated"], again.json()["repeated"]) == (False, True)
    assert first.headers["ETag"] == again.headers["ETag"]
    other = act(li, case, "accept", {"notice_number": "受2"}, **headers)
    assert other.status_code == 422
    assert other.json()["type"] == "urn:kuayu:problem:key_reused"


def test_acts_may_be_entered_later_but_not_ahead(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    refused = act(li, case, "accept", {"acted_at": ahead})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "acted_at"
    acted = datetime.now(UTC).replace(microsecond=0)
    assert act(li, case, "accept", {"acted_at": acted.isoformat()}).status_code == 200
    step = li.get(f"/v1/tasks/{case}", params=REVIEW).json()["journey"][-1]
    assert datetime.fromisoformat(step["at"]) == acted


def test_bad_input_names_field_and_rule_and_repeats_nothing(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    answer = act(li, case, "not-accept", {"kind": "秘密", "reason": "x", "extra": "张三秘密"})
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {"kind", "extra"}
    assert "秘密" not in answer.text
    competent = act(li, case, "not-accept", {"kind": "not_competent", "reason": "不属于本机关"})
    assert competent.json()["errors"][0]["field"] == "right_body"


def test_who_may_not(region: Any, li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    nobody = httpx.Client(base_url=region.there.url, timeout=PATIENCE)
    assert nobody.get("/v1/tasks", params=REVIEW).status_code == 401
    reader = region.client("ma", region.there)
    assert reader.get("/v1/tasks", params=REVIEW).status_code == 200
    assert reader.get(f"/v1/tasks/{case}", params=REVIEW).status_code == 403
    wang = region.client("wang", region.there)
    assert wang.get("/v1/tasks", params=REVIEW).status_code == 403
    assert wang.post(f"/v1/tasks/{case}/accept", json={}, headers={"If-Match": "*"}).status_code == 403
    absent = wang.get("/v1/tasks", params=PICKUP)
    assert absent.status_code == 422
    assert absent.json()["errors"][0] == {
        "field": "stage",
        "problem": "本节点没有此环节 / this node does not cover this stage",
        "expected": "review",
    }
    assert li.get("/v1/tasks/440100-999999", params=REVIEW).status_code == 404
    assert li.post("/v1/tasks/440100-999999/accept", json={}, headers={"If-Match": "*"}).status_code == 404
    nobody.close()


def test_lists_are_paged_filtered_and_ordered(li: httpx.Client, arrived: Any) -> None:
    cases = {arrived() for _ in range(3)}
    act(li, min(cases), "claim")
    found: list[str] = []
    query: dict[str, Any] = REVIEW | {"order": "opened", "limit": 2}
    while True:
        answer = li.get("/v1/tasks", params=query).json()
        found += [task["case_id"] for task in answer["tasks"]]
        if answer["next"] is None:
            break
        query["cursor"] = answer["next"]
    assert len(found) == len(set(found))
    assert cases <= set(found)
    mine = li.get("/v1/tasks", params=REVIEW | {"claimed_by": "clerk:li@430100", "limit": 500}).json()[
        "tasks"
    ]
    assert min(cases) in {task["case_id"] for task in mine}
    kinds = li.get("/v1/tasks", params=REVIEW | {"kind": "review_accept", "limit": 500}).json()["tasks"]
    assert {task["kind"] for task in kinds} == {"review_accept"}
    dues = [task["due"] for task in li.get("/v1/tasks", params=REVIEW | {"limit": 500}).json()["tasks"]]
    dated = [due for due in dues if due]
    assert dated == sorted(dated)
    assert dues == dated + [None] * (len(dues) - len(dated))
    bad = li.get("/v1/tasks", params=REVIEW | {"cursor": "x"})
    assert bad.json()["type"] == "urn:kuayu:problem:bad_cursor"


def test_webhooks_are_managed_by_operators(region: Any, li: httpx.Client, arrived: Any) -> None:
    wu = region.client("wu", region.there)
    wanted = {"url": "http://127.0.0.1:9/hook", "stages": ["review"]}
    assert li.post("/v1/webhooks", json=wanted).status_code == 403
    made = wu.post("/v1/webhooks", json=wanted)
    assert made.status_code == 201
    assert made.json()["secret"].startswith("whsec_")
    place = made.headers["Location"]
    assert made.json()["secret"] not in wu.get("/v1/webhooks").text + wu.get(place).text
    case = arrived()
    waiting = wu.get(f"{place}/deliveries").json()["deliveries"]
    assert [each["case_id"] for each in waiting] == [case]
    assert wu.get(place).json()["waiting"] == 1
    assert wu.post(f"{place}/enable").json()["disabled_at"] is None
    assert wu.delete(place).status_code == 204
    assert wu.delete(place).status_code == wu.get(place).status_code == 404
    mistakes: list[tuple[dict[str, Any], str]] = [
        ({"url": "ftp://host/"}, "url"),
        ({"stages": ["pickup"]}, "stages"),
        ({"events": []}, "events"),
    ]
    for wrong, field in mistakes:
        answer = wu.post("/v1/webhooks", json=wanted | wrong)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["field"] == field


def test_an_accepting_office_sees_only_what_was_taken_in_within_its_own_place(
    region: Any, arrived: Any
) -> None:
    case = arrived()
    sun, wang = region.client("sun", region.here), region.client("wang", region.here)
    assert wang.get(f"/v1/tasks/{case}", params={"stage": "acceptance"}).status_code == 200
    assert sun.get(f"/v1/tasks/{case}", params={"stage": "acceptance"}).status_code == 404
    assert (
        act(
            sun, case, "attend", {"note": "看过"}, params={"stage": "acceptance"}, **{"If-Match": "*"}
        ).status_code
        == 404
    )
    stranger = region.browser("sun", region.here)
    assert stranger.get(f"/cases/{case}", params={"stage": "acceptance"}).status_code == 404
