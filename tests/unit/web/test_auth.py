from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import web
from tests.running import PATIENCE
from web import Callers, KeysError, Role

Sign = Callable[[Role], httpx.Client]


@pytest.mark.parametrize("scheme", ["bearer", "header"])
def test_a_key_says_who_calls(client: httpx.Client, keys: dict[Role, str], scheme: str) -> None:
    key = keys[Role.REVIEW]
    headers = {"Authorization": f"Bearer {key}"} if scheme == "bearer" else {"X-API-Key": key}
    assert client.get("/who", headers=headers).json() == "clerk:review@430200"


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "kuayu_wrong"}, {"Authorization": "Basic eDp5"}])
def test_without_a_valid_key_the_answer_is_401(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.get("/who", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.json()["type"] == "urn:kuayu:problem:unauthenticated"


def test_without_the_role_the_answer_is_403(client: httpx.Client, keys: dict[Role, str]) -> None:
    answer = client.get("/who", headers={"X-API-Key": keys[Role.SUBMIT]})
    assert answer.status_code == 403
    assert "review" in answer.json()["detail"]


def test_a_page_sends_who_is_not_signed_in_to_the_form(client: httpx.Client) -> None:
    answer = client.get("/tasks")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/tasks"


def test_signing_in_opens_pages_and_apis_and_signing_out_closes_them(signed_in: Sign) -> None:
    browser = signed_in(Role.REVIEW)
    page = browser.get("/tasks")
    assert page.status_code == 200
    assert "&lt;review 员&gt;" in page.text  # escaped
    assert 'href="/tasks" aria-current="page"' in page.text
    assert browser.get("/who").json() == "clerk:review@430200"
    assert browser.post("/acts").json() == "clerk:review@430200"
    token = browser.cookies[web.auth.COOKIE]
    browser.post("/logout")
    assert browser.get("/who", headers={"Cookie": f"{web.auth.COOKIE}={token}"}).status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(served: str, keys: dict[Role, str]) -> None:
    answer = httpx.post(
        f"{served}/login", data={"key": keys[Role.READ]}, headers={"Origin": served}, timeout=PATIENCE
    )
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert keys[Role.READ].lower() not in cookie


def test_a_wrong_key_opens_nothing(served: str) -> None:
    answer = httpx.post(
        f"{served}/login", data={"key": "kuayu_wrong"}, headers={"Origin": served}, timeout=PATIENCE
    )
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("origin", ["http://evil.example", "null", None])
@pytest.mark.parametrize("path", ["/acts", "/things", "/logout"])
def test_what_another_site_makes_a_browser_send_is_refused(
    signed_in: Sign, origin: str | None, path: str
) -> None:
    browser = signed_in(Role.REVIEW)
    del browser.headers["Origin"]
    headers = {} if origin is None else {"Origin": origin}
    assert browser.post(path, headers=headers, json={"name": "x"}).status_code == 403


@pytest.mark.parametrize("target", ["//evil.example", "http://evil.example", "/\\evil.example"])
def test_signing_in_leads_only_to_our_own_pages(served: str, keys: dict[Role, str], target: str) -> None:
    form = {"key": keys[Role.READ], "next": target}
    answer = httpx.post(f"{served}/login", data=form, headers={"Origin": served}, timeout=PATIENCE)
    assert answer.headers["location"] == "/"


def test_callers_come_from_a_file(tmp_path: Path) -> None:
    key, digest = web.new_key()
    file = tmp_path / "keys.yaml"
    file.write_text(
        f"callers:\n- {{caller: 'system:zz-hall', name: 株洲大厅, jurisdiction: '430200', roles: [submit], sha256: {digest}}}\n"
    )
    found = Callers.load(file).find(key)
    assert found is not None
    assert (found.caller, found.roles) == ("system:zz-hall", frozenset({Role.SUBMIT}))
    assert Callers.load(file).find(digest) is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{caller: 'Zhou Wei', name: a, jurisdiction: b, roles: [], sha256: %s}", "system:zz-hall"),
        ("{caller: 'system:a', name: a, jurisdiction: b, roles: [], sha256: plain}", "64 lower-case"),
        ("{caller: 'system:a', name: a, jurisdiction: b, roles: [king], sha256: %s}", "roles"),
        ("{caller: 'system:a', name: a, roles: [], sha256: %s}", "jurisdiction"),
    ],
)
def test_a_wrong_file_of_keys_is_refused_by_name(tmp_path: Path, line: str, says: str) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(f"callers:\n- {line.replace('%s', 'a' * 64)}\n")
    with pytest.raises(KeysError, match=says):
        Callers.load(file)


def test_two_callers_never_share_a_name_or_a_key() -> None:
    one = web.Caller(caller="system:a", name="a", jurisdiction="430200", roles=frozenset(), sha256="a" * 64)
    with pytest.raises(KeysError, match="twice"):
        Callers([one, one])


def test_no_two_keys_are_alike() -> None:
    assert len({web.new_key() for _ in range(100)}) == 100
