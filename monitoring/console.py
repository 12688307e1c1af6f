"""The operator's page: streams, lanes, what is held, what was quarantined, the newest batches and alarms. No bodies."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from msgspec.structs import asdict
from sqlalchemy import Row, Select, select
from starlette.responses import Response

from bus import Clock, Engine, held
from bus.ledger import tables
from cases import PHASE_NAMES, Phase
from monitoring import health, reads
from monitoring.metrics import Metrics
from web import NAV, Caller, Context, Pages, Role, signed_in

SHOWN: Final = 50
"""Rows of a list; beyond, the numbers tell."""
BATCHES_SHOWN: Final = 10

_pages = Pages("monitoring")


def add(routes: APIRouter, context: Context, metrics: Metrics, clock: Clock) -> None:
    """Put the page into `routes`."""
    engine = context.engine

    @routes.get("/operator", name="运行 Operations", tags=[NAV], include_in_schema=False)
    def page(request: Request, _: Annotated[Caller, Depends(signed_in(Role.OPERATE))]) -> Response:
        now = clock.now()
        return _pages.render(
            request,
            "operator.html",
            health=health.ready(engine, context.code, now),
            streams=_streams(engine),
            lanes=_lanes(engine, now),
            held=held.find(engine.ledger, held.Which(), SHOWN),
            meanings=held.MEANINGS,
            quarantined=reads.quarantined(engine),
            quarantine=_quarantine(engine),
            batches=_batches(engine),
            alarms=list(metrics.alarms)[::-1],
        )


def _streams(engine: Engine) -> list[tuple[str, int, list[tuple[tuple[str, str], int]]]]:
    """Each stream with its number of cases, and of those by the names of their statuses."""
    streams: dict[str, list[tuple[tuple[str, str], int]]] = {
        name: [] for name in sorted(engine.records.handlers)
    }
    for stream, status, count in reads.cases_by_status(engine):
        streams.setdefault(stream, []).append((_name(status), count))
    return [(stream, sum(count for _, count in counts), counts) for stream, counts in streams.items()]


def _name(status: str) -> tuple[str, str]:
    return PHASE_NAMES[Phase(status)] if status in set(Phase) else (status, "")


def _lanes(engine: Engine, now: datetime) -> list[dict[str, Any]]:
    open_ = reads.open_handovers(engine)
    found = []
    for lane in reads.lanes(engine):
        handed = open_.get(lane.name) if lane.outward else None
        since = handed.since if handed else None
        found.append(
            asdict(lane)
            | {
                "open": handed.events if handed else None,
                "age": since and round((now - since).total_seconds()),
            }
        )
    return found


def _quarantine(engine: Engine) -> list[dict[str, Any]]:
    kept = tables.quarantine
    columns = (kept.c.topic, kept.c.partition, kept.c.offset, kept.c.seen_at, kept.c.reason, kept.c.size)
    rows = _rows(engine, select(*columns).order_by(kept.c.seen_at.desc()).limit(SHOWN))
    return [row._asdict() | {"seen_at": _instant(row.seen_at)} for row in rows]


def _batches(engine: Engine) -> list[dict[str, Any]]:
    batch = tables.batch
    columns = (
        batch.c.batch,
        batch.c.first_row,
        batch.c.last_row,
        batch.c.chain,
        batch.c.epoch,
        batch.c.committed_at,
    )
    rows = _rows(engine, select(*columns).order_by(batch.c.batch.desc()).limit(BATCHES_SHOWN))
    return [
        row._asdict() | {"committed_at": _instant(row.committed_at), "chain": row.chain.hex()[:16]}
        for row in rows
    ]


def _rows(engine: Engine, query: Select[Any]) -> Sequence[Row[Any]]:
    with engine.ledger.read() as connection:
        return connection.execute(query).all()


def _instant(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
