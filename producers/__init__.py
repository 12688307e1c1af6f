"""How cases get in: over HTTP, over the intake topic; and how local systems hear of them.

`kuayu_client` in the folder `sdk` is a distribution of its own.
"""

from fastapi import APIRouter

from bus import Ledger
from producers import tables
from producers.api import case_routes
from producers.feed import feed_routes
from producers.intake import IntakeTopic
from producers.submissions import Submissions
from web import Context


class Producers:
    """What a node with the acceptance stage has for its local systems. API and topic count case numbers together."""

    def __init__(self, code: str, ledger: Ledger) -> None:
        self._submissions = Submissions(code, ledger)
        self.projections = (self._submissions,)
        self.intakes = (IntakeTopic(code, self._submissions),)

    def router(self, context: Context) -> APIRouter:
        """/v1/cases and /v1/feed; empty where this process has no acceptance stage."""
        made = APIRouter()
        if "acceptance" in context.stages:
            made.include_router(case_routes(context, self._submissions))
            made.include_router(feed_routes(context))
        return made


__all__ = ["IntakeTopic", "Producers", "Submissions", "tables"]
