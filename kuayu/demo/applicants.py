"""Those who hand in: service halls over HTTP, a system on the intake topic, and who gets it wrong."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
from kuayu_client import AsyncClient, KuayuError, Refused, Submission, WrongState

from kuayu.demo.book import Book, Tracked
from kuayu.demo.intake import IntakeSystem
from kuayu.demo.region import NodeProcess
from kuayu.demo.scripts import SimulatedCase, Spoiled
from schemas.models import AnswerOutcome, CaseSubmitted, SubmissionAnswered

_AT_ONCE: Final = 12
_LITTER_EVERY: Final = 60
"""One record of garbage for so many cases."""


class Arrival(NamedTuple):
    """What comes in `at` seconds after the beginning: one case or a batch, and perhaps one that must be refused."""

    at: float
    cases: Sequence[SimulatedCase]
    spoiled: Spoiled | None = None


class Applicants:
    """Hands in what arrives, singly or in batches, and withdraws what its script says is withdrawn."""

    def __init__(self, nodes: dict[str, NodeProcess], book: Book, intake: IntakeSystem) -> None:
        self._book = book
        self._intake = intake
        self._clients = {code: AsyncClient(node.url, key=node.keys.hall) for code, node in nodes.items()}
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
        for client in self._clients.values():
            await client.close()

    async def _arrive(self, arrival: Arrival) -> None:
        try:
            if arrival.spoiled is not None:
                await self._turned_away(arrival.spoiled)
            first, *others = arrival.cases
            if others:
                await self._batch(arrival.cases)
            elif first.by_topic:
                self._book.awaited[first.reference] = first
                self._intake.hand_in(first)
            else:
                taken = await self._clients[first.node].submit(_form(first.submission), key=first.reference)
                self._book.counts["handed in singly"] += 1
                self._taken(first, taken.case_id)
            before, self._handed_in = self._handed_in, self._handed_in + len(arrival.cases)
            if before // _LITTER_EVERY < self._handed_in // _LITTER_EVERY:
                self._intake.litter()
        except KuayuError as error:
            self._book.fail(f"handing in {arrival.cases[0].reference}: {error}")
        finally:
            self._limit.release()

    async def _batch(self, cases: Sequence[SimulatedCase]) -> None:
        client = self._clients[cases[0].node]
        results = await client.submit_many([(case.reference, _form(case.submission)) for case in cases])
        for case, result in zip(cases, results, strict=True):
            if result.case is None:
                self._book.fail(f"handing in {case.reference} in a batch: {result.problem}")
                continue
            self._book.counts["handed in by batch"] += 1
            self._taken(case, result.case.case_id)

    async def _turned_away(self, spoiled: Spoiled) -> None:
        """The answer must be a problem that names the field; the case must not exist."""
        try:
            await self._clients[spoiled.node].submit(_form(spoiled.submission))
        except Refused as refused:
            if any(spoiled.field in error.field for error in refused.errors):
                self._book.counts["turned away at the door"] += 1
            else:
                self._book.fail(f"a wrong {spoiled.field} was refused without naming it: {refused.errors}")
        else:
            self._book.fail(f"a wrong {spoiled.field} was taken")

    async def _withdraw(self, tracked: Tracked) -> None:
        client, key = self._clients[tracked.case.node], f"{tracked.case.reference}-withdrawal"
        try:
            await client.withdraw(tracked.case_id, "申请人撤回", key=key)
        except WrongState:
            self._book.counts["withdrawals too late"] += 1
        except KuayuError as error:
            self._book.fail(f"withdrawal of {tracked.case_id}: {error}")
        else:
            self._book.counts["withdrawals"] += 1

    def _taken(self, case: SimulatedCase, case_id: str) -> None:
        self._book.taken(case, case_id)
        after = case.script.withdraw_after
        if after is not None:
            tracked = self._book.cases[case_id]
            self._withdrawals.append((tracked.handed_in + after, tracked))


def _form(submission: CaseSubmitted) -> Submission:
    """The application in the client's own types."""
    return msgspec.convert(msgspec.to_builtins(submission), Submission)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
