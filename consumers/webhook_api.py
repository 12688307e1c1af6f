"""Subscriptions for offices with a back office of their own (/v1/webhooks), after the Standard Webhooks text.

Operators make them. Endpoints on loopback and private addresses are allowed: government networks are made of them.
Deliveries are signed with the subscription's secret (`webhook-id`, `webhook-timestamp`, `webhook-signature`).
"""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from bus import Clock, Ledger
from consumers import deliveries
from consumers.subscriptions import Subscription, Subscriptions, TaskEvent, address_problem
from consumers.task_api import problems
from jurisdictions import Stage
from web import Caller, Context, FieldError, Problem, Role, invalid, require

HookId = Annotated[str, Path(pattern=r"^wh_[0-9A-Z]{26}$")]


class WebhookIn(BaseModel):
    """A new subscription."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(
        description="http or https; without user name and fragment. Redirects are not followed."
    )
    stages: Annotated[tuple[Stage, ...], Field(min_length=1, max_length=3)]
    events: Annotated[tuple[TaskEvent, ...], Field(min_length=1, max_length=3)] = tuple(TaskEvent)


class WebhookOut(BaseModel):
    """A subscription, how its endpoint does, and how much waits for it."""

    id: str
    url: str
    stages: list[str]
    events: list[TaskEvent]
    created_by: str
    created_at: datetime
    delivered: int
    last_success_at: datetime | None
    waiting: int
    parked: int = Field(description="Not delivered within three days; sent again when it is enabled.")
    disabled_at: datetime | None
    disabled_reason: str


class NewWebhook(WebhookOut):
    """A subscription that was just made."""

    secret: str = Field(description="Verifies the signatures. Shown now and never again.")


class WebhookList(BaseModel):
    """All subscriptions."""

    webhooks: list[WebhookOut]


class DeliveryOut(BaseModel):
    """A delivery that waits, or is parked."""

    row: int
    case_id: str
    attempts: int
    parked: bool
    error: str
    queued_at: datetime
    next_at: datetime


class DeliveryList(BaseModel):
    """Deliveries in the order of their rows."""

    deliveries: list[DeliveryOut]


def webhook_router(context: Context, clock: Clock) -> APIRouter:
    """The routes under /v1/webhooks, all for operators."""
    may = Depends(require(Role.OPERATE))
    router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], dependencies=[may])
    ledger = context.engine.ledger
    subscriptions = Subscriptions(ledger)

    @router.post("", status_code=201, responses=problems(400, 401, 403, 413, 422))
    def subscribe(
        body: WebhookIn, request: Request, response: Response, caller: Annotated[Caller, may]
    ) -> NewWebhook:
        """Subscribe to what happens from now on. A delivery tells which task to read, and holds no personal data."""
        wrong = address_problem(body.url)
        if wrong:
            raise invalid([FieldError("url", f"地址不可用 / {wrong}", "https://host/path")])
        absent = [stage for stage in body.stages if stage.value not in context.stages]
        if absent:
            expected = ", ".join(context.stages)
            raise invalid([FieldError("stages", "本节点没有此环节 / not covered by this node", expected)])
        made = subscriptions.add(
            body.url,
            [stage.value for stage in dict.fromkeys(body.stages)],
            list(dict.fromkeys(body.events)),
            base=str(request.base_url),
            created_by=caller.caller,
            now=clock.now(),
        )
        response.headers["Location"] = f"/v1/webhooks/{made.id}"
        return NewWebhook.model_validate(_out(ledger, made) | {"secret": made.secret})

    @router.get("", responses=problems(401, 403))
    def list_webhooks() -> WebhookList:
        """All subscriptions, without their secrets."""
        return WebhookList.model_validate({"webhooks": [_out(ledger, each) for each in subscriptions.all()]})

    @router.get("/{webhook_id}", responses=problems(401, 403, 404, 422))
    def read_webhook(webhook_id: HookId) -> WebhookOut:
        """One subscription."""
        return WebhookOut.model_validate(_out(ledger, _known(subscriptions, webhook_id)))

    @router.delete("/{webhook_id}", status_code=204, responses=problems(401, 403, 404, 422))
    def unsubscribe(webhook_id: HookId) -> None:
        """Take a subscription away, with all that waits for it."""
        if not subscriptions.remove(webhook_id):
            _known(subscriptions, webhook_id)

    @router.post("/{webhook_id}/enable", responses=problems(401, 403, 404, 422))
    def enable(webhook_id: HookId) -> WebhookOut:
        """Call an endpoint again, beginning with what is parked. Read the work list once: it was not told meanwhile."""
        subscriptions.enable(_known(subscriptions, webhook_id).id, clock.now())
        return WebhookOut.model_validate(_out(ledger, _known(subscriptions, webhook_id)))

    @router.get("/{webhook_id}/deliveries", responses=problems(401, 403, 404, 422))
    def list_deliveries(
        webhook_id: HookId, limit: Annotated[int, Query(ge=1, le=500)] = 100, *, parked: bool | None = None
    ) -> DeliveryList:
        """What waits for an endpoint, the oldest first; only what is parked, or only what is not."""
        found = deliveries.queued(ledger, _known(subscriptions, webhook_id).id, parked, limit)
        return DeliveryList.model_validate({"deliveries": found})

    return router


def _known(subscriptions: Subscriptions, webhook_id: str) -> Subscription:
    found = subscriptions.get(webhook_id)
    if found is None:
        raise Problem(404, "not_found", "没有此订阅 / there is no such subscription")
    return found


def _out(ledger: Ledger, each: Subscription) -> dict[str, object]:
    counted = deliveries.counted(ledger, each.id)
    return {
        "id": each.id,
        "url": each.url,
        "stages": list(each.stages),
        "events": list(each.events),
        "created_by": each.created_by,
        "created_at": _instant(each.created_at),
        "delivered": each.delivered,
        "last_success_at": _instant(each.last_success_at),
        "waiting": counted.waiting,
        "parked": counted.parked,
        "disabled_at": _instant(each.disabled_at),
        "disabled_reason": each.disabled_reason,
    }


def _instant(at: int | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at / 1000, UTC)
