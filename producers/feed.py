"""A feed for systems that can't listen: what happened to the cases that they handed in, in the order of the ledger.

At least once: the cursor is a row number, and who asks again from an older one gets the same again. The steps are read
from the log itself; beside it stands only who handed in which case (`submission`) and how far each has read.
"""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select

from bus.ledger import Kind, upsert
from bus.ledger.entry import decode
from bus.ledger.tables import log
from cases import journey
from producers.answers import JourneyStep
from producers.tables import feed_cursor, submission
from web import Caller, Context, FieldError, Role, cursor, documented, invalid, position, require

MAX_ITEMS = 1_000
_AT_ONCE = 500
"""Rows read at once."""
_Row = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class FeedItem(JourneyStep):
    """One step of one case."""

    cursor: str
    case_id: str


class FeedPage(BaseModel):
    """Steps in the order of the ledger. `next` goes on after them; `more` says whether something is there already."""

    items: list[FeedItem]
    next: str
    more: bool


class Acknowledgement(BaseModel):
    """Everything up to this cursor has been dealt with."""

    model_config = ConfigDict(extra="forbid")

    cursor: str


_Submitter = Annotated[Caller, Depends(require(Role.SUBMIT))]


def feed_routes(context: Context) -> APIRouter:
    """The routes under /v1/feed."""
    made = APIRouter(prefix="/v1/feed", tags=["消息 feed"])
    ledger, records = context.engine.ledger, context.engine.records
    stream = f"{context.code}/acceptance"

    @made.get(
        "", responses=documented(401, 403, 422), summary="办件进展 / What happened to the caller's cases"
    )
    def feed(
        caller: _Submitter,
        after: Annotated[
            str | None,
            Query(description="`next` of the last answer; without it, from the acknowledged cursor"),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_ITEMS)] = 100,
    ) -> FeedPage:
        """Steps after a cursor, oldest first. Ask again with `next`; an empty page's `next` is as good as any."""
        row = _acknowledged(caller) if after is None else position(after, tuple[_Row])[0]
        items: list[FeedItem] = []
        more = True
        while more and len(items) < limit:
            rows, more, row = _rows(caller, row)
            for number, blob in rows:
                entry = decode(blob)
                if entry.kind is Kind.OUT or entry.stream != stream:
                    continue
                items += [
                    FeedItem(
                        cursor=cursor(number),
                        case_id=entry.subject,
                        at=step.at,
                        recorded_at=step.recorded_at,
                        kind=step.kind,
                        zh=step.zh,
                        en=step.en,
                    )
                    for step in journey(records.facts(entry))
                ]
                if len(items) >= limit:
                    return FeedPage(items=items, next=cursor(number), more=True)
        return FeedPage(items=items, next=cursor(row), more=more)

    def _rows(caller: Caller, after: int) -> tuple[list[tuple[int, bytes]], bool, int]:
        """The next rows of the caller's cases, whether there are more, and the row that was looked at last."""
        query = (
            select(log.c.row, log.c.entry)
            .join(submission, submission.c.case == log.c.subject)
            .where(submission.c.caller == caller.caller, log.c.row > after)
            .order_by(log.c.row)
            .limit(_AT_ONCE)
        )
        with ledger.read() as connection:
            last = connection.execute(select(func.max(log.c.row))).scalar() or 0
            rows = [(row[0], row[1]) for row in connection.execute(query.where(log.c.row <= last))]
        more = len(rows) == _AT_ONCE
        return rows, more, rows[-1][0] if more else max(after, last)

    def _acknowledged(caller: Caller) -> int:
        with ledger.read() as connection:
            query = select(feed_cursor.c.row).where(feed_cursor.c.caller == caller.caller)
            return connection.execute(query).scalar() or 0

    @made.post(
        "/ack",
        status_code=204,
        responses=documented(400, 401, 403, 413, 422),
        summary="确认收到 / Acknowledge everything up to a cursor",
    )
    def acknowledge(caller: _Submitter, body: Acknowledgement) -> None:
        row = position(body.cursor, tuple[_Row], "cursor")[0]
        with ledger.engine.begin() as connection:
            last = connection.execute(select(func.max(log.c.row))).scalar() or 0
            if row > last:
                wrong = "超出已有记录 / is beyond what was told"
                raise invalid([FieldError("cursor", wrong, "a cursor of this feed")])
            upsert(connection, feed_cursor, [(caller.caller, row)])

    return made
