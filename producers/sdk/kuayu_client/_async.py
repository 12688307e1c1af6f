"""The client for programs with an event loop (asyncio, or anyio over it)."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx

from kuayu_client import _calls
from kuayu_client._calls import Batch, Call, pause
from kuayu_client._errors import HistoryLost, Unreachable
from kuayu_client._models import (
    BatchResult,
    Case,
    FeedItem,
    FeedPage,
    FormField,
    Journey,
    Material,
    Submission,
    Taken,
)

T = TypeVar("T")


class AsyncClient:
    """One node, as one caller. Best kept for the life of the program.

    Every method raises `Unreachable`, or the `ProblemError` of what the node said.
    """

    def __init__(self, address: str, *, key: str, timeout: float = 40.0) -> None:
        """`address` is the node's, with http:// or https://; `timeout` in seconds, for one try."""
        self._http = httpx.AsyncClient(
            base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=timeout
        )

    async def submit(self, submission: Submission, *, key: str | None = None) -> Taken:
        """Hand in an application; done once the node has it durably.

        With a key of your own (visible ASCII, up to 200), handing the same in again gives the same case, even after
        your program was restarted.
        """
        return await self._send(_calls.submit(submission, key))

    async def submit_many(
        self, submissions: Iterable[Submission | tuple[str, Submission]]
    ) -> list[BatchResult]:
        """Hand in any number of applications, alone or each with a key; a result for each, in their order."""
        batch = Batch(submissions)
        for number, calls in enumerate(batch.rounds()):
            await asyncio.sleep(pause(number, None) or 0.0 if number else 0.0)
            for part, call in calls:
                batch.settle(part, await self._send(call))
        return batch.results

    async def case(self, case_id: str) -> Case:
        """Where a case stands."""
        return await self._send(_calls.case(case_id))

    async def journey(self, case_id: str) -> Journey:
        """Its steps so far."""
        return await self._send(_calls.journey(case_id))

    async def supplement(
        self,
        case_id: str,
        materials: Sequence[Material] = (),
        form: Sequence[FormField] = (),
        *,
        key: str | None = None,
        version: int | None = None,
    ) -> Taken:
        """Hand in what was asked for (补正); with `version`, only if the case is still at it."""
        return await self._send(_calls.supplement(case_id, materials, form, key, version))

    async def withdraw(
        self,
        case_id: str,
        reason: str | None = None,
        *,
        key: str | None = None,
        version: int | None = None,
    ) -> Taken:
        """Take an application back (撤回); with `version`, only if the case is still at it."""
        return await self._send(_calls.withdraw(case_id, reason, key, version))

    async def feed_page(self, after: str | None = None, limit: int = 100) -> FeedPage:
        """One page of the feed; without `after`, from what was acknowledged last."""
        return await self._send(_calls.feed(after, limit))

    async def acknowledge(self, cursor: str) -> None:
        """Everything up to this cursor has been dealt with."""
        await self._send(_calls.acknowledge(cursor))

    async def feed(self, *, limit: int = 100, poll: float | None = None) -> AsyncGenerator[FeedItem]:
        """What happened to your cases, from what was acknowledged last; at least once.

        A page is acknowledged when the item after its last is asked for: when you have dealt with it. Ends when there
        is no more; with `poll`, asks again after so many seconds, for ever.
        """
        after: str | None = None
        while True:
            try:
                page = await self.feed_page(after, limit)
                for item in page.items:
                    yield item
                if page.items:
                    await self.acknowledge(page.next)
            except HistoryLost as lost:
                after = lost.next
                continue
            after = page.next
            if page.more:
                continue
            if poll is None:
                return
            await asyncio.sleep(poll)

    async def _send(self, call: Call[T]) -> T:
        tries = 0
        while True:
            tries += 1
            response: httpx.Response | None = None
            failure: httpx.TransportError | None = None
            try:
                response = await self._http.request(**call.arguments)
            except httpx.TransportError as error:
                failure = error
            seconds = pause(tries, response)
            if seconds is not None:
                await asyncio.sleep(seconds)
            elif response is not None:
                return call.read(response)
            else:
                raise Unreachable(f"{call.arguments['url']}: {type(failure).__name__}") from failure

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
