"""All figures of a run as one JSON document."""

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import psutil

from kuayu.bench.floor import Floor
from kuayu.bench.flow import Flow
from kuayu.bench.intake import Intake
from kuayu.bench.load import EVENTS
from kuayu.bench.node import Node
from kuayu.bench.peering import OURS, Result
from kuayu.bench.raw import Raw
from kuayu.bench.scale import Scale

_DIGITS = 4


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": platform.python_version(),
        **{
            name: version(name)
            for name in ("confluent-kafka", "kafka-python", "sqlalchemy", "msgspec", "fastavro")
        },
        "load_before": os.getloadavg()[0],
    }


def load_average() -> dict[str, float]:
    """Of the last minute, the bench's own load included."""
    return {"load_after": os.getloadavg()[0]}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:  # noqa: PTH123 - no file of ours
            return next(
                (line.partition(":")[2].strip() for line in info if line.startswith("model name")), ""
            )
    except OSError:
        return platform.processor()


def figures(
    on: Mapping[str, Any],
    *,
    quick: bool,
    raws: Mapping[str, Raw],
    flows: Mapping[str, Flow],
    floors: Mapping[str, Floor],
    peers: Sequence[Result],
    intake: Intake,
    codec: Mapping[str, Mapping[str, float]],
    scale: Scale,
    nodes: Mapping[str, Node],
) -> dict[str, Any]:
    """Everything that was measured; rounded to what can mean something. Names of drivers and peers have underscores.

    A peer without figures has `error` and null for its rate. `ratio_to_best_peer` is our rate on the confluent driver
    against the highest of the peers', null where none was measured.
    """
    found = {
        "machine": dict(on),
        "quick": quick,
        "raw": {_key(driver): raw for driver, raw in raws.items()},
        "flow": {
            _key(driver): flow.speed._asdict()
            | {name: value for name, value in flow._asdict().items() if name != "speed"}
            | {"floor": _floor(floors[driver], on["cores"], flow)}
            | {"ratios": _ratios(raws[driver], flow, floors[driver])}
            for driver, flow in flows.items()
        }
        | {"guarantees": OURS},
        "peers": {
            result.peer.name: (result.speed._asdict() if result.speed else {"cases_per_s": None})
            | {"error": result.error, "guarantees": result.peer.guarantees}
            for result in peers
        },
        "intake": intake,
        "codec": _codec(codec),
        "scale": scale,
        "node": {_key(driver): node for driver, node in nodes.items()},
    } | _best(flows, peers)
    return {name: _plain(value) for name, value in found.items()}


def _codec(events: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Besides, over one event of each type, how many times as fast as fastavro."""

    def times(way: str) -> float:
        return sum(each[f"fastavro_{way}_us"] for each in events.values()) / sum(
            each[f"{way}_us"] for each in events.values()
        )

    return {"events": events, "encode_to_fastavro": times("encode"), "decode_to_fastavro": times("decode")}


def _best(flows: Mapping[str, Flow], peers: Sequence[Result]) -> dict[str, Any]:
    measured = {result.peer.name: result.speed.cases_per_s for result in peers if result.speed}
    if not measured:
        return {"best_peer": None, "ratio_to_best_peer": None}
    best = max(measured, key=lambda name: measured[name])
    ratio = flows["confluent"].speed.cases_per_s / measured[best]
    return {"best_peer": best, "ratio_to_best_peer": round(ratio, 2)}


def _ratios(raw: Raw, flow: Flow, floor: Floor) -> dict[str, float]:
    """Against the driver alone in the same run, records moved and CPU for each; against all libraries alone, CPU of Python."""
    records = flow.speed.cases_per_s * EVENTS
    clients_us = flow.speed.cpu_us_per_case - flow.speed.broker_us_per_case
    return {
        "records_to_produced": records / raw.produce_per_s,
        "records_to_consumed": records / raw.consume_per_s,
        "cpu_to_driver_cpu": clients_us / raw.us_per_case,
        "python_to_floor": flow.speed.python_us_per_case / floor.total_us,
    }


def _floor(floor: Floor, cores: int, flow: Flow) -> dict[str, float]:
    """Besides its parts their sum, and the rate that would be left if nothing else were to be done."""
    at_most = floor.cases_per_s(cores, flow.speed.broker_us_per_case)
    return floor._asdict() | {"total_us": floor.total_us, "cases_per_s": at_most}


def _key(driver: str) -> str:
    return driver.replace("-", "_")


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return round(value, 1) if abs(value) >= 100 else float(f"{value:.{_DIGITS}g}")  # noqa: PLR2004
    return value
