"""Held events as `kuayu held` gets them: from a running node, or from a ledger on this machine, whether a node runs or not."""

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from bus.held import Which, explain, find, quarantined
from kuayu.inspection import open_ledger
from kuayu.settings import Settings
from schemas import load_catalogue

TIMEOUT = 40.0
"""Seconds; longer than a node waits for its ledger."""


class HeldError(Exception):
    """What was asked could not be done; the message is one line for people."""


class Api:
    """A running node: it alone writes its ledger, so whoever wants something done asks it."""

    def __init__(self, address: str, key: str) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def get(self, path: str, **query: Any) -> Any:
        """Raises HeldError."""
        said = {name: value for name, value in query.items() if value not in (None, False)}
        return self._ask("GET", path, params=said)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """Raises HeldError."""
        return self._ask(
            "POST", path, json={name: value for name, value in body.items() if value is not None}
        )

    def _ask(self, method: str, path: str, **values: Any) -> Any:
        try:
            answer = httpx.request(
                method, self._address + path, headers=self._headers, timeout=TIMEOUT, **values
            )
            found = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise HeldError(f"{self._address} does not answer as a node: {type(error).__name__}") from error
        if answer.is_success:
            return found
        raise HeldError(f"{answer.status_code} {_problem(found)}")


def _problem(found: Any) -> str:
    """A problem (RFC 9457) in one line."""
    if not isinstance(found, dict):
        return "without a reason"
    fields = [
        f"{each.get('field')}: {each.get('problem')} ({each.get('expected') or 'see the documents'})"
        for each in found.get("errors", ())
    ]
    return "; ".join(fields) or str(found.get("detail") or found.get("title"))


def read_list(settings: Settings, code: str, which: Which, limit: int) -> dict[str, Any]:
    """As GET /v1/held. Raises InspectionError."""
    with open_ledger(settings, code) as (ledger, _):
        held: list[Any] = msgspec.to_builtins(find(ledger, which, limit))
        return {"held": held, "next": None}


def read_quarantine(settings: Settings, code: str, limit: int) -> dict[str, Any]:
    """As GET /v1/quarantine. Raises InspectionError."""
    with open_ledger(settings, code) as (ledger, _):
        return {"quarantined": [msgspec.to_builtins(each) for each, _ in quarantined(ledger, limit)]}


def read_one(settings: Settings, code: str, row: int) -> dict[str, Any]:
    """As GET /v1/held/ROW. Raises InspectionError, HeldError."""
    with open_ledger(settings, code) as (ledger, records):
        found = explain(ledger, records, load_catalogue(), row)
        if found is None:
            raise HeldError(f"row {row} of {code} is not held, or no longer")
        shown: dict[str, Any] = msgspec.to_builtins(found)
        return shown
