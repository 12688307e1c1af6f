"""Results kept, one JSON object a line, and whether a run is worse than the last: by ratios, never by rates.

Rates tell of the machine and of what else it did. The ratios are to what was measured in the same run: the driver
alone, all libraries alone, the best peer, fastavro, the writer without HTTP, fewer cases, a smaller directory.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

TOLERANCE: Final = 0.25
"""A ratio that is worse by more than this part of what it was counts as a regression: runs of the same program on a
busy machine differ by less."""

_RATIOS: Final = {
    "flow.confluent.ratios.records_to_produced": True,
    "flow.confluent.ratios.cpu_to_driver_cpu": False,
    "flow.confluent.ratios.python_to_floor": False,
    "flow.kafka_python.ratios.records_to_produced": True,
    "flow.kafka_python.ratios.cpu_to_driver_cpu": False,
    "flow.kafka_python.ratios.python_to_floor": False,
    "ratio_to_best_peer": True,
    "intake.batch_to_writer": True,
    "codec.encode_to_fastavro": True,
    "codec.decode_to_fastavro": True,
    "scale.ten_times_the_cases": False,
    "scale.all_to_four": False,
}
"""Where each stands in the figures, and whether more is better."""
_RATES: Final = ("cases_per_s", "python_us_per_case", "cpu_us_per_case", "latency_ms")


class HistoryError(Exception):
    """The file of results can't be read; the message names the line."""


class Change(NamedTuple):
    """A ratio now and in an earlier run."""

    ratio: str
    before: float
    now: float

    @property
    def worse(self) -> bool:
        """By more than the tolerance."""
        if _RATIOS[self.ratio]:
            return self.now < self.before * (1 - TOLERANCE)
        return self.now > self.before * (1 + TOLERANCE)


def entry(figures: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """What is kept of a run."""
    return {
        "at": at.astimezone(UTC).isoformat(timespec="seconds"),
        "quick": figures["quick"],
        "machine": figures["machine"],
        "flow": {
            driver: {name: flow[name] for name in _RATES}
            for driver, flow in figures["flow"].items()
            if driver != "guarantees"
        },
        "peers": {name: peer["cases_per_s"] for name, peer in figures["peers"].items()},
        "ratios": {name: _at(figures, name) for name in _RATIOS},
    }


def record(file: Path, figures: Mapping[str, Any], at: datetime) -> None:
    """Append a run to the file, which is made if it is not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(entry(figures, at), ensure_ascii=False) + "\n")


def last(file: Path, *, quick: bool) -> dict[str, Any] | None:
    """The newest entry of the same kind of run; None where there is none.

    Raises:
        HistoryError: a line is not an entry.
    """
    if not file.exists():
        return None
    found = None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            known = json.loads(line)
            if known["quick"] is quick and known["ratios"] is not None:
                found = known
        except (ValueError, KeyError, TypeError) as error:
            raise HistoryError(
                f"{file}, line {number}: not an entry that --record wrote ({error})"
            ) from error
    return found


def compare(figures: Mapping[str, Any], before: Mapping[str, Any]) -> list[Change]:
    """Each ratio that both runs have."""
    then = before["ratios"]
    pairs = [(name, then.get(name), _at(figures, name)) for name in _RATIOS]
    return [Change(name, old, now) for name, old, now in pairs if old is not None and now is not None]


def _at(figures: Mapping[str, Any], path: str) -> Any:
    value: Any = figures
    for name in path.split("."):
        value = value[name]
    return value
