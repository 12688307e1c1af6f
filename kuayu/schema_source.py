"""Fetches a schema that is not known here from the node that wrote with it (law 9)."""

from collections.abc import Mapping

import httpx

TIMEOUT = 3.0
"""Seconds; it is asked again a second later."""


class PeerSchemas:
    """Asks the sender's node at its Confluent endpoint."""

    def __init__(self, peers: Mapping[str, str]) -> None:
        """`peers`: base address of each node by jurisdiction code."""
        self._peers = peers

    def fetch(self, schema_id: int, digest: bytes, source: str) -> str | None:  # noqa: ARG002 - checked by who adds it
        address = self._peers.get(source.split("/", 1)[0])
        if address is None:
            return None
        try:
            answer = httpx.get(f"{address.rstrip('/')}/schemas/ids/{schema_id}", timeout=TIMEOUT)
            answer.raise_for_status()
            schema = answer.json()["schema"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return None
        return schema if isinstance(schema, str) else None
