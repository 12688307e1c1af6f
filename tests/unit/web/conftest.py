"""A node's web application on a real port, with a few callers; the bus stands still."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Annotated, Any, cast

import httpx
import pytest
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel

import web
from bus import Engine
from jurisdictions import load_directory
from schemas import load_catalogue, load_schemas
from tests.running import PATIENCE, serving
from web import Caller, Callers, Context, Role

_directory = cache(load_directory)
_schemas = cache(load_schemas)
KEYS = {role: web.new_key() for role in Role}


class Thing(BaseModel, extra="forbid"):
    name: str
    size: int = 0


def router(raised: list[Exception]) -> APIRouter:
    made = APIRouter()
    pages = web.Pages("web")

    @made.get("/who")
    def who(caller: Annotated[Caller, Depends(web.require(Role.REVIEW, Role.READ))]) -> str:
        return caller.caller

    @made.post("/things")
    def things(thing: Thing, _: Annotated[Caller, Depends(web.require())]) -> Thing:
        return thing

    @made.get("/raises")
    def raises() -> None:
        raise raised[-1]

    @made.get("/trace")
    def trace(request: Request) -> str:
        return web.trace(request)

    @made.get("/tasks", name="任务 Tasks", tags=[web.NAV])
    def tasks(request: Request, caller: Annotated[Caller, Depends(web.signed_in(Role.REVIEW))]) -> Any:
        return pages.render(request, "login.html", next=f"<{caller.name}>", wrong=False)

    @made.post("/acts")
    def acts(caller: Annotated[Caller, Depends(web.signed_in())]) -> str:
        return caller.caller

    return made


@pytest.fixture
def keys() -> dict[Role, str]:
    return {role: key for role, (key, _) in KEYS.items()}


@pytest.fixture
def raised() -> list[Exception]:
    """What GET /raises raises: the last one in it."""
    return []


@pytest.fixture
def served(raised: list[Exception]) -> Iterator[str]:
    """The address of the application."""
    callers = Callers(
        [
            Caller(
                caller=f"clerk:{role}@430200",
                name=f"{role} 员",
                jurisdiction="430200",
                roles=frozenset([role]),
                sha256=digest,
            )
            for role, (_, digest) in KEYS.items()
        ]
    )
    context = Context(
        code="430200",
        stages=("acceptance",),
        engine=cast("Engine", None),  # the endpoints of these tests hand nothing in
        directory=_directory(),
        schemas=_schemas(),
        catalogue=load_catalogue(),
        callers=callers,
    )
    with serving(web.create_app(context, [router(raised)])) as address:
        yield address


@pytest.fixture
def client(served: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served, timeout=PATIENCE) as made:
        yield made


@pytest.fixture
def signed_in(served: str, keys: dict[Role, str]) -> Iterator[Callable[[Role], httpx.Client]]:
    """Browsers that gave a key."""
    made: list[httpx.Client] = []

    def sign_in(role: Role) -> httpx.Client:
        browser = httpx.Client(base_url=served, headers={"Origin": served}, timeout=PATIENCE)
        made.append(browser)
        assert browser.post("/login", data={"key": keys[role]}).status_code == 303
        return browser

    yield sign_in
    for browser in made:
        browser.close()
