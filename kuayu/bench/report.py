"""The figures of a bench run as JSON and as a table."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from kuayu.bench.flow import Flow
from kuayu.bench.raw import Raw

_HOPS = 5
"""Events of one case of the bench: accepted, decided, issued, and delivered told to two."""


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("confluent-kafka", "kafka-python", "sqlalchemy", "msgspec")},
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


def figures(on: Mapping[str, Any], raws: Mapping[str, Raw], flows: Mapping[str, Flow]) -> dict[str, Any]:
    """Everything that was measured, by driver; rounded to what can mean something."""
    return {
        "machine": dict(on),
        "raw": {_key(driver): _plain(raw) for driver, raw in raws.items()},
        "flow": {
            _key(driver): _plain(flow) | {"ratios": _ratios(raws[driver], flow)}
            for driver, flow in flows.items()
        },
    }


def _ratios(raw: Raw, flow: Flow) -> dict[str, float]:
    """Against the driver alone in the same run: records moved, and CPU for each record."""
    records = flow.cases_per_s * _HOPS
    driver_us = _HOPS * (raw.produce_cpu_us + raw.consume_cpu_us)
    clients_us = flow.cpu_us_per_case - flow.broker_us_per_case
    return {
        "records_to_produced": round(records / raw.produce_per_s, 4),
        "records_to_consumed": round(records / raw.consume_per_s, 4),
        "cpu_to_driver_cpu": round(clients_us / driver_us, 2),
    }


def _key(driver: str) -> str:
    return driver.replace("-", "_")


def _plain(value: Any) -> Any:
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return round(value, 1) if isinstance(value, float) else value


def show(console: Console, all_figures: Mapping[str, Any]) -> None:
    """The table: plain text where the output is no terminal."""
    drivers = list(all_figures["flow"])
    on = all_figures["machine"]
    table = Table(title=f"{on['cores']} × {on['processor']}, Python {on['python']}")
    table.add_column("")
    for driver in drivers:
        table.add_column(driver, justify="right")
    for name, cells in _rows(all_figures, drivers):
        table.add_row(name, *cells)
    console.print(table)


def _rows(all_figures: Mapping[str, Any], drivers: list[str]) -> list[tuple[str, list[str]]]:
    raws = [all_figures["raw"][driver] for driver in drivers]
    flows = [all_figures["flow"][driver] for driver in drivers]
    rows = [
        ("驱动写入 raw produce, records/s", [_count(raw["produce_per_s"]) for raw in raws]),
        ("  MB/s · CPU µs/record", [_pair(raw["produce_mb_per_s"], raw["produce_cpu_us"]) for raw in raws]),
        ("驱动读取 raw consume, records/s", [_count(raw["consume_per_s"]) for raw in raws]),
        ("  MB/s · CPU µs/record", [_pair(raw["consume_mb_per_s"], raw["consume_cpu_us"]) for raw in raws]),
        ("三段办件 flow, cases/s", [_count(flow["cases_per_s"]) for flow in flows]),
        (
            "  of records/s the driver alone writes",
            [f"{flow['ratios']['records_to_produced']:.1%}" for flow in flows],
        ),
        ("Python µs/case, three processes", [_count(flow["python_us_per_case"]) for flow in flows]),
        ("all CPU µs/case, broker included", [_count(flow["cpu_us_per_case"]) for flow in flows]),
        ("  broker", [_count(flow["broker_us_per_case"]) for flow in flows]),
        (
            "  CPU of clients ÷ drivers alone",
            [f"{flow['ratios']['cpu_to_driver_cpu']:.1f}" for flow in flows],
        ),
    ]
    for stage in ("acceptance", "review", "pickup"):
        processes = [flow["processes"][stage] for flow in flows]
        rows.append(
            (
                f"{stage}: CPU µs/case · RSS MB",
                [_pair(process["cpu_us"], process["rss_mb"]) for process in processes],
            )
        )
    rows.append(("broker: RSS MB", [_count(flow["broker_rss_mb"]) for flow in flows]))
    rows.append(("时延 latency at cases/s", [_count(flow["offered_per_s"]) for flow in flows]))
    for name, key in (
        ("已受理 accepted durably", "answered_ms"),
        ("审核可见 review sees it", "review_ms"),
        ("已送达 delivered and told back", "latency_ms"),
    ):
        rows.append(
            (f"  {name}, p50 · p99 ms", [_pair(flow[key]["p50"], flow[key]["p99"]) for flow in flows])
        )
    rows.append(
        (
            "bytes/case, ledgers · topics",
            [_pair(flow["ledger_bytes_per_case"], flow["topic_bytes_per_case"]) for flow in flows],
        )
    )
    return rows


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _pair(one: float, other: float) -> str:
    return f"{_count(one)} · {_count(other)}"
