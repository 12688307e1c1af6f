"""What a node costs that does nothing: how long it takes to be ready, and its CPU, memory and handles from then on."""

import time
from pathlib import Path
from typing import NamedTuple

import psutil

from kuayu.bench.intake import await_ready, free_port
from kuayu.demo.region import NodeProcess
from kuayu.node import create_topics
from kuayu.settings import Settings

_CODE = "440100"
"""None of those between which the load goes: a node that finds their records in its topics has work to do."""
_SETTLED = 2.0
"""Seconds after which what comes of the start is done."""


class Node(NamedTuple):
    """A node with all three stages, its ledger there already."""

    start_s: float
    """From the start of the process to the first /readyz that is 200: ledger open, broker heard of."""
    start_cpu_s: float
    """CPU of the process until then: what remains of `start_s` on a machine that does something else too."""
    idle_cpu_pct: float
    """Of one core."""
    rss_mb: float
    handles: int


def measure(driver: str, bootstrap: str, folder: Path, idle_seconds: float = 20.0) -> Node:
    """Start a node twice, the first time to make its tables, and watch the second one do nothing.

    Raises:
        BenchError: the node ended.
        TimeoutError: it did not get ready.
    """
    folder.mkdir(parents=True, exist_ok=True)
    create_topics(Settings(bootstrap_servers=bootstrap), frozenset({_CODE}))
    node = NodeProcess(_CODE, free_port(), folder)
    try:
        _start(node, driver, bootstrap)
        node.stop()
        start_s = _start(node, driver, bootstrap)
        process = psutil.Process(node.pid)
        start_cpu_s = _cpu(process)
        time.sleep(_SETTLED)
        began, before = time.monotonic(), _cpu(process)
        time.sleep(idle_seconds)
        idle = (_cpu(process) - before) / (time.monotonic() - began)
        return Node(start_s, start_cpu_s, idle * 100, process.memory_info().rss / 1e6, process.num_fds())
    finally:
        node.stop()


def _start(node: NodeProcess, driver: str, bootstrap: str) -> float:
    began = time.monotonic()
    node.start(bootstrap, {}, KUAYU_DRIVER=driver)
    await_ready(node)
    return time.monotonic() - began


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system
