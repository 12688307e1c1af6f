"""What a node counts and times while it works: the bus's observer, and a middleware for its HTTP side.

All values of labels come from the directory, the catalogue or the code; no case and no person is ever named.
Every method may be called from any thread.
"""

import time
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import structlog
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bus import Change, Received
from cases import ENDS, AcceptanceState
from jurisdictions import Directory, Stage
from monitoring._labels import OTHER, Children, Place, Places
from monitoring._steps import STEPS
from monitoring._timings import Timings
from schemas import Catalogue

_log = structlog.get_logger()

HOP_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
"""Seconds from the commit at the sender to the commit at the receiver."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
STEP_BUCKETS = (
    1, 2, 5, 10, 20, _MINUTE, 5 * _MINUTE, 20 * _MINUTE, _HOUR, 4 * _HOUR,
    _DAY, 2 * _DAY, 5 * _DAY, 10 * _DAY, 20 * _DAY, 40 * _DAY, 90 * _DAY,
)  # fmt: skip
"""Seconds of a case's steps: a demonstration's, and those of the law."""
COMMIT_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
BATCH_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 3000)
HTTP_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 30)

ALARMS_KEPT = 100
ALARM_KINDS = 50
"""Kinds of alarms that are told apart; they are names in the code, so there are fewer."""
LOG_EVERY = 1.0
"""Seconds between two log lines for alarms of one kind."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_STAGES: Final = ("receipts", "intake", "intake-replies")
"""What topics are of that are no stage's inbox."""


class Alarm(NamedTuple):
    """Something the bus wants a person to know."""

    at: datetime
    kind: str
    detail: str


class Metrics:
    """Counts and times of one node; `bus.Observer` for its engine.

    Attributes:
        registry: holds these metrics; `router` adds the ones that are read at scrape time.
        alarms: the last hundred, newest last.
    """

    def __init__(
        self, registry: CollectorRegistry, code: str, *, directory: Directory, catalogue: Catalogue
    ) -> None:
        """`directory` and `catalogue` bound what labels can say."""
        self.code = code
        self.registry = registry
        self.places = Places(directory, catalogue.stages, _NO_STAGES)
        self.alarms: deque[Alarm] = deque(maxlen=ALARMS_KEPT)
        self._types = frozenset(catalogue.events)
        self._logged: dict[str, float] = {}
        self._own_acceptance = f"{code}/{Stage.ACCEPTANCE}"
        received = self._counter(
            "events_received",
            "Records read, by what became of them (applied, duplicate, ahead, refused, waiting, parked, quarantined).",
            ("stage", "type", "counterpart", "outcome"),
        )
        sent = self._counter(
            "events_sent", "Rows handed to the transport, resends too.", ("stage", "type", "counterpart")
        )
        self._hops = self._timings(
            "hop_seconds",
            "From recorded at the sender to applied here, by sending stage and jurisdiction.",
            HOP_BUCKETS,
            ("source_stage", "stage", "counterpart"),
        )
        self._steps = self._timings(
            "step_seconds",
            "Steps of cases accepted here, by the stage and jurisdiction that took them: accepted and not_accepted "
            "since collection, decided since acceptance, ready, mailed, collected and delivered since the decision.",
            STEP_BUCKETS,
            ("stage", "step", "counterpart"),
        )
        self._ends = self._timings(
            "case_seconds", "From collection to the end of cases accepted here.", STEP_BUCKETS, ("outcome",)
        )
        alarms = self._counter("alarms", "Alarms of the bus.", ("kind",))
        self._received = Children[Counter](lambda key: received.labels(*key))
        self._sent = Children[Counter](lambda key: sent.labels(*key))
        self._alarmed = Children[Counter](alarms.labels)
        self._lanes = Children[tuple[Place, Place]](self.places.lane)
        self._commit_seconds = self._histogram("commit_seconds", "Time of a commit.", COMMIT_BUCKETS)
        self._commit_items = self._histogram("commit_items", "Items applied by a commit.", BATCH_BUCKETS)
        self._rows = self._counter("rows_written", "Rows appended to the ledger.")
        self._requests = self._timings(
            "http_request_seconds", "HTTP requests by route.", HTTP_BUCKETS, ("method", "route", "status")
        )
        self._calls = self._timings(
            "webhook_seconds", "Calls of webhooks, by outcome.", HTTP_BUCKETS, ("outcome",)
        )

    def _counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        return Counter(f"kuayu_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"kuayu_{name}", text, buckets=buckets, registry=self.registry)

    def _timings(self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...]) -> Timings:
        return Timings(self.registry, f"kuayu_{name}", text, buckets, labels)

    # bus.Observer.

    def received(self, records: Sequence[Received]) -> None:
        """Count records; time the hops of those that were applied."""
        alike: defaultdict[tuple[str, str, str, str], list[Received]] = defaultdict(list)
        for record in records:
            said = record.envelope
            type_, source = (said.type, said.source) if said else ("", "")
            alike[record.topic, type_, source, record.outcome].append(record)
        for (topic, type_, source, outcome), group in alike.items():
            stage, place = self.places.topic(topic).stage, self.places.stream(source)
            known = type_ if type_ in self._types else OTHER
            self._received[stage, known, place.code, outcome].inc(len(group))
            # two machines' clocks: a hop is never shorter than nothing
            hops = [max(0.0, record.hop_seconds) for record in group if record.hop_seconds is not None]
            if hops:
                last = group[-1].envelope
                self._hops.observe((place.stage, stage, place.code), hops, last.trace if last else "")

    def sent(self, lane: str, events: Sequence[str]) -> None:
        """Count rows that were handed to the transport."""
        source, to = self._lanes[lane]
        for event in set(events):
            known = event if event in self._types else OTHER
            self._sent[source.stage, known, to.code].inc(events.count(event))

    def committed(self, seconds: float, items: int, rows: int) -> None:
        """Time a commit."""
        self._commit_seconds.observe(seconds)
        self._commit_items.observe(items)
        self._rows.inc(rows)

    def changed(self, changes: Sequence[Change]) -> None:
        """Time the steps of cases where they were accepted: there everything about a case is heard, once."""
        steps: defaultdict[tuple[str, str, str], list[float]] = defaultdict(list)
        ends: defaultdict[str, list[float]] = defaultdict(list)
        for change in changes:
            if change.stream == self._own_acceptance and isinstance(change.state, AcceptanceState):
                self._accepted_here(change, change.state, steps, ends)
        for key, took in steps.items():
            self._steps.observe(key, took)
        for end, took in ends.items():
            self._ends.observe((end,), took)

    def _accepted_here(
        self,
        change: Change,
        state: AcceptanceState,
        steps: Mapping[tuple[str, str, str], list[float]],
        ends: Mapping[str, list[float]],
    ) -> None:
        for fact in change.facts:
            step = STEPS.get(type(fact))
            took = step.span(state, fact) if step else None
            if step and took is not None:
                doer = state.holder if step.stage is Stage.REVIEW else state.file.pickup
                place = self.places.stream(f"{doer}/{step.stage}")
                steps[place.stage, step.name, place.code].append(took)
            if fact.phase in ENDS and state.times.collected is not None:
                whole = (fact.at - state.times.collected).total_seconds()
                ends[fact.phase.value].append(max(0.0, whole))

    def alarm(self, kind: str, detail: str) -> None:
        """Count an alarm, keep it for the operator's page, and log it unless one of its kind was just logged."""
        if kind not in self._alarmed and len(self._alarmed) >= ALARM_KINDS:
            kind = OTHER
        self._alarmed[kind].inc()
        self.alarms.append(Alarm(datetime.now(UTC), kind, detail))
        now = time.monotonic()
        if now >= self._logged.get(kind, 0.0):
            self._logged[kind] = now + LOG_EVERY
            _log.warning("alarm", kind=kind, detail=detail)

    # HTTP.

    def webhook(self, _subscription: str, outcome: str, seconds: float) -> None:
        """Time a call of a subscriber: delivered or failed."""
        self._calls.observe((outcome,), (seconds,))

    def request(self, method: str, route: str, status: int, seconds: float, trace: str) -> None:
        """Time a request by the template of its route."""
        known = method if method in _METHODS else OTHER
        self._requests.observe((known, route, str(status)), (seconds,), trace)


class HttpMetrics:
    """ASGI middleware that times every HTTP request into `Metrics`."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and look at the answer's status."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # if nothing is answered, the server says so

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        started = time.perf_counter()
        try:
            await self._app(scope, receive, answer)
        finally:
            seconds = time.perf_counter() - started
            self._metrics.request(scope["method"], _route(scope), status, seconds, _trace(scope))


def _route(scope: Scope) -> str:
    """The template of the route that answered; one word for all paths that have none."""
    path: Any = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "unmatched"


def _trace(scope: Scope) -> str:
    """The `traceparent` that web's outermost layer gave the request."""
    found: str = scope.get("state", {}).get("trace", "")
    return found
