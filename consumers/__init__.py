"""The three stages at work: work lists, acts upon tasks, pages for clerks, and webhooks for other back offices.

`router` has what a node offers over HTTP, `projections` what stands beside its log, `WebhookSender` calls subscribers.
"""

from collections.abc import Sequence

from fastapi import APIRouter

from bus import Clock, Projection, SystemClock
from consumers.deliveries import DeliveryQueue
from consumers.pages import add_pages
from consumers.sender import WebhookSender
from consumers.task_api import task_router
from consumers.webhook_api import webhook_router
from consumers.worklist import StageHandler, Worklist
from web import Context

__all__ = ["DeliveryQueue", "StageHandler", "WebhookSender", "Worklist", "projections", "router"]


def projections(handlers: Sequence[StageHandler], clock: Clock | None = None) -> list[Projection]:
    """The tables of this package. `clock` is the engine's."""
    by_stream = {f"{handler.code}/{handler.stage}": handler for handler in handlers}
    return [DeliveryQueue(by_stream, clock or SystemClock()), Worklist(by_stream)]


def router(context: Context, clock: Clock | None = None) -> APIRouter:
    """The task and webhook APIs and the clerks' pages. `clock` is the engine's."""
    clock = clock or SystemClock()
    whole = APIRouter()
    whole.include_router(task_router(context, clock))
    whole.include_router(webhook_router(context, clock))
    add_pages(whole, context, clock)
    return whole
