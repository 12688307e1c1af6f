"""The work list: one row for each case that has or had something to do at a stage, kept beside the log."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Dialect, bindparam, case, delete, func, select, tuple_, update

from bus import Change, Ledger
from bus.ledger import milliseconds, upsert
from cases import AcceptanceStage, PickupStage, ReviewStage, Task, TaskKind
from consumers.tables import NEVER, task

StageHandler = AcceptanceStage | ReviewStage | PickupStage
Key = tuple[str, str]
"""Stream and case id."""
REMEMBERED: Final = 5_000
"""Cases without a row that are remembered; of an older one the row is looked for, in vain."""
_OPENED: Final = task.columns.keys().index("opened")


class Worklist:
    """Projection: the row of each case whose task has changed; two statements a commit, whatever its size."""

    def __init__(self, handlers: Mapping[str, StageHandler]) -> None:
        """`handlers` by stream, those of the engine."""
        self._handlers = handlers
        self._without: dict[Key, None] = {}
        """Cases that have no row, as far as they are remembered: most that are decided by rule never get one."""

    def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        rows: dict[Key, list[Any]] = {}
        ended: dict[Key, tuple[Any, ...]] = {}
        for change in changes:
            key = (change.stream, change.message.case)
            at_hand = self._handlers[change.stream].task(change.state)
            before = rows.get(key)
            if at_hand is not None:
                row = _row(key, change, at_hand)
                if before:
                    row[_OPENED] = before[_OPENED]
                rows[key] = row
                ended.pop(key, None)
            elif before:
                before[2], before[4], before[5] = change.row, str(change.state.phase), False
            elif change.before is None:
                self._without[key] = None
            elif key not in self._without:
                ended[key] = (change.row, str(change.state.phase), False, *key)
        for key in rows:
            self._without.pop(key, None)
        while len(self._without) > REMEMBERED:
            del self._without[next(iter(self._without))]
        upsert(connection, task, [tuple(row) for row in rows.values()], keep=("opened",))
        if ended:
            connection.exec_driver_sql(_end(connection.dialect), list(ended.values()))

    def clear(self, connection: Connection) -> None:
        self._without.clear()
        connection.execute(delete(task))


def _row(key: Key, change: Change, at_hand: Task) -> list[Any]:
    """As the columns of the table; `opened` is when it came, the first time."""
    return [
        *key,
        change.row,
        str(at_hand.kind),
        str(change.state.phase),
        True,
        NEVER if at_hand.due is None else milliseconds(at_hand.due),
        NEVER if at_hand.urgent_from is None else milliseconds(at_hand.urgent_from),
        milliseconds((change.facts[0] if change.facts else change.message).recorded_at),
        _storable(at_hand.case_number),
        _storable(at_hand.item_zh),
        _storable(at_hand.item_en),
        _storable(at_hand.accepted_by),
        _storable(at_hand.applicant),
        at_hand.claimed_by,
        _storable(at_hand.attention),
    ]


def _storable(text: str) -> str:
    return text.replace("\0", "")  # PostgreSQL stores none


@lru_cache(maxsize=4)
def _end(dialect: Dialect) -> str:
    ended = (
        update(task)
        .values(version=bindparam("a"), status=bindparam("b"), open=bindparam("c"))
        .where(task.c.stream == bindparam("d"), task.c.subject == bindparam("e"))
    )
    return str(ended.compile(dialect=dialect))


# Reading it.


class Order(StrEnum):
    """What a work list is ordered by."""

    DUE = "due"  # the nearest legal due instant first; what is not due last
    OPENED = "opened"  # what came first, first


class TaskRow(NamedTuple):
    """A line of a work list. Instants are aware, UTC; `due` is None where nothing is due."""

    stream: str
    case: str
    version: int
    kind: TaskKind
    status: str
    open: bool
    due: datetime | None
    urgent_from: datetime | None
    opened: datetime
    case_number: str
    item_zh: str
    item_en: str
    accepted_by: str
    applicant: str
    claimed_by: str | None
    attention: str

    def late(self, now: datetime) -> bool:
        """Whether it should have been done already."""
        return self.open and self.due is not None and self.due < now

    def urgent(self, now: datetime) -> bool:
        """Whether its last or last but one working day has begun."""
        return self.open and self.urgent_from is not None and self.urgent_from <= now


class Page(NamedTuple):
    """A part of a work list; `after` is where the next one begins, None at the end."""

    rows: list[TaskRow]
    after: tuple[int, str] | None


def page(
    ledger: Ledger,
    stream: str,
    *,
    is_open: bool,
    order: Order,
    limit: int,
    kind: TaskKind | None = None,
    claimed_by: str | None = None,
    after: tuple[int, str] | None = None,
) -> Page:
    """Tasks of a stream in their order; ties by case id."""
    first = task.c.due if order is Order.DUE else task.c.opened
    query = (
        select(task)
        .where(task.c.stream == stream, task.c.open == is_open)
        .order_by(first, task.c.subject)
        .limit(limit + 1)
    )
    if kind is not None:
        query = query.where(task.c.kind == kind.value)
    if claimed_by is not None:
        query = query.where(task.c.claimed_by == claimed_by)
    if after is not None:
        query = query.where(tuple_(first, task.c.subject) > tuple_(*after))
    with ledger.read() as connection:
        found = list(connection.execute(query).mappings())
    rows = [_line(row) for row in found[:limit]]
    if len(found) <= limit:
        return Page(rows, None)
    last = found[limit - 1]
    return Page(rows, (last[first.name], last["subject"]))


def find(ledger: Ledger, streams: Sequence[str], text: str) -> list[TaskRow]:
    """Tasks whose case id or case number is `text`."""
    query = select(task).where(
        task.c.stream.in_(streams), (task.c.subject == text) | (task.c.case_number == text)
    )
    with ledger.read() as connection:
        return [_line(row) for row in connection.execute(query).mappings()]


def at(ledger: Ledger, stream: str, subject: str) -> TaskRow | None:
    """The line of one case, open or done; None if it never had one."""
    query = select(task).where(task.c.stream == stream, task.c.subject == subject)
    with ledger.read() as connection:
        row = connection.execute(query).mappings().one_or_none()
    return _line(row) if row else None


class Count(NamedTuple):
    """How many tasks of a kind are open, urgent (late ones not counted) and late."""

    kind: TaskKind
    open: int
    urgent: int
    late: int
    claimed: int


def counts(ledger: Ledger, stream: str, now: datetime) -> list[Count]:
    """Open tasks of a stream by kind, in the order of `TaskKind`."""
    instant = milliseconds(now)
    late = case((task.c.due < instant, 1), else_=0)
    near = case(((task.c.urgent_from <= instant) & (task.c.due >= instant), 1), else_=0)
    query = (
        select(task.c.kind, func.count(), func.sum(near), func.sum(late), func.count(task.c.claimed_by))
        .where(task.c.stream == stream, task.c.open)
        .group_by(task.c.kind)
    )
    with ledger.read() as connection:
        found = {row[0]: row for row in connection.execute(query)}
    return [Count(kind, *found[kind.value][1:]) for kind in TaskKind if kind.value in found]


def _line(row: Mapping[Any, Any]) -> TaskRow:
    return TaskRow(
        row["stream"],
        row["subject"],
        row["version"],
        TaskKind(row["kind"]),
        row["status"],
        row["open"],
        _instant(row["due"]),
        _instant(row["urgent_from"]),
        datetime.fromtimestamp(row["opened"] / 1000, UTC),
        row["case_number"],
        row["item_zh"],
        row["item_en"],
        row["accepted_by"],
        row["applicant"],
        row["claimed_by"],
        row["attention"],
    )


def _instant(at: int) -> datetime | None:
    return None if at == NEVER else datetime.fromtimestamp(at / 1000, UTC)
