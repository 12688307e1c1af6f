"""Signing in to the pages: the key is given once, a cookie stands for it afterwards."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from web.auth import COOKIE, SESSION_SECONDS, check_same_origin
from web.pages import Pages

router = APIRouter(include_in_schema=False)
_pages = Pages("web")


def _local(path: str) -> str:
    """Only to our own pages: two slashes of either kind lead elsewhere."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


@router.get("/login")
def form(request: Request, next: str = "/") -> Response:  # noqa: A002 - the usual name in such URLs
    return _pages.render(request, "login.html", next=_local(next), wrong=False)


@router.post("/login")
def login(request: Request, key: Annotated[str, Form()], next: Annotated[str, Form()] = "/") -> Response:  # noqa: A002
    check_same_origin(request)
    caller = request.app.state.context.callers.find(key.strip())
    if caller is None:
        return _pages.render(request, "login.html", 401, next=_local(next), wrong=True)
    answer = RedirectResponse(_local(next), 303)
    answer.set_cookie(
        COOKIE,
        request.app.state.sessions.open(caller),
        max_age=SESSION_SECONDS,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout")
def logout(request: Request) -> Response:
    check_same_origin(request)
    request.app.state.sessions.close(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(COOKIE)
    return answer
