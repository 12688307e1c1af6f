from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cases import commands
from jurisdictions import case_number
from schemas.models import MaterialRequest
from tests.running import PATIENCE

Json = dict[str, Any]
Wait = Callable[[Callable[[], Any]], Any]
CITIZEN = "430202199001010011"


def hand_in(client: httpx.Client, application: Json, key: str | None = None) -> httpx.Response:
    return client.post("/v1/cases", json=application, headers={"Idempotency-Key": key} if key else {})


def test_an_application_becomes_a_case_with_its_due_dates(client: httpx.Client, application: Json) -> None:
    answer = hand_in(client, application)
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["location"] == f"/v1/cases/{body['case_id']}"
    assert answer.headers["etag"] == f'"{body["version"]}"'
    assert body["case_id"].startswith("430200-")
    number = case_number(body["case_number"])
    assert number.item.text == application["item_code"]
    assert 5000 <= number.serial <= 5499  # the block that Changsha gave Zhuzhou
    assert (body["status"], body["accepted_by"], body["repeated"]) == ("in_review", "counter", False)
    times = body["times"]
    assert times["collected"] == times["accepted"]
    assert times["accepted"] < times["promised"] <= times["statutory"]
    assert times["provisional"] in (True, False)


def test_numbers_of_a_day_follow_one_another(client: httpx.Client, application: Json) -> None:
    numbers = [hand_in(client, application).json()["case_number"] for _ in range(5)]
    serials = [int(number[-4:]) for number in numbers]
    assert serials == list(range(serials[0], serials[0] + 5))


def test_the_case_says_where_it_stands_and_who_holds_it(client: httpx.Client, application: Json) -> None:
    location = hand_in(client, application).headers["location"]
    answer = client.get(location)
    case = answer.json()
    assert answer.headers["etag"] == f'"{case["version"]}"'
    assert case["holder"] == {
        "stage": "review",
        "jurisdiction": "430100",
        "name_zh": "长沙市",
        "name_en": "Changsha",
    }
    assert case["item"]["name"] == "无犯罪记录证明"
    assert case["reference"] == application["reference"]
    assert case["open"]
    assert CITIZEN not in answer.text


def test_the_journey_tells_its_steps_in_both_languages(client: httpx.Client, application: Json) -> None:
    location = hand_in(client, application).headers["location"]
    [step] = client.get(f"{location}/journey").json()["steps"]
    assert step["kind"] == "Submitted"
    assert "受理" in step["zh"]
    assert "accepted at the counter" in step["en"]
    assert step["at"] <= step["recorded_at"]


def test_the_same_key_opens_one_case(client: httpx.Client, application: Json) -> None:
    first, second = (hand_in(client, application, "once-1") for _ in range(2))
    assert second.status_code == 202
    assert second.json() == first.json() | {"repeated": True}
    other = hand_in(client, application | {"reference": "another"}, "once-1")
    assert other.status_code == 422
    assert other.json()["type"] == "urn:kuayu:problem:key_reused"


def test_keys_of_two_callers_do_not_meet(
    client: httpx.Client, application: Json, keys: dict[str, Any]
) -> None:
    first = hand_in(client, application, "mine").json()
    with httpx.Client(base_url=client.base_url, headers=keys["bank"].headers, timeout=PATIENCE) as bank:
        second = hand_in(bank, application, "mine").json()
    assert second["case_id"] != first["case_id"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_batch_has_a_result_for_each_item(client: httpx.Client, application: Json, whole: bool) -> None:  # noqa: FBT001
    wrong = application | {"channel": "pigeon"}
    refused = application | {"materials": []}
    items = [application | {"key": f"b-{whole}-1"}, wrong, refused, application | {"key": f"b-{whole}-1"}, 7]
    answer = client.post("/v1/cases", json={"cases": items} if whole else items)
    assert answer.status_code == 207
    body = answer.json()
    assert (body["taken"], body["refused"]) == (2, 3)
    assert [result["status"] for result in body["results"]] == [202, 422, 422, 202, 422]
    assert [result["index"] for result in body["results"]] == [0, 1, 2, 3, 4]
    first, bad, missing, again, no_object = body["results"]
    assert first["key"] == f"b-{whole}-1"
    assert again["case"]["case_id"] == first["case"]["case_id"]
    assert again["case"]["repeated"]
    assert bad["problem"]["errors"][0]["field"] == "channel"
    assert missing["problem"]["type"] == "urn:kuayu:problem:material_missing"
    assert no_object["problem"]["status"] == 422


@pytest.mark.parametrize("body", [[], {"cases": []}, {"cases": 5}, [{}] * 1001])
def test_a_batch_has_1_to_1000_items(client: httpx.Client, body: Any) -> None:
    answer = client.post("/v1/cases", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "cases"


def test_a_full_batch_is_taken_whole(client: httpx.Client, application: Json) -> None:
    small = {
        name: application[name] for name in ("item_code", "belonging", "channel", "applicant", "delivery")
    }
    small["materials"] = application["materials"]
    answer = client.post("/v1/cases", json=[small] * 1_000)
    assert answer.json()["taken"] == 1_000
    numbers = {result["case"]["case_number"] for result in answer.json()["results"]}
    assert len(numbers) == 1_000  # beyond the block of 500 too


def _set(path: str, value: Any) -> Callable[[Json], None]:
    def change(application: Json) -> None:
        *way, last = path.split(".")
        target: Any = application
        for name in way:
            target = target[int(name)] if isinstance(target, list) else target[name]
        if value is None:
            del target[last]
        else:
            target[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        (
            _set("applicant.person.document_number", "430202199001010012"),
            "applicant.person.document_number",
            "invalid",
        ),
        (_set("applicant.person.name", "  "), "applicant.person.name", "invalid"),
        (_set("applicant.person", None), "applicant", "invalid"),
        (
            _set("applicant", {"organisation": {"name": "甲公司", "code": "91430200MA4L00000X"}}),
            "applicant.organisation.code",
            "invalid",
        ),
        (_set("item_code", "9" * 31), "item_code", "unknown_item"),
        (_set("item_code", "short"), "item_code", "invalid"),
        (_set("belonging", "430200"), "item_code", "belongs_elsewhere"),
        (_set("delivery.jurisdiction", "610100"), "delivery.jurisdiction", "pickup_not_covered"),
        (_set("materials", []), "materials", "material_missing"),
        (_set("materials.0.code", "poem"), "materials[0].code", "unknown_material"),
        (_set("materials.0.size", "12"), "materials.0.size", "invalid"),
        (_set("collected_at", "2026-03-02T09:30:00"), "collected_at", "invalid"),
        (_set("collected_at", 1_700_000_000), "collected_at", "invalid"),
        (_set("collected_at", "2999-03-02T09:30:00Z"), "collected_at", "wrong_order"),
        (_set("office", {"jurisdiction": "430100", "name": "长沙"}), "office.jurisdiction", "invalid"),
        (_set("surprise", 1), "surprise", "invalid"),
        (_set("channel", None), "channel", "invalid"),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(
    client: httpx.Client, application: Json, change: Callable[[Json], None], field: str, code: str
) -> None:
    change(application)
    answer = hand_in(client, application)
    body = answer.json()
    assert answer.status_code == 422
    assert body["type"] == f"urn:kuayu:problem:{code}"
    assert [error["field"] for error in body["errors"]] == [field]
    assert body["errors"][0]["problem"]
    for personal in ("4302021990", "91430200MA", "张小明"):
        assert personal not in answer.text


@pytest.mark.parametrize("key", ["", "x" * 201, "钥匙".encode(), "a b"])
def test_a_key_is_visible_ascii(client: httpx.Client, application: Json, key: Any) -> None:
    answer = client.post("/v1/cases", json=application, headers={"Idempotency-Key": key})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "Idempotency-Key"


def test_who_lacks_the_role_hands_nothing_in(
    client: httpx.Client, application: Json, keys: dict[str, Any]
) -> None:
    for name in ("reader", "reviewer"):
        answer = client.post("/v1/cases", json=application, headers=keys[name].headers)
        assert answer.status_code == 403


def test_a_district_sees_its_own_cases_only(
    client: httpx.Client, application: Json, keys: dict[str, Any]
) -> None:
    citys = hand_in(client, application).headers["location"]
    with httpx.Client(
        base_url=client.base_url, headers=keys["district"].headers, timeout=PATIENCE
    ) as district:
        own = hand_in(district, application).headers["location"]
        assert district.get(own).status_code == 200
        for path in (citys, f"{citys}/journey"):
            assert district.get(path).status_code == 404
        for act in ("withdrawal", "supplements"):
            assert district.post(f"{citys}/{act}", json={}).status_code == 404
    assert client.get(own).status_code == 200  # the city above sees it
    reader = client.get(own, headers=keys["reader"].headers)
    assert reader.status_code == 200
    assert client.get(own, headers=keys["reviewer"].headers).status_code == 403


@pytest.mark.parametrize("case", ["430200-01JAXXXXXXXXXXXXXXXXXXXXXX", "x", "%00", "é"])
def test_an_unknown_case_is_not_found(client: httpx.Client, case: str) -> None:
    for answer in (
        client.get(f"/v1/cases/{case}"),
        client.get(f"/v1/cases/{case}/journey"),
        client.post(f"/v1/cases/{case}/withdrawal", json={}),
    ):
        assert answer.status_code == 404
        assert answer.json()["type"] == "urn:kuayu:problem:unknown_case"


def test_an_application_is_withdrawn_once(client: httpx.Client, application: Json) -> None:
    location = hand_in(client, application).headers["location"]
    first = client.post(
        f"{location}/withdrawal", json={"reason": "不办了"}, headers={"Idempotency-Key": "w-1"}
    )
    assert first.status_code == 202
    assert first.json()["status"] == "withdrawn"
    again = client.post(
        f"{location}/withdrawal", json={"reason": "不办了"}, headers={"Idempotency-Key": "w-1"}
    )
    assert again.json()["repeated"]
    assert client.post(f"{location}/withdrawal", json={}).status_code == 409
    assert client.get(location).json()["holder"] is None


def test_one_key_serves_one_case(client: httpx.Client, application: Json) -> None:
    locations = [hand_in(client, application).headers["location"] for _ in range(2)]
    answers = [
        client.post(f"{at}/withdrawal", json={}, headers={"Idempotency-Key": "w-2"}) for at in locations
    ]
    assert [answer.status_code for answer in answers] == [202, 422]


def test_an_act_upon_an_older_version_is_refused(client: httpx.Client, application: Json) -> None:
    taken = hand_in(client, application)
    location = taken.headers["location"]
    wrong = ['"1"', '"x"', "W/1"]
    for tag in wrong:
        answer = client.post(f"{location}/withdrawal", json={}, headers={"If-Match": tag})
        assert answer.status_code == 412
    right = client.post(f"{location}/withdrawal", json={}, headers={"If-Match": taken.headers["etag"]})
    assert right.status_code == 202


def test_supplements_go_to_the_office_that_asked(
    client: httpx.Client, application: Json, office: Any, eventually: Wait
) -> None:
    location = hand_in(client, application).headers["location"]
    case = location.rpartition("/")[2]
    eventually(lambda: office.knows(case))
    missing = MaterialRequest(code="purpose_statement", name="用途说明", problem="未盖章")
    office.act(case, commands.RequestSupplement(materials=(missing,), reason="请补正"))
    wanted = eventually(lambda: client.get(location).json()["supplement"])
    assert wanted["materials"] == [{"code": "purpose_statement", "name": "用途说明", "problem": "未盖章"}]
    material = {"code": "purpose_statement", "name": "用途说明", "form": "copy"}
    answer = client.post(f"{location}/supplements", json={"materials": [material]})
    assert answer.status_code == 202
    assert client.get(location).json()["supplement"] is None
    empty = client.post(f"{location}/supplements", json={})
    assert empty.status_code == 422


def test_an_approval_reaches_the_window(
    client: httpx.Client, application: Json, office: Any, eventually: Wait
) -> None:
    location = hand_in(client, application).headers["location"]
    case = location.rpartition("/")[2]
    eventually(lambda: office.knows(case))
    office.act(case, commands.Approve())
    found = eventually(lambda: (got := client.get(location).json())["decision"] and got)
    assert found["decision"]["outcome"] == "approved"
    assert found["holder"]["stage"] == "pickup"
    assert found["holder"]["jurisdiction"] == "430300"
    kinds = [step["kind"] for step in client.get(f"{location}/journey").json()["steps"]]
    assert kinds == ["Submitted", "Decided"]
