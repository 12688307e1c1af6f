"""Those who hand in: service halls over HTTP, singly or in batches, a system on the intake topic, and who gets it wrong."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import httpx
import msgspec

from kuayu.demo.book import Book, Tracked
from kuayu.demo.caller import Caller
from kuayu.demo.intake import IntakeSystem
from kuayu.demo.region import NodeProcess
from kuayu.demo.scripts import SimulatedCase, Spoiled
from schemas.models import AnswerOutcome, SubmissionAnswered

_AT_ONCE: Final = 12
_LITTER_EVERY: Final = 60
"""One record of garbage for so many cases."""
_ERRORS_SHOWN: Final = 300


class Arrival(NamedTuple):
    """What comes in `at` seconds after the beginning: one case or a batch, and perhaps one that must be refused."""

    at: float
    cases: Sequence[SimulatedCase]
    spoiled: Spoiled | None = None


class Applicants:
    """Hands in what arrives, and withdraws what its script says is withdrawn."""

    def __init__(self, nodes: dict[str, NodeProcess], book: Book, intake: IntakeSystem) -> None:
        self._book = book
        self._intake = intake
        self._callers = {code: Caller(node.url, node.keys.hall) for code, node in nodes.items()}
        self._withdrawals: list[tuple[float, Tracked]] = []
        self._limit = asyncio.Semaphore(_AT_ONCE)
        self._handed_in = 0

    @property
    def pending(self) -> int:
        """What is still to be answered or withdrawn."""
        return len(self._book.awaited) + len(self._withdrawals)

    async def hand_in(self, arrivals: Iterable[Arrival], stop: asyncio.Event) -> None:
        """Hand everything in at its time, until there is no more or `stop` is set."""
        beginning = time.monotonic()
        async with asyncio.TaskGroup() as under_way:
            for arrival in arrivals:
                wait = beginning + arrival.at - time.monotonic()
                if wait > 0:
                    await _pause(stop, wait)
                await (
                    self._limit.acquire()
                )  # a node that is slow slows its applicants, and nobody else's memory
                if stop.is_set():
                    self._limit.release()
                    break
                under_way.create_task(self._arrive(arrival))

    async def withdraw_due(self) -> None:
        """Withdraw what is to be withdrawn by now."""
        now = time.monotonic()
        due = [tracked for at, tracked in self._withdrawals if at <= now]
        self._withdrawals = [entry for entry in self._withdrawals if entry[0] > now]
        await asyncio.gather(*(self._withdraw(tracked) for tracked in due))

    def answered(self, answer: SubmissionAnswered) -> None:
        """A reply on a topic `kuayu.intake-replies.<code>`."""
        case = self._book.awaited.pop(answer.key, None)
        if case is None:
            self._book.fail(f"a reply to nothing that was asked: {answer.key}")
        elif answer.outcome is AnswerOutcome.ACCEPTED and answer.case_id:
            self._book.counts["handed in by topic"] += 1
            self._taken(case, answer.case_id)
        else:
            self._book.fail(
                f"{case.reference} on the intake topic: {answer.error_code} {answer.error_reason}"
            )

    async def close(self) -> None:
        """Close the connections."""
        for caller in self._callers.values():
            await caller.close()

    async def _arrive(self, arrival: Arrival) -> None:
        try:
            if arrival.spoiled is not None:
                await self._refused(arrival.spoiled)
            first, *others = arrival.cases
            if others:
                await self._batch(arrival.cases)
            elif first.by_topic:
                self._book.awaited[first.reference] = first
                self._intake.hand_in(first)
            else:
                await self._single(first)
            before, self._handed_in = self._handed_in, self._handed_in + len(arrival.cases)
            if before // _LITTER_EVERY < self._handed_in // _LITTER_EVERY:
                self._intake.litter()
        except httpx.TransportError as error:
            self._book.fail(f"handing in {arrival.cases[0].reference}: {type(error).__name__} {error}")
        finally:
            self._limit.release()

    async def _single(self, case: SimulatedCase) -> None:
        answer = await self._callers[case.node].post("/v1/cases", _body(case), key=case.reference)
        if answer.status_code == HTTPStatus.ACCEPTED:
            self._book.counts["handed in singly"] += 1
            self._taken(case, answer.json()["case_id"])
        else:
            self._book.fail(
                f"handing in {case.reference}: {answer.status_code} {answer.text[:_ERRORS_SHOWN]}"
            )

    async def _batch(self, cases: Sequence[SimulatedCase]) -> None:
        body = [_body(case) | {"key": case.reference} for case in cases]
        answer = await self._callers[cases[0].node].post("/v1/cases", body)
        if answer.status_code != HTTPStatus.MULTI_STATUS:
            self._book.fail(f"handing in a batch: {answer.status_code} {answer.text[:_ERRORS_SHOWN]}")
            return
        for case, result in zip(cases, answer.json()["results"], strict=True):
            if result["case"] is None:
                self._book.fail(f"handing in {case.reference} in a batch: {result['problem']}")
                continue
            self._book.counts["handed in by batch"] += 1
            self._taken(case, result["case"]["case_id"])

    async def _refused(self, spoiled: Spoiled) -> None:
        """The answer must be a problem that names the field; the case must not exist."""
        body = msgspec.to_builtins(spoiled.submission)
        answer = await self._callers[spoiled.node].post("/v1/cases", body)
        fields = [error["field"] for error in answer.json().get("errors", ())]
        if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and any(
            spoiled.field in field for field in fields
        ):
            self._book.counts["turned away at the door"] += 1
        else:
            self._book.fail(f"a wrong {spoiled.field} was answered with {answer.status_code} {fields}")

    async def _withdraw(self, tracked: Tracked) -> None:
        path = f"/v1/cases/{tracked.case_id}/withdrawal"
        body = {"reason": "申请人撤回"}
        answer = await self._callers[tracked.case.node].post(
            path, body, key=f"{tracked.case.reference}-withdrawal"
        )
        if answer.is_success:
            self._book.counts["withdrawals"] += 1
        elif answer.status_code == HTTPStatus.CONFLICT:
            self._book.counts["withdrawals too late"] += 1
        else:
            self._book.fail(f"withdrawal of {tracked.case_id}: {answer.status_code} {answer.text}")

    def _taken(self, case: SimulatedCase, case_id: str) -> None:
        self._book.taken(case, case_id)
        after = case.script.withdraw_after
        if after is not None:
            tracked = self._book.cases[case_id]
            self._withdrawals.append((tracked.handed_in + after, tracked))


def _body(case: SimulatedCase) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(case.submission)
    return body


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
