"""A subscriber that takes nothing for long: what waits for it stays in the ledger, and a look at it stays short."""
# ruff: noqa: S608 - statements of our own words

from typing import Any

from sqlalchemy import event, text

from bus import Ledger
from consumers import WebhookSender
from consumers.deliveries import counted
from consumers.sender import ROUND_CALLS
from consumers.subscriptions import Subscriptions, TaskEvent

NOBODY = "http://127.0.0.1:9/hook"
STEPS = 100
"""SQLite says every so many instructions that it still works."""


def test_a_look_at_a_long_queue_is_short(region: Any) -> None:
    subscription = Subscriptions(region.review.ledger).add(
        NOBODY, ["review"], list(TaskEvent), base="http://node.test/", created_by="wu", now=region.clock.now()
    )
    of = subscription.id
    ledger = Ledger(str(region.review.ledger.engine.url), synchronous="OFF")
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    event.listen(ledger.engine, "connect", lambda made, _: made.set_progress_handler(count, STEPS))
    sender = WebhookSender(ledger, region.clock)

    def rounds(queued: int) -> int:
        nonlocal steps
        numbers = (
            f"WITH RECURSIVE waiting(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM waiting WHERE n < {queued})"
        )
        now = round(region.clock.now().timestamp() * 1000)
        with ledger.engine.begin() as connection:
            connection.execute(text("DELETE FROM webhook_delivery"))
            connection.execute(
                text(
                    "INSERT INTO webhook_delivery "
                    "(webhook, row, subject, body, queued_at, next_at, attempts, parked, error) "
                    f"{numbers} SELECT '{of}', n, 'case-' || n, '{{}}', {now}, {now}, 0, 0, '' FROM waiting"
                )
            )
        steps = 0
        for _ in range(3):
            assert sender.step() == 1, "the first call fails, and the others wait"
        looked = steps
        assert counted(ledger, of) == (queued, 0)
        return looked

    few = rounds(ROUND_CALLS)
    assert rounds(50_000) <= few * 3 + 100
    sender.stop()
    ledger.close()
