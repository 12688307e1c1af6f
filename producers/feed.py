"""A feed for systems that can't listen: what happened to the cases that they handed in, in the order of the ledger.

At least once: a cursor is a row number, and who asks again from an older one gets the same again. It names the
incarnation in which it was given, for after a restore other rows may stand under the numbers that were read: such a
cursor is answered with the one to go on with, at the end of what both histories have in common. The steps are read from
the log itself; beside it stands only who handed in which case (`submission`) and how far each has read.
"""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, func, select

from bus.incarnation import last_common_row
from bus.ledger import Entry, Kind, upsert
from bus.ledger.entry import decode
from bus.ledger.tables import log
from cases import journey
from producers.answers import JourneyStep
from producers.tables import feed_cursor, submission
from web import Caller, Context, FieldError, Problem, Role, cursor, documented, invalid, position, require

MAX_ITEMS = 1_000
_AT_ONCE = 500
"""Rows read at once."""
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


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


class _Feed:
    """What the ledger tells of the cases of each caller."""

    def __init__(self, context: Context) -> None:
        self._engine = context.engine
        self._stream = f"{context.code}/acceptance"

    def page(self, caller: Caller, after: str | None, limit: int) -> FeedPage:
        """At most `limit` steps behind a cursor, or behind what is acknowledged. Raises Problem."""
        with self._engine.ledger.read() as connection:
            row = (
                _acknowledged(connection, caller)
                if after is None
                else self._located(connection, after, "after")
            )
        items: list[FeedItem] = []
        more = True
        while more and len(items) < limit:
            rows, more, row = self._rows(caller, row)
            for number, blob in rows:
                entry = decode(blob)
                if entry.kind is Kind.OUT or entry.stream != self._stream:
                    continue
                items += self._items(number, entry)
                if len(items) >= limit:
                    return FeedPage(items=items, next=self._cursor(number), more=True)
        return FeedPage(items=items, next=self._cursor(row), more=more)

    def acknowledge(self, caller: Caller, text: str) -> None:
        """Everything up to a cursor has been dealt with. Raises Problem."""
        with self._engine.ledger.engine.begin() as connection:
            row = self._located(connection, text, "cursor")
            if row > _last(connection):
                wrong = "超出已有记录 / is beyond what was told"
                raise invalid([FieldError("cursor", wrong, "a cursor of this feed")])
            upsert(connection, feed_cursor, [(caller.caller, row)])

    def _cursor(self, row: int) -> str:
        return cursor(self._engine.books.head.incarnation, row)

    def _located(self, connection: Connection, text: str, field: str) -> int:
        """The row of a cursor. Raises Problem."""
        incarnation, row = position(text, tuple[_Number, _Number], field)
        common = last_common_row(connection, incarnation)
        if common is None or row <= common:
            return row
        raise Problem(
            410,
            "history_lost",
            "台账已从备份恢复,请改用 next 继续 / the ledger was restored from a backup; go on with `next`",
            [FieldError(field, "指向恢复前的记录 / is of a history that was lost", "this problem's `next`")],
            go_on=self._cursor(common),
        )

    def _rows(self, caller: Caller, after: int) -> tuple[list[tuple[int, bytes]], bool, int]:
        """The next rows of the caller's cases, whether there are more, and the row that was looked at last."""
        query = (
            select(log.c.row, log.c.entry)
            .join(submission, submission.c.case == log.c.subject)
            .where(submission.c.caller == caller.caller, log.c.row > after)
            .order_by(log.c.row)
            .limit(_AT_ONCE)
        )
        with self._engine.ledger.read() as connection:
            last = _last(connection)
            rows = [(row[0], row[1]) for row in connection.execute(query.where(log.c.row <= last))]
        more = len(rows) == _AT_ONCE
        return rows, more, rows[-1][0] if more else max(after, last)

    def _items(self, row: int, entry: Entry) -> list[FeedItem]:
        return [
            FeedItem(
                cursor=self._cursor(row),
                case_id=entry.subject,
                at=step.at,
                recorded_at=step.recorded_at,
                kind=step.kind,
                zh=step.zh,
                en=step.en,
            )
            for step in journey(self._engine.records.facts(entry))
        ]


def _acknowledged(connection: Connection, caller: Caller) -> int:
    query = select(feed_cursor.c.row).where(feed_cursor.c.caller == caller.caller)
    return connection.execute(query).scalar() or 0


def _last(connection: Connection) -> int:
    return connection.execute(select(func.max(log.c.row))).scalar() or 0


def feed_routes(context: Context) -> APIRouter:
    """The routes under /v1/feed."""
    made = APIRouter(prefix="/v1/feed", tags=["消息 feed"])
    told = _Feed(context)

    @made.get(
        "", responses=documented(401, 403, 410, 422), summary="办件进展 / What happened to the caller's cases"
    )
    def feed(
        caller: _Submitter,
        after: Annotated[
            str | None,
            Query(description="`next` of the last answer; without it, from the acknowledged cursor"),
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MAX_ITEMS)] = 100,
    ) -> FeedPage:
        """Steps after a cursor, oldest first. Ask again with `next`; an empty page's `next` is as good as any.

        410 `history_lost`: the ledger was restored from a backup older than the cursor. Go on with the problem's
        `next`: what happened since is told again as it is known now, and what is told no more did not last.
        """
        return told.page(caller, after, limit)

    @made.post(
        "/ack",
        status_code=204,
        responses=documented(400, 401, 403, 410, 413, 422),
        summary="确认收到 / Acknowledge everything up to a cursor",
    )
    def acknowledge(caller: _Submitter, body: Acknowledgement) -> None:
        told.acknowledge(caller, body.cursor)

    return made
