"""The queue of webhook deliveries: filled in the transaction of the change it tells of.

A delivery holds no personal data: which case, which stage, what is to be done there until when, and where to read
the task. It is a hint to look, and the work list stays the truth.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, bindparam, func, select, update

from bus import Change, Clock, Ledger
from bus.ledger import milliseconds, upsert
from cases import Task
from cases.facts import Claimed, CodeSet, Released, WrongCode
from consumers.subscriptions import Subscription, TaskEvent, active
from consumers.tables import delivery, webhook
from consumers.worklist import StageHandler

_OWN_WORK: Final = (Claimed, Released, CodeSet, WrongCode)
"""Facts that change no task for others: how a desk shares its work, and codes."""


class DeliveryQueue:
    """Projection: queues a delivery for each subscription that wants to know of a change of a task.

    Subscriptions are read in the transaction of the change: they are few, and one made before it misses nothing.
    """

    def __init__(self, handlers: Mapping[str, StageHandler], clock: Clock) -> None:
        """`handlers` by stream and `clock`, those of the engine."""
        self._handlers = handlers
        self._clock = clock

    def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        known = active(connection)
        if not known:
            return
        now = milliseconds(self._clock.now())
        rows: list[tuple[Any, ...]] = []
        queued: dict[str, int] = {}
        for change in changes:
            handler = self._handlers[change.stream]
            at_hand = handler.task(change.state)
            before = None if change.before is None else handler.task(change.before)
            event = _event(before, at_hand, change)
            if event is None:
                continue
            for subscription in known:
                wanted = handler.stage in subscription.stages and event in subscription.events
                if wanted and change.row > subscription.queued:
                    rows.append(_row(change, event, handler.stage, at_hand, subscription, now))
                    queued[subscription.id] = change.row
        upsert(connection, delivery, rows)
        if queued:
            connection.execute(
                update(webhook).where(webhook.c.id == bindparam("hook")).values(queued=bindparam("last")),
                [{"hook": hook, "last": row} for hook, row in queued.items()],
            )

    def clear(self, connection: Connection) -> None:
        """Keep the queue: what was queued once is not queued again by a rebuild, as `queued` says how far it went."""


def _event(before: Task | None, after: Task | None, change: Change) -> TaskEvent | None:
    """What a change means to who works on the stage's tasks; None if nothing."""
    if after is None:
        return TaskEvent.CLOSED if before else None
    if before is None or after.kind is not before.kind:
        return TaskEvent.OPENED
    return None if all(isinstance(fact, _OWN_WORK) for fact in change.facts) else TaskEvent.CHANGED


def _row(
    change: Change, event: TaskEvent, stage: str, at_hand: Task | None, subscription: Subscription, now: int
) -> tuple[Any, ...]:
    recorded_at: datetime = change.facts[0].recorded_at
    case = change.message.case
    body = {
        "type": event.value,
        "timestamp": recorded_at.isoformat(),
        "data": {
            "case_id": case,
            "stage": stage,
            "status": change.state.phase.value,
            "kind": at_hand.kind.value if at_hand else None,
            "due": at_hand.due.isoformat() if at_hand and at_hand.due else None,
            "version": change.row,
            "task": f"{subscription.base}/v1/tasks/{case}?stage={stage}",
        },
    }
    text = json.dumps(body, separators=(",", ":"))
    return (subscription.id, change.row, case, text, now, now, 0, False, "")


class Counted(NamedTuple):
    """How many deliveries of a subscription are still to be sent, and how many were given up for now."""

    waiting: int
    parked: int


def counted(ledger: Ledger, subscription_id: str) -> Counted:
    """What is queued for a subscription."""
    query = (
        select(delivery.c.parked, func.count())
        .where(delivery.c.webhook == subscription_id)
        .group_by(delivery.c.parked)
    )
    with ledger.read() as connection:
        found = {bool(row[0]): row[1] for row in connection.execute(query)}
    return Counted(found.get(False, 0), found.get(True, 0))


def queued(ledger: Ledger, subscription_id: str, parked: bool | None, limit: int) -> list[dict[str, Any]]:  # noqa: FBT001 - a filter's value
    """What is queued for a subscription, by row; `parked` None for all."""
    query = (
        select(delivery).where(delivery.c.webhook == subscription_id).order_by(delivery.c.row).limit(limit)
    )
    if parked is not None:
        query = query.where(delivery.c.parked == parked)
    with ledger.read() as connection:
        rows = list(connection.execute(query).mappings())
    return [
        {
            "row": row["row"],
            "case_id": row["subject"],
            "attempts": row["attempts"],
            "parked": row["parked"],
            "error": row["error"],
            "queued_at": datetime.fromtimestamp(row["queued_at"] / 1000, UTC),
            "next_at": datetime.fromtimestamp(row["next_at"] / 1000, UTC),
        }
        for row in rows
    ]
