"""Server-rendered pages: Jinja templates with escaping on, one base page in two languages, one style sheet."""

from datetime import datetime
from typing import Any

from fastapi import Request
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse

from jurisdictions import CHINA_TIME
from web.auth import COOKIE

NAV = "nav"
"""Tag of routes that stand in the navigation, under their name."""


def local_time(instant: datetime | None) -> str:
    """An instant as people read it: China's time, to the minute."""
    return "" if instant is None else f"{instant.astimezone(CHINA_TIME):%Y-%m-%d %H:%M}"


class Pages:
    """The templates of a package (its folder `templates`), beside those that all share.

    A template begins with `{% extends "base.html" %}` and fills the blocks `title` and `content`. It knows
    `context` (the node), `caller` (or None), `nav` and the filter `local_time`.
    """

    def __init__(self, package: str) -> None:
        self._environment = Environment(
            loader=ChoiceLoader([PackageLoader(package), PackageLoader("web")]),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters["local_time"] = local_time

    def render(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """The page."""
        state = request.app.state
        place = state.context.directory.jurisdiction(state.context.code)
        shared = {
            "context": state.context,
            "place": place,
            "nav": state.nav,
            "path": request.url.path,
            "caller": state.sessions.find(request.cookies.get(COOKIE, "")),
        }
        return HTMLResponse(self._environment.get_template(template).render(shared | values), status)
