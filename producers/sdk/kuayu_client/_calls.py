"""Requests and answers without a network: what both clients share."""

import random
import uuid
from collections.abc import Iterable, Iterator, Sequence
from email.utils import parsedate_to_datetime
from time import time
from typing import Any, Generic, TypeVar

import httpx
import msgspec

from kuayu_client._errors import KuayuError, problem_error
from kuayu_client._models import (
    BatchAnswer,
    BatchResult,
    Case,
    FeedPage,
    FormField,
    Journey,
    Material,
    Problem,
    Submission,
    Taken,
)

T = TypeVar("T")

BATCH_ITEMS = 1_000
BATCH_BYTES = 1_000_000
"""What a node takes at once."""
TRIES = 5
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 10.0
"""Seconds; a node's Retry-After goes before."""
LONGEST_WISH = 60.0
"""Seconds that a node may ask us to wait."""
AGAIN = frozenset({429, 502, 503, 504})
"""Statuses that say nothing was decided."""

_encode = msgspec.json.Encoder().encode


class Call(Generic[T]):
    """One request, safe to be repeated, and how to read its answer."""

    def __init__(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        content: Any = None,
        key: str | None = None,
        version: int | None = None,
        params: dict[str, str | int] | None = None,
    ) -> None:
        self.answer = answer
        headers = {"Accept": "application/json"}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        self.arguments: dict[str, Any] = {
            "method": method,
            "url": path,
            "headers": headers,
            "params": params,
            "content": None if content is None else _encode(content),
        }

    def read(self, response: httpx.Response) -> T:
        """The answer.

        Raises:
            ProblemError: the node said no.
            KuayuError: it said what no node of this version says.
        """
        if response.is_success:
            if self.answer is type(None):
                return None
            try:
                return msgspec.json.decode(response.content, type=self.answer)
            except msgspec.DecodeError as error:
                raise KuayuError(f"the answer to {self.arguments['url']} can't be read: {error}") from error
        try:
            problem = msgspec.json.decode(response.content, type=Problem)
        except msgspec.DecodeError:
            problem = Problem(title=response.reason_phrase)
        raise problem_error(response.status_code, problem)


def pause(tries: int, response: httpx.Response | None) -> float | None:
    """Seconds until the next try after that many, or None if there is none."""
    if tries >= TRIES or (response is not None and response.status_code not in AGAIN):
        return None
    wished = _retry_after(response)
    if wished is not None:
        return wished if wished <= LONGEST_WISH else None
    return random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, FIRST_PAUSE * 2.0**tries)


def _retry_after(response: httpx.Response | None) -> float | None:
    text = "" if response is None else response.headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time())
    except ValueError:
        return None


def new_key() -> str:
    """A key of its own."""
    return str(uuid.uuid4())


def submit(submission: Submission, key: str | None) -> Call[Taken]:
    return Call("POST", "/v1/cases", Taken, content=submission, key=key or new_key())


def case(case_id: str) -> Call[Case]:
    return Call("GET", f"/v1/cases/{case_id}", Case)


def journey(case_id: str) -> Call[Journey]:
    return Call("GET", f"/v1/cases/{case_id}/journey", Journey)


def supplement(
    case_id: str,
    materials: Sequence[Material],
    form: Sequence[FormField],
    key: str | None,
    version: int | None,
) -> Call[Taken]:
    content = {"materials": materials, "form": form}
    path = f"/v1/cases/{case_id}/supplements"
    return Call("POST", path, Taken, content=content, key=key or new_key(), version=version)


def withdraw(case_id: str, reason: str | None, key: str | None, version: int | None) -> Call[Taken]:
    path = f"/v1/cases/{case_id}/withdrawal"
    return Call("POST", path, Taken, content={"reason": reason}, key=key or new_key(), version=version)


def feed(after: str | None, limit: int) -> Call[FeedPage]:
    params: dict[str, str | int] = {"limit": limit}
    return Call("GET", "/v1/feed", FeedPage, params=params if after is None else params | {"after": after})


def acknowledge(cursor: str) -> Call[None]:
    return Call("POST", "/v1/feed/ack", type(None), content={"cursor": cursor})


class Batch:
    """Many applications, in as many requests as it takes; those that the node was too busy for are sent again."""

    def __init__(self, submissions: Iterable[Submission | tuple[str, Submission]]) -> None:
        self._items = [self._item(one) for one in submissions]
        self._results: dict[int, BatchResult] = {}

    @staticmethod
    def _item(one: Submission | tuple[str, Submission]) -> bytes:
        key, submission = (new_key(), one) if isinstance(one, Submission) else one
        return _encode(msgspec.to_builtins(submission) | {"key": key})

    def rounds(self) -> Iterator[Iterator[tuple[list[int], Call[BatchAnswer]]]]:
        """First all; then, as often as it may be tried, what is left."""
        for _ in range(TRIES):
            left = [index for index in range(len(self._items)) if self._left(index)]
            if not left:
                return
            yield self._calls(left)

    def _left(self, index: int) -> bool:
        known = self._results.get(index)
        return known is None or known.status in AGAIN

    def _calls(self, left: Sequence[int]) -> Iterator[tuple[list[int], Call[BatchAnswer]]]:
        part: list[int] = []
        size = 0
        for index in left:
            more = len(self._items[index]) + 1
            if part and (len(part) == BATCH_ITEMS or size + more > BATCH_BYTES):
                yield part, self._call(part)
                part, size = [], 0
            part.append(index)
            size += more
        if part:
            yield part, self._call(part)

    def _call(self, part: Sequence[int]) -> Call[BatchAnswer]:
        content = [msgspec.Raw(self._items[index]) for index in part]
        return Call("POST", "/v1/cases", BatchAnswer, content=content)

    def settle(self, part: Sequence[int], answer: BatchAnswer) -> None:
        """Keep what became of these."""
        for index, result in zip(part, answer.results, strict=True):
            self._results[index] = msgspec.structs.replace(result, index=index)

    @property
    def results(self) -> list[BatchResult]:
        """One result for each application, in their order."""
        return [self._results[index] for index in range(len(self._items))]
