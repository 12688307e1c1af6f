"""The way in: `POST /v1/cases` at a node of its own over real HTTP, beside what its writer takes without HTTP."""

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from jurisdictions import Directory, load_directory
from kuayu.bench import flow
from kuayu.bench.load import ACCEPTANCE, Load
from kuayu.bench.speed import BenchError, Percentiles
from kuayu.broker import LocalBroker
from kuayu.demo.region import NodeProcess

_DRIVER = "confluent"
_CONNECTIONS = 32
"""Windows that hand in one case at a time."""
_BATCH, _BATCH_CONNECTIONS = 500, 4
_WINDOW = 4_000
_READY_SECONDS = 30.0
_WARM_UP = 200


class Way(NamedTuple):
    """One way to hand in; every answer comes after the ledger has the cases durably."""

    cases_per_s: float
    answer_ms: Percentiles
    """Of a request, one case or a batch."""


class Intake(NamedTuple):
    single: Way
    batch: Way
    writer_cases_per_s: float
    """The same cases given to the writer in its own process."""
    batch_to_writer: float


def measure(folder: Path, cases: int) -> Intake:
    """Hand in so many cases each way.

    Raises:
        BenchError: an answer was another than expected, or the node ended.
        TimeoutError: the node did not get ready.
    """
    folder.mkdir(parents=True)
    with LocalBroker(folder / "broker") as broker:
        with flow.workers(_DRIVER, broker, folder, places=flow.PLACES[:1]) as [acceptance]:
            acceptance.ask("take", _WARM_UP, _WINDOW)
            acceptance.answer()
            acceptance.ask("take", cases, _WINDOW)
            writer_per_s = cases / acceptance.answer()
        # Another ledger on the same topics: nobody reads what either of them sends.
        node = NodeProcess(ACCEPTANCE, free_port(), folder)
        node.start(broker.bootstrap, {}, KUAYU_DRIVER=_DRIVER)
        try:
            await_ready(node)
            single, batch = _hand_in(node, load_directory(), cases)
        finally:
            node.stop()
    return Intake(single, batch, writer_per_s, batch.cases_per_s / writer_per_s)


def _hand_in(node: NodeProcess, directory: Directory, cases: int) -> tuple[Way, Way]:
    submissions = [
        msgspec.to_builtins(command.data.submission)
        for command in Load(directory).commands([datetime.now(UTC)] * cases)
    ]
    singles = [_request(node, each) for each in submissions]
    keyed = [each | {"key": f"bench-{number}"} for number, each in enumerate(submissions)]
    batches = [_request(node, keyed[start : start + _BATCH]) for start in range(0, cases, _BATCH)]
    _send(node, singles[:_WARM_UP], _CONNECTIONS, 202)
    return (
        _way(cases, *_send(node, singles, _CONNECTIONS, 202)),
        _way(cases, *_send(node, batches, _BATCH_CONNECTIONS, 207)),
    )


def _way(cases: int, seconds: float, spans: list[float]) -> Way:
    spans = sorted(spans)
    return Way(
        cases / seconds, Percentiles(spans[len(spans) // 2] * 1e3, spans[len(spans) * 99 // 100] * 1e3)
    )


def _request(node: NodeProcess, body: Any) -> bytes:
    text = msgspec.json.encode(body)
    head = (
        f"POST /v1/cases HTTP/1.1\r\nHost: {node.address}\r\nAuthorization: Bearer {node.keys.hall}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


def _send(
    node: NodeProcess, requests: Sequence[bytes], connections: int, expected: int
) -> tuple[float, list[float]]:
    """Send all over so many connections, each one after the other; seconds in all, and of each."""
    waiting = iter(requests)
    spans: list[float] = []
    host, port = node.address.split(":")

    async def connection() -> None:
        # Hand-made, because a client library would take more of the two cores than the node does.
        reader, writer = await asyncio.open_connection(host, int(port))
        for request in waiting:
            started = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            length = int(head.partition("content-length:")[2].partition("\r\n")[0])
            body = await reader.readexactly(length)
            spans.append(time.perf_counter() - started)
            _check(int(head.split(" ", 2)[1]), expected, body)
        writer.close()
        await writer.wait_closed()

    async def all_of_them() -> None:
        await asyncio.gather(*(connection() for _ in range(connections)))

    started = time.perf_counter()
    asyncio.run(all_of_them())
    return time.perf_counter() - started, spans


def _check(status: int, expected: int, body: bytes) -> None:
    if status != expected:
        raise BenchError(f"the node answered {status}: {body[:300].decode(errors='replace')}")
    if status == 207:  # noqa: PLR2004 - a batch: each item has a result of its own
        wrong = [each for each in json.loads(body)["results"] if each["status"] != 202]  # noqa: PLR2004
        if wrong:
            raise BenchError(f"{len(wrong)} cases of a batch were not taken: {wrong[0]}")


def await_ready(node: NodeProcess) -> None:
    until = time.monotonic() + _READY_SECONDS
    while not node.ready():
        if time.monotonic() > until:
            raise TimeoutError(f"the node is not ready after {_READY_SECONDS:.0f} s; see {node.log}")
        time.sleep(0.05)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
