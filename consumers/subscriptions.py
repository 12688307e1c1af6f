"""Who wants to be called when the tasks of a stage change.

A subscription is configuration, not history: it is written by the API directly, beside the log. The queue of
deliveries is filled from it in the transaction of each change (see `deliveries`).
"""

import json
import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection, Select, delete, insert, select, update
from ulid import ULID

from bus import Ledger
from bus.ledger import milliseconds, rows_of
from consumers.tables import delivery, webhook

SECRET_BYTES = 32
"""Standard Webhooks asks for 24 to 64 bytes of entropy."""


class TaskEvent(StrEnum):
    """What a subscriber is told of a task."""

    OPENED = "task.opened"  # it came up, or something else is to be done now
    CHANGED = "task.changed"  # the same is to be done, but the case has changed: materials, due date, claim
    CLOSED = "task.closed"  # nothing is left to do at this stage


class Subscription(NamedTuple):
    """One endpoint. Its secret signs what is sent to it, and is shown to nobody after it was made."""

    id: str
    url: str
    stages: tuple[str, ...]
    events: tuple[TaskEvent, ...]
    secret: str
    base: str
    created_by: str
    created_at: int
    queued: int
    delivered: int = 0
    last_success_at: int | None = None
    disabled_at: int | None = None
    disabled_reason: str = ""

    def __repr__(self) -> str:
        """Without the secret, so that no log shows it."""
        return f"Subscription({self.id})"


def address_problem(url: str) -> str:
    """What is wrong with the address of an endpoint; empty if nothing is.

    Loopback and private addresses are allowed on purpose: back offices live in the same government network. That
    is why only operators may subscribe.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "no URL"
    if parts.scheme not in {"http", "https"}:
        return "neither http nor https"
    if not parts.hostname:
        return "no host"
    if parts.username is not None or parts.password is not None:
        return "a user name or password in it"
    if parts.fragment:
        return "a fragment in it"
    return ""


class Subscriptions:
    """All subscriptions of a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def all(self) -> list[Subscription]:
        """In the order in which they were made."""
        with self._ledger.read() as connection:
            return read(connection, select(webhook).order_by(webhook.c.id))

    def get(self, subscription_id: str) -> Subscription | None:
        with self._ledger.read() as connection:
            found = read(connection, select(webhook).where(webhook.c.id == subscription_id))
        return found[0] if found else None

    def add(
        self,
        url: str,
        stages: Sequence[str],
        events: Sequence[TaskEvent],
        *,
        base: str,
        created_by: str,
        now: datetime,
    ) -> Subscription:
        """A new one, for what happens from now on, with a new secret."""
        head = self._ledger.head()
        made = Subscription(
            id=f"wh_{ULID.from_datetime(now)}",
            url=url,
            stages=tuple(stages),
            events=tuple(events),
            secret="whsec_" + b64encode(secrets.token_bytes(SECRET_BYTES)).decode(),
            base=base.rstrip("/"),
            created_by=created_by,
            created_at=milliseconds(now),
            queued=head.next_row - 1 if head else 0,
        )
        values = made._asdict() | {"stages": json.dumps(made.stages), "events": json.dumps(made.events)}
        with self._ledger.engine.begin() as connection:
            connection.execute(insert(webhook), [values])
        return made

    def remove(self, subscription_id: str) -> bool:
        """Take it away with all that waits for it; False if there is none."""
        with self._ledger.engine.begin() as connection:
            connection.execute(delete(delivery).where(delivery.c.webhook == subscription_id))
            found = connection.execute(delete(webhook).where(webhook.c.id == subscription_id))
        return found.rowcount == 1

    def enable(self, subscription_id: str, now: datetime) -> bool:
        """Call it again, beginning with what is parked; False if there is none."""
        with self._ledger.engine.begin() as connection:
            found = connection.execute(
                update(webhook)
                .where(webhook.c.id == subscription_id)
                .values(disabled_at=None, disabled_reason="")
            )
            connection.execute(
                update(delivery)
                .where(delivery.c.webhook == subscription_id)
                .values(parked=False, attempts=0, queued_at=milliseconds(now), next_at=milliseconds(now))
            )
        return found.rowcount == 1


def read(connection: Connection, query: Select[Any]) -> list[Subscription]:
    """What a query over whole rows of the table finds."""
    found = []
    for row in connection.execute(query).mappings():
        events = tuple(TaskEvent(event) for event in json.loads(row["events"]))
        found.append(Subscription(**{**row, "stages": tuple(json.loads(row["stages"])), "events": events}))
    return found


def active(connection: Connection) -> list[Subscription]:
    """Those that are not disabled."""
    return read(connection, _ACTIVE) if rows_of(connection, _ACTIVE_IDS) else []


# asked with every commit, and most nodes have none
_ACTIVE_IDS = select(webhook.c.id).where(webhook.c.disabled_at.is_(None))
_ACTIVE = select(webhook).where(webhook.c.disabled_at.is_(None)).order_by(webhook.c.id)
