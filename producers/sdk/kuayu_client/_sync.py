"""The client for programs without an event loop."""

import time
from collections.abc import Iterable, Iterator, Sequence
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


class Client:
    """One node, as one caller. Thread-safe, and best kept for the life of the program.

    Every method raises `Unreachable`, or the `ProblemError` of what the node said.
    """

    def __init__(self, address: str, *, key: str, timeout: float = 40.0) -> None:
        """`address` is the node's, with http:// or https://; `timeout` in seconds, for one try."""
        self._http = httpx.Client(
            base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=timeout
        )

    def submit(self, submission: Submission, *, key: str | None = None) -> Taken:
        """Hand in an application; done once the node has it durably.

        With a key of your own (visible ASCII, up to 200), handing the same in again gives the same case, even after
        your program was restarted.
        """
        return self._send(_calls.submit(submission, key))

    def submit_many(self, submissions: Iterable[Submission | tuple[str, Submission]]) -> list[BatchResult]:
        """Hand in any number of applications, alone or each with a key; a result for each, in their order."""
        batch = Batch(submissions)
        for number, calls in enumerate(batch.rounds()):
            time.sleep(pause(number, None) or 0.0 if number else 0.0)
            for part, call in calls:
                batch.settle(part, self._send(call))
        return batch.results

    def case(self, case_id: str) -> Case:
        """Where a case stands."""
        return self._send(_calls.case(case_id))

    def journey(self, case_id: str) -> Journey:
        """Its steps so far."""
        return self._send(_calls.journey(case_id))

    def supplement(
        self,
        case_id: str,
        materials: Sequence[Material] = (),
        form: Sequence[FormField] = (),
        *,
        key: str | None = None,
        version: int | None = None,
    ) -> Taken:
        """Hand in what was asked for (补正); with `version`, only if the case is still at it."""
        return self._send(_calls.supplement(case_id, materials, form, key, version))

    def withdraw(
        self,
        case_id: str,
        reason: str | None = None,
        *,
        key: str | None = None,
        version: int | None = None,
    ) -> Taken:
        """Take an application back (撤回); with `version`, only if the case is still at it."""
        return self._send(_calls.withdraw(case_id, reason, key, version))

    def feed_page(self, after: str | None = None, limit: int = 100) -> FeedPage:
        """One page of the feed; without `after`, from what was acknowledged last."""
        return self._send(_calls.feed(after, limit))

    def acknowledge(self, cursor: str) -> None:
        """Everything up to this cursor has been dealt with."""
        self._send(_calls.acknowledge(cursor))

    def feed(self, *, limit: int = 100, poll: float | None = None) -> Iterator[FeedItem]:
        """What happened to your cases, from what was acknowledged last; at least once.

        A page is acknowledged when the item after its last is asked for: when you have dealt with it. Ends when there
        is no more; with `poll`, asks again after so many seconds, for ever.
        """
        after: str | None = None
        while True:
            try:
                page = self.feed_page(after, limit)
                yield from page.items
                if page.items:
                    self.acknowledge(page.next)
            except HistoryLost as lost:
                after = lost.next
                continue
            after = page.next
            if page.more:
                continue
            if poll is None:
                return
            time.sleep(poll)

    def _send(self, call: Call[T]) -> T:
        tries = 0
        while True:
            tries += 1
            response: httpx.Response | None = None
            failure: httpx.TransportError | None = None
            try:
                response = self._http.request(**call.arguments)
            except httpx.TransportError as error:
                failure = error
            seconds = pause(tries, response)
            if seconds is not None:
                time.sleep(seconds)
            elif response is not None:
                return call.read(response)
            else:
                raise Unreachable(f"{call.arguments['url']}: {type(failure).__name__}") from failure

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
