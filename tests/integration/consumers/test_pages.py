"""The clerks' pages in a browser that knows no scripts: forms, redirects, and errors where they belong."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape
from typing import Any

import httpx
import pytest

from consumers.pages import days_left, deadline
from tests.running import PATIENCE


def fields(page: str, name: str) -> dict[str, str]:
    """The hidden fields of a form on a page."""
    [form] = re.findall(rf'<form method="post" action="[^"]*/{name}\?[^"]*">(.*?)</form>', page, re.DOTALL)
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', form))


def send(browser: httpx.Client, case: str, stage: str, name: str, **filled: str) -> httpx.Response:
    page = browser.get(f"/cases/{case}", params={"stage": stage}).text
    data = fields(page, name) | {key.replace("__", "."): value for key, value in filled.items()}
    return browser.post(f"/cases/{case}/{name}", params={"stage": stage}, data=data)


@pytest.fixture
def li(region: Any) -> httpx.Client:
    browser: httpx.Client = region.browser("li", region.there)
    return browser


@pytest.fixture
def arrived(region: Any, li: httpx.Client, eventually: Any) -> Callable[..., str]:
    def hand_in(*args: Any) -> str:
        case: str = region.hand_in(*args)
        eventually(lambda: li.get(f"/cases/{case}", params={"stage": "review"}).status_code == 200)
        return case

    return hand_in


def test_home_counts_and_the_list_leads_to_the_case(li: httpx.Client, arrived: Any) -> None:
    case = arrived("欧阳<b>")
    home = li.get("/").text
    assert "长沙市" in home
    assert 'href="/tasks?stage=review"' in home
    assert 'aria-current="page"' in home
    listed = li.get("/tasks", params={"stage": "review", "order": "opened"}).text
    assert f'href="/cases/{case}?stage=review"' in listed
    assert "欧阳" not in listed
    page = li.get(f"/cases/{case}").text
    assert "欧阳&lt;b&gt;" in page
    assert "收到办件" in page


def test_a_case_by_forms_alone(region: Any, li: httpx.Client, arrived: Any, eventually: Any) -> None:
    case = arrived()
    assert "已记录" in send(li, case, "review", "claim").text
    assert "审核中" in send(li, case, "review", "accept").text
    approved = send(li, case, "review", "approve", valid_until="2030-01-01")
    assert "已准予" in approved.text
    wang = region.browser("wang", region.here)
    eventually(lambda: wang.get(f"/cases/{case}", params={"stage": "pickup"}).status_code == 200)
    assert "2030-01-01" in wang.get(f"/cases/{case}", params={"stage": "pickup"}).text
    assert "可取证" in send(wang, case, "pickup", "ready", place="天河窗口").text
    code = eventually(lambda: region.code_sent(case))
    wrong = send(wang, case, "pickup", "hand-over", code="AAAA", document_number="E12345678")
    assert wrong.status_code == 422
    assert "还可尝试4次" in wrong.text
    assert "E12345678" in wrong.text  # what was filled in stays in its field
    done = send(wang, case, "pickup", "hand-over", code=code, document_number="E12345678")
    assert "已领取" in done.text


def test_supplements_are_asked_for_material_by_material(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    nothing = send(li, case, "review", "supplements", reason="缺材料")
    assert nothing.status_code == 422
    assert "材料 Materials" in nothing.text
    asked = send(li, case, "review", "supplements", problem__layout_plan="无比例尺", due="2099-01-01T17:00")
    assert asked.status_code == 200
    assert "待补正" in asked.text
    assert "无比例尺" in asked.text
    assert "2099-01-01 17:00" in asked.text


def test_a_refusal_has_reason_grounds_and_remedy(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    send(li, case, "review", "accept")
    bare = send(li, case, "review", "refuse", reason="选址不符")
    assert bare.status_code == 422
    assert "依据 Legal ground" in bare.text
    assert "选址不符" in bare.text
    full = send(
        li,
        case,
        "review",
        "refuse",
        reason="选址不符",
        grounds__0__source="食品经营许可和备案管理办法",
        remedy__body="长沙市人民政府",
        remedy__period_days="60",
    )
    assert "不予许可" in full.text
    assert full.status_code == 200


def test_what_changed_meanwhile_is_shown_not_overwritten(region: Any, li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    page = li.get(f"/cases/{case}", params={"stage": "review"}).text
    zhao = region.browser("zhao", region.there)
    send(zhao, case, "review", "claim")
    stale = li.post(f"/cases/{case}/accept", params={"stage": "review"}, data=fields(page, "accept"))
    assert stale.status_code in {409, 412}
    assert "clerk:zhao@430100" in stale.text
    mine = zhao.get("/tasks", params={"stage": "review", "mine": "true"}).text
    assert case in mine
    assert case not in li.get("/tasks", params={"stage": "review", "mine": "true"}).text


def test_a_form_sent_twice_acts_once(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    data = fields(li.get(f"/cases/{case}", params={"stage": "review"}).text, "accept")
    for _ in range(2):
        answer = li.post(f"/cases/{case}/accept", params={"stage": "review"}, data=data)
        assert answer.status_code == 200
    assert answer.text.count("<li><strong>") == 2


def test_other_sites_can_not_send_our_forms(region: Any, li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    data = fields(li.get(f"/cases/{case}", params={"stage": "review"}).text, "accept")
    forged = li.post(
        f"/cases/{case}/accept", params={"stage": "review"}, data=data, headers={"Origin": "http://evil.test"}
    )
    assert forged.status_code == 403
    stranger = httpx.Client(base_url=region.there.url, timeout=PATIENCE)
    asked = stranger.get(f"/cases/{case}")
    assert asked.status_code == 303
    assert asked.headers["Location"].startswith("/login")
    stranger.close()
    wang = region.browser("wang", region.there)
    assert wang.get(f"/cases/{case}", params={"stage": "review"}).status_code == 403


def test_search_by_id_and_by_number(li: httpx.Client, arrived: Any) -> None:
    case = arrived()
    found = li.get("/search", params={"q": f" {case} "})
    assert found.url.path == f"/cases/{case}"
    number = re.search(r'<dd class="mono">([0-9A-Z]{43})</dd>', found.text)
    assert number is not None
    assert li.get("/search", params={"q": number[1]}).url.path == f"/cases/{case}"
    assert "没有找到" in li.get("/search", params={"q": "<script>"}).text
    assert "<script>" not in li.get("/search", params={"q": "<script>"}).text
    assert li.get("/cases/440100-999999").status_code == 404


def test_pages_of_a_list_lead_on(li: httpx.Client, arrived: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumers.pages.PAGE_ROWS", 2)
    cases = {arrived() for _ in range(3)}
    seen: set[str] = set()
    url: str | None = "/tasks?stage=review&order=opened"
    while url:
        page = li.get(url).text
        seen |= set(re.findall(r'href="/cases/([^?"]+)\?', page))
        onward = re.search(r'<a href="([^"]+)" rel="next">', page)
        url = unescape(onward[1]) if onward else None
    assert cases <= seen


@pytest.mark.parametrize(
    ("due", "written", "left"),
    [
        (datetime(2026, 3, 6, 16, tzinfo=UTC), "2026-03-06", "还剩 4 天"),
        (datetime(2026, 3, 2, 16, tzinfo=UTC), "2026-03-02", "今天到期"),
        (datetime(2026, 3, 2, 9, 30, tzinfo=UTC), "2026-03-02 17:30", "今天到期"),
        (datetime(2026, 3, 2, 3, tzinfo=UTC), "2026-03-02 11:00", "今天逾期"),
        (datetime(2026, 2, 27, 16, tzinfo=UTC), "2026-02-27", "逾期 3 天"),
        (None, "—", ""),
    ],
)
def test_deadlines_as_people_write_them(due: datetime | None, written: str, left: str) -> None:
    noon = datetime(2026, 3, 2, 4, tzinfo=UTC)
    assert deadline(due) == written
    assert days_left(due, noon)[0] == left
