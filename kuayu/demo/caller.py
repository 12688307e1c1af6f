"""One party's way to a node: HTTP with its key, repeated while the node is busy."""

import asyncio
from typing import Any, Final

import httpx

_TRIES: Final = 6
_BUSY: Final = 503


class Caller:
    """Calls the node at `url` with the API key `key`."""

    def __init__(self, url: str, key: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {key}"},
            timeout=40.0,
            limits=httpx.Limits(max_connections=16),
            trust_env=False,  # a proxy of the environment is not for loopback
        )

    async def get(self, path: str, **query: Any) -> httpx.Response:
        """GET; see `post` for errors."""
        return await self._request("GET", path, params=query)

    async def post(
        self, path: str, body: Any, *, key: str = "", version: int | None = None
    ) -> httpx.Response:
        """POST a JSON body, with an idempotency key and the version acted upon, where they are given.

        Raises:
            httpx.HTTPError: the node does not answer.
        """
        headers = {"Idempotency-Key": key} if key else {}
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return await self._request("POST", path, json=body, headers=headers)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        for tries in range(_TRIES):
            answer = await self._client.request(method, path, **more)
            if answer.status_code != _BUSY:
                break
            await asyncio.sleep(float(answer.headers.get("Retry-After", "1")) * (tries + 1) / 2)
        return answer
