"""Calls the subscribers, as Standard Webhooks asks: signed, with an id that stays the same when it is sent again.

Deliveries of one case go to one endpoint in the order of their rows; another case's do not wait for them. A failed
one is tried again after doubling pauses with jitter for three days, then parked, where the API shows it. An endpoint
that answered nothing in all that time, or says 410 Gone, is disabled until somebody enables it.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import httpx
import structlog
from sqlalchemy import Connection, delete, exists, select, update
from sqlalchemy.exc import DBAPIError
from standardwebhooks import Webhook

from bus import Clock, Ledger
from bus.ledger import milliseconds
from consumers.subscriptions import Subscription, active
from consumers.tables import delivery, webhook

_log = structlog.get_logger()

PAUSE_FIRST: Final = timedelta(seconds=5)
PAUSE_AT_MOST: Final = timedelta(hours=6)
MAX_AGE: Final = timedelta(days=3)
"""After this a delivery is parked."""
TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
"""Seconds, for each step of a call."""
ROUND_SECONDS: Final = 15.0
"""An endpoint gets no new call in a round after this, so that a slow one delays others by a bounded time."""
ROUND_CALLS: Final = 100
"""Calls to one endpoint in one round."""
ENDPOINTS_AT_ONCE: Final = 8
LOOK_EVERY: Final = 1.0
"""Seconds between looks at an empty queue."""
GONE: Final = 410

Attempted = Callable[[str, str, float], None]
"""Told of each call: subscription id, outcome (delivered or failed), seconds."""


class Waiting(NamedTuple):
    """A delivery whose turn has come."""

    row: int
    body: str
    queued_at: int
    attempts: int


class Attempt(NamedTuple):
    """One call; `error` is empty if it was delivered."""

    of: Waiting
    error: str
    seconds: float
    gone: bool = False
    retry_after: float = 0.0


class Round(NamedTuple):
    """The calls to one endpoint: only the last one may have failed."""

    endpoint: Subscription
    attempts: list[Attempt]


def nobody(_subscription: str, _outcome: str, _seconds: float) -> None:
    """Watches nothing."""


class WebhookSender:
    """Sends what is queued, in a thread of its own between `start` and `stop`; or round by round (`step`)."""

    def __init__(self, ledger: Ledger, clock: Clock, *, attempted: Attempted = nobody) -> None:
        self._ledger = ledger
        self._clock = clock
        self._attempted = attempted
        self._client: httpx.Client | None = None
        """Made when there is somebody to call: it reads the machine's certificates, which takes its time."""
        self._pool = ThreadPoolExecutor(ENDPOINTS_AT_ONCE, thread_name_prefix="kuayu-webhook")
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Send from now on; what was queued before a restart goes first."""
        self._thread = threading.Thread(target=self._run, name="kuayu-webhooks", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """Stop; a call that is under way is given `timeout` seconds, and repeated after the next start if unsure."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)
        self._pool.shutdown(wait=False, cancel_futures=True)
        if self._client is not None:
            self._client.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.step():
                    self._stop.wait(LOOK_EVERY)
            except DBAPIError as away:
                _log.warning("webhooks_wait", error=type(away).__name__)
                self._stop.wait(1.0)

    def step(self) -> int:
        """One round over all endpoints; gives how many calls were made."""
        now = self._clock.now()
        due = self._due(now)
        if not due:
            return 0
        if self._client is None:
            self._client = httpx.Client(
                timeout=TIMEOUT, headers={"User-Agent": "kuayu-webhooks"}, trust_env=False
            )
        calls = [self._pool.submit(self._call_all, self._client, *each) for each in due]
        rounds = [call.result() for call in calls]
        with self._ledger.engine.begin() as connection:
            for done in rounds:
                _record(connection, done, now)
        for endpoint, attempts in rounds:
            for attempt in attempts:
                self._attempted(endpoint.id, "failed" if attempt.error else "delivered", attempt.seconds)
        return sum(len(done.attempts) for done in rounds)

    def _due(self, now: datetime) -> list[tuple[Subscription, list[Waiting]]]:
        """By endpoint: the oldest delivery of each case, if its time has come."""
        older = delivery.alias("older")
        first = ~exists().where(
            older.c.webhook == delivery.c.webhook,
            older.c.subject == delivery.c.subject,
            older.c.row < delivery.c.row,
            ~older.c.parked,
        )
        columns = (delivery.c.row, delivery.c.body, delivery.c.queued_at, delivery.c.attempts)
        found = []
        with self._ledger.read() as connection:
            for endpoint in active(connection):
                query = (
                    select(*columns)
                    .where(delivery.c.webhook == endpoint.id, ~delivery.c.parked)
                    .where(delivery.c.next_at <= milliseconds(now), first)
                    .order_by(delivery.c.next_at, delivery.c.row)  # who failed goes behind who waits
                    .limit(ROUND_CALLS)
                )
                rows = [Waiting(*row) for row in connection.execute(query)]
                if rows:
                    found.append((endpoint, rows))
        return found

    def _call_all(self, client: httpx.Client, endpoint: Subscription, deliveries: Sequence[Waiting]) -> Round:
        """Call one endpoint until it fails, or its round is over."""
        attempts: list[Attempt] = []
        until = time.monotonic() + ROUND_SECONDS
        for waiting in deliveries:
            if self._stop.is_set() or time.monotonic() > until:
                break
            attempts.append(_call(client, endpoint, waiting))
            if attempts[-1].error:
                break
        return Round(endpoint, attempts)


def _call(client: httpx.Client, endpoint: Subscription, waiting: Waiting) -> Attempt:
    message_id = f"{endpoint.id}.{waiting.row}"
    sent_at = datetime.now(UTC)  # the receiver checks it against its own wall clock
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": Webhook(endpoint.secret).sign(message_id, sent_at, waiting.body),
    }
    started = time.perf_counter()
    try:
        with client.stream("POST", endpoint.url, content=waiting.body, headers=headers) as answer:
            error = "" if answer.is_success else f"HTTP {answer.status_code}"
            gone = answer.status_code == GONE
            pause = answer.headers.get("retry-after", "")
    except httpx.HTTPError as failed:
        return Attempt(waiting, type(failed).__name__, time.perf_counter() - started)
    seconds = time.perf_counter() - started
    return Attempt(waiting, error, seconds, gone, float(pause) if pause.isdecimal() else 0.0)


def _record(connection: Connection, done: Round, now: datetime) -> None:
    """Write down what became of a round."""
    endpoint, attempts = done
    at = milliseconds(now)
    key = delivery.c.webhook == endpoint.id
    itself = update(webhook).where(webhook.c.id == endpoint.id)
    sent = [attempt.of.row for attempt in attempts if not attempt.error]
    if sent:
        connection.execute(delete(delivery).where(key, delivery.c.row.in_(sent)))
        connection.execute(itself.values(delivered=webhook.c.delivered + len(sent), last_success_at=at))
    failed = attempts[-1] if attempts and attempts[-1].error else None
    if failed is None:
        return
    of = failed.of
    parked = failed.gone or now - _instant(of.queued_at) >= MAX_AGE
    next_at = milliseconds(now + _pause(of.attempts, failed.retry_after))
    values = {"attempts": of.attempts + 1, "next_at": next_at, "parked": parked, "error": failed.error}
    connection.execute(update(delivery).where(key, delivery.c.row == of.row).values(values))
    nothing_through = not sent and (endpoint.last_success_at or 0) < of.queued_at
    if failed.gone or (parked and nothing_through):
        connection.execute(itself.values(disabled_at=at, disabled_reason=failed.error))
        _log.warning("webhook_disabled", webhook=endpoint.id, reason=failed.error)


def _pause(attempts: int, retry_after: float) -> timedelta:
    """Doubling from 5 s to 6 h, less up to a half so that many do not come back at once; never before Retry-After."""
    doubled: timedelta = PAUSE_FIRST * 2 ** min(attempts, 20)
    pause = min(doubled, PAUSE_AT_MOST) * random.uniform(0.5, 1.0)
    return max(pause, min(timedelta(seconds=retry_after), PAUSE_AT_MOST))


def _instant(at: int) -> datetime:
    return datetime.fromtimestamp(at / 1000, UTC)
