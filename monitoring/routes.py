"""What a node answers about itself: health, metrics, its tally, and the operator's page."""

from typing import Any, Final

import msgspec
from fastapi import APIRouter, Request
from prometheus_client import ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.exposition import generate_latest as as_text
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.exposition import generate_latest as as_openmetrics
from starlette.responses import Response

from bus import Clock, SystemClock
from monitoring import console, health, summary
from monitoring.collector import NodeCollector, TaskCounts
from monitoring.held_api import held_router
from monitoring.metrics import Metrics
from web import Context

_JSON: Final = "application/json"
_TALLY: Final = msgspec.json.schema_components([summary.Tally])[1]["Tally"]


def _no_tasks() -> tuple[()]:
    return ()


def router(
    context: Context, metrics: Metrics, *, tasks: TaskCounts = _no_tasks, clock: Clock | None = None
) -> APIRouter:
    """The routes of monitoring; also registers with `metrics` what is read from the engine at scrape time.

    `tasks` counts the work list, which another package keeps; `clock` is the engine's. Call it once for a node.
    """
    clock = clock or SystemClock()
    code, engine = context.code, context.engine
    metrics.registry.register(NodeCollector(context, metrics.places, tasks, clock))
    ProcessCollector(registry=metrics.registry)
    routes = APIRouter()

    @routes.get("/livez", include_in_schema=False)
    def livez() -> Response:
        return _health(health.live(engine, code))

    @routes.get("/readyz", include_in_schema=False)
    def readyz() -> Response:
        return _health(health.ready(engine, code, clock.now()))

    @routes.get("/metrics", include_in_schema=False)
    def scrape(request: Request) -> Response:
        """OpenMetrics, with exemplars, for who asks for it."""
        if "application/openmetrics-text" in request.headers.get("accept", ""):
            body: bytes = as_openmetrics(metrics.registry)  # type: ignore[no-untyped-call]
            return Response(body, media_type=OPENMETRICS)
        return Response(as_text(metrics.registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    described: dict[int | str, dict[str, Any]] = {
        200: {"description": "办件数 / the numbers", "content": {_JSON: {"schema": _TALLY}}}
    }

    @routes.get("/v1/tally", responses=described, response_class=Response, tags=["monitoring"])
    def tally() -> Response:
        """本节点办件汇总 / The numbers of this node's cases; the ends, the open and the parked ones add up to those handed in."""
        return Response(msgspec.json.encode(summary.tally(engine, code)), media_type=_JSON)

    console.add(routes, context, metrics, clock)
    routes.include_router(held_router(context))
    return routes


def _health(found: health.Health) -> Response:
    return Response(msgspec.json.encode(found), found.http_status, media_type=_JSON)
