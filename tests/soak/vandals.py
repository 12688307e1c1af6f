"""Those who send nonsense: over HTTP, and below it. The node answers each, with a problem, and never with a 5xx."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from http import HTTPStatus
from random import Random
from typing import Any, Final

import httpx

from kuayu.demo.region import NodeProcess

PAUSE: Final = 0.1
"""Seconds between two of them."""
_HANGING: Final = 10
"""Connections that say nothing, at the same time."""

_BODIES: Final = (
    b"", b"{", b"\0", b"\xff\xfe", b"null", b"[]", b"[1]", b"{}", b'"text"', b'{"cases": []}', b'{"cases": [{"key": "\\ud800"}]}',
    b'{"\\ud800": 1}', b'[{"\\u0000": "\\u0000"}]', b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000, b"NaN", b"1e999",
    b'{"item_code": "' + b"Z" * 31 + b'"}', b'{"cases": [' + b"{}," * 2_000 + b"{}]}", b" " * 2_000_000,
)  # fmt: skip
_PATHS: Final = (
    "/v1/cases/%00", "/v1/cases/%ff", "/v1/cases/..%2f..%2fetc%2fpasswd", "/v1/cases/" + "x" * 5_000, "/v1/nothing",
    "/v1/feed?after=%00", "/v1/feed?limit=-1", "/v1/feed?after=" + "A" * 3_000, "/v1/tasks?stage=kitchen",
    "/v1/tasks?stage=acceptance&cursor=%ff", "/v1/tasks?stage=acceptance&limit=1e9", "/static/../web/auth.py",
    "/static/%2e%2e/auth.py", "/static/%00", "/schemas/ids/99999999999999999999", "/subjects/%00/versions/x", "/login?next=//x",
    "/v1/cases/a/journey", "/openapi.json?x=" + "y" * 2_000,
)  # fmt: skip
_RAW: Final = (
    b"\x16\x03\x01\x02\x00\x01\x00", b"GET", b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 1_000, b"\0" * 500,
    b"POST /v1/cases HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/cases HTTP/1.1\r\nHost: x\r\nContent-Length: 99999\r\n\r\n{",
    b"POST /v1/cases HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(2_000)) + b"\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
)  # fmt: skip


class Vandals:
    """Bad requests to all nodes, one after the other.

    Attributes:
        counts: what was answered, by status; "raw" for what was below HTTP.
        failures: what a node must not have answered.
    """

    def __init__(self, nodes: Mapping[str, NodeProcess], seed: int) -> None:
        self._nodes = list(nodes.values())
        self._random = Random(seed)
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._hanging: list[asyncio.StreamWriter] = []

    async def rage(self, stop: asyncio.Event) -> None:
        """Go on until `stop` is set."""
        async with httpx.AsyncClient(timeout=20.0, trust_env=False) as client:
            while not stop.is_set():
                node = self._random.choice(self._nodes)
                with contextlib.suppress(httpx.TransportError, OSError):
                    await self._random.choice((self._body, self._path, self._stranger, self._raw))(
                        node, client
                    )
                await asyncio.sleep(PAUSE)
        for writer in self._hanging:
            writer.close()

    async def _body(self, node: NodeProcess, client: httpx.AsyncClient) -> None:
        headers = {
            "Authorization": f"Bearer {node.keys.hall}",
            "Content-Type": self._random.choice(
                ("application/json", "text/plain", "multipart/form-data", "")
            ),
            "Idempotency-Key": self._random.choice(("k", "\t", "x" * 300)),
            "If-Match": self._random.choice(("*", '"1"', "1", '"' + "9" * 30 + '"')),
        }
        path = self._random.choice(
            (
                "/v1/cases",
                "/v1/cases/x/withdrawal",
                "/v1/cases/x/supplements",
                "/v1/feed/ack",
                "/v1/tasks/x/claim",
                "/login",
            )
        )
        body = self._random.choice(_BODIES)
        self._judge(path, await client.post(f"{node.url}{path}", content=body, headers=headers))

    async def _path(self, node: NodeProcess, client: httpx.AsyncClient) -> None:
        path = self._random.choice(_PATHS)
        method = self._random.choice(("GET", "GET", "DELETE", "OPTIONS", "PATCH", "BREW"))
        headers = {"Authorization": f"Bearer {node.keys.login}"}
        self._judge(path, await client.request(method, f"{node.url}{path}", headers=headers))

    async def _stranger(self, node: NodeProcess, client: httpx.AsyncClient) -> None:
        key = self._random.choice(("", "x", "kuayu_" + "x" * 43, "\xff", "x" * 8_000))
        headers: Any = {
            "Authorization": f"Bearer {key}".encode("latin-1"),
            "Cookie": f"kuayu_session={key}".encode("latin-1"),
        }
        for path in ("/v1/feed", "/v1/tasks?stage=review"):
            answer = await client.get(f"{node.url}{path}", headers=headers)
            self._judge(path, answer)
            if answer.status_code == HTTPStatus.OK:
                self.failures.append(f"{path} let a stranger in")

    async def _raw(self, node: NodeProcess, _client: httpx.AsyncClient) -> None:
        host, _, port = node.address.partition(":")
        _reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(self._random.choice(_RAW))
        self.counts["raw"] += 1
        if self._random.random() < 0.5:
            writer.close()
            return
        self._hanging.append(writer)
        if len(self._hanging) > _HANGING:
            self._hanging.pop(0).close()

    def _judge(self, path: str, answer: httpx.Response) -> None:
        self.counts[str(answer.status_code)] += 1
        if (
            answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
            and answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE
        ):
            self.failures.append(
                f"{answer.request.method} {path[:80]}: {answer.status_code} {answer.text[:200]}"
            )
