"""The steps of a case whose time is taken, and between which instants: when people acted, not when it was recorded."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from cases import AcceptanceState, facts
from jurisdictions import Stage


class Step(NamedTuple):
    """`stage` takes the step; `since` and `until` say when it began and ended (None: it can't be said)."""

    name: str
    stage: Stage
    since: Callable[[AcceptanceState], datetime | None]
    until: Callable[[Any], datetime]

    def span(self, state: AcceptanceState, fact: Any) -> float | None:
        """Seconds the step took, by the state it led to."""
        since = self.since(state)
        return None if since is None else max(0.0, (self.until(fact) - since).total_seconds())


def _collected(state: AcceptanceState) -> datetime | None:
    return state.times.collected


def _accepted(state: AcceptanceState) -> datetime | None:
    return state.times.accepted


def _decided(state: AcceptanceState) -> datetime | None:
    return state.decision.decided_at if state.decision else None


def _at(fact: facts.Fact) -> datetime:
    return fact.at


STEPS: Final[Mapping[type[facts.Fact], Step]] = {
    facts.Accepted: Step("accepted", Stage.REVIEW, _collected, _at),
    facts.DeemedAccepted: Step("accepted", Stage.REVIEW, _collected, _at),
    facts.NotAccepted: Step("not_accepted", Stage.REVIEW, _collected, _at),
    facts.Decided: Step("decided", Stage.REVIEW, _accepted, lambda fact: fact.decision.decided_at),
    facts.Ready: Step("ready", Stage.PICKUP, _decided, lambda fact: fact.readiness.ready_at),
    facts.Mailed: Step("mailed", Stage.PICKUP, _decided, lambda fact: fact.dispatch.mailed_at),
    facts.HandedOver: Step("collected", Stage.PICKUP, _decided, lambda fact: fact.collection.collected_at),
    facts.Delivered: Step("delivered", Stage.PICKUP, _decided, lambda fact: fact.delivery.delivered_at),
}
"""By the fact that ends the step, as the accepting stage stores it."""
