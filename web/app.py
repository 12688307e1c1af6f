"""One node's web application, made from the routers of the packages that have pages or APIs."""

from collections.abc import Sequence
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from schemas.confluent import RegistryError
from web import login, problems, schema_registry
from web.auth import LoginNeeded, Sessions
from web.context import Context
from web.edge import Edge
from web.pages import NAV

_STATIC = Path(__file__).parent / "static"


def create_app(context: Context, routers: Sequence[APIRouter], *, title: str = "跨域 Kuayu") -> FastAPI:
    """The application of a node: what the routers bring, signing in, the schema endpoints, and errors as problems.

    Routes tagged `NAV` stand in the pages' navigation under their name; the first one is the front page.
    """
    app = FastAPI(title=title, version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.state.context = context
    app.state.sessions = Sessions()
    app.state.nav = [
        (router.prefix + route.path if not route.path.startswith(router.prefix) else route.path, route.name)
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and NAV in route.tags
    ]
    problems.install(app)
    app.add_exception_handler(RegistryError, schema_registry.on_registry_error)
    app.add_exception_handler(LoginNeeded, _to_login)
    app.add_middleware(Edge)
    for router in (*routers, login.router, schema_registry.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=_STATIC), name="static")
    app.add_api_route("/", _front, include_in_schema=False)
    return app


def _front(request: Request) -> Response:
    nav = request.app.state.nav
    return RedirectResponse(nav[0][0] if nav else "/login", 303)


async def _to_login(_request: Request, error: Exception) -> Response:
    assert isinstance(error, LoginNeeded)  # noqa: S101 - registered for it alone
    return RedirectResponse(error.location, 303)
