"""A process that is frozen has stopped as a whole before anybody looks at what it holds."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import eventually, stand_still

COUNTS = """
import mmap, os, sys, threading

with open(sys.argv[1], "r+b") as file:
    counter = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")
first, second = map(int, sys.argv[2:])

def count():
    os.sched_setaffinity(threading.get_native_id(), {second})
    while True:
        counter[0] += 1

os.sched_setaffinity(threading.get_native_id(), {first})
os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
threading.Thread(target=count, daemon=True).start()
threading.Event().wait()
"""
"""Counts in one thread, on a core of its own where there are two; the other, which is sent the signals, shares its with a busy process."""


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait(10)


def test_no_thread_goes_on(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    file = tmp_path / "count"
    file.write_bytes(bytes(8))
    cores = sorted(os.sched_getaffinity(0))
    first, second = cores[0], cores[-1]
    busy = f"import os\nos.sched_setaffinity(0, {{{first}}})\nwhile True: pass"
    started.append(subprocess.Popen([sys.executable, "-c", busy]))
    counting = subprocess.Popen([sys.executable, "-c", COUNTS, str(file), str(first), str(second)])
    started.append(counting)
    for _ in range(20):
        _runs(file)
        stand_still(counting)
        before = file.read_bytes()
        time.sleep(0.02)
        assert file.read_bytes() == before
        counting.send_signal(signal.SIGCONT)


def _runs(file: Path) -> None:
    before = file.read_bytes()
    eventually(lambda: file.read_bytes() != before)
