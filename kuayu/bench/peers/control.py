"""A peer's process: the bench asks over standard input and is answered on standard output, a JSON array a line."""

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import psutil
from stage import Record, Stage

PATIENCE = 120.0
"""Seconds after which a run that does not end is given up."""
_BUSY_PAUSE, _IDLE_PAUSE = 0.002, 0.05
"""Seconds that a client may wait for records: where cases are to be begun, and where only events are awaited."""


class Control:
    """What the bench may ask for; and, for the client's own thread, which cases are due to begin."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.ready = threading.Event()
        self._numbers = count()
        self._due: Callable[[int], list[str]] | None = None

    # --- asked by the client

    def due(self, most: int = 200) -> list[Record]:
        """The records of cases that are due to begin now."""
        if self._due is None:
            return []
        return [self.stage.accept(case) for case in self._due(most)]

    @property
    def pause(self) -> float:
        """Seconds for which the client may wait for records."""
        return _IDLE_PAUSE if self._due is None else _BUSY_PAUSE

    # --- asked by the bench

    def begin(self) -> None:
        self.stage.first = {}
        self.stage.ended = {}

    def closed(self, cases: int, window: int) -> float:
        """Begin so many cases, at most `window` of them under way; seconds since the epoch of the first."""
        begun = 0

        def due(most: int) -> list[str]:
            nonlocal begun
            room = min(window - (begun - len(self.stage.ended)), cases - begun, most)
            begun += max(room, 0)
            return [self._case() for _ in range(room)]

        started = time.time()
        self._run(due, cases, PATIENCE)
        return started

    def open(self, cases: int, rate: float, seed: int) -> dict[str, float]:
        """Begin cases as they arrive by themselves (Poisson); the instants at which they were due, by case."""
        chance = random.Random(seed)
        arrived: dict[str, float] = {}
        following = time.time()

        def due(most: int) -> list[str]:
            nonlocal following
            found: list[str] = []
            while len(arrived) < cases and following <= time.time() and len(found) < most:
                found.append(self._case())
                arrived[found[-1]] = following
                following += chance.expovariate(rate)
            return found

        self._run(due, cases, PATIENCE + cases / rate)
        return arrived

    def settled(self) -> bool:
        return len(self.stage.ended) == len(self.stage.first)

    def noted(self) -> tuple[dict[str, float], dict[str, float]]:
        return self.stage.first, self.stage.ended

    def usage(self) -> tuple[float, dict[str, float], int]:
        """CPU seconds in all and by thread (those that Python did not start are "native"), and bytes of memory."""
        process = psutil.Process()
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        threads: dict[str, float] = {}
        for thread in process.threads():
            name = names.get(thread.id, "native")
            threads[name] = threads.get(name, 0.0) + thread.user_time + thread.system_time
        times = process.cpu_times()
        return times.user + times.system, threads, process.memory_info().rss

    def _case(self) -> str:
        return f"430200-01J{next(self._numbers):023d}"

    def _run(self, due: Callable[[int], list[str]], cases: int, patience: float) -> None:
        until = time.monotonic() + patience
        self._due = due
        while len(self.stage.ended) < cases:
            if time.monotonic() > until:
                raise TimeoutError(f"{len(self.stage.ended)} of {cases} cases have ended")
            time.sleep(0.01)
        self._due = None


def serve(client: Callable[[Control], None]) -> None:
    """Run `client`, which sets `ready` and never returns, until the bench ends the conversation."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer
    control = Control(Stage(Path(sys.argv[1])))
    threading.Thread(target=_converse, args=(control, answers), name="control", daemon=True).start()
    client(control)


def _converse(control: Control, answers: Any) -> None:
    control.ready.wait(PATIENCE)
    print(json.dumps([None, ""]), file=answers, flush=True)
    for line in sys.stdin:
        name, arguments = json.loads(line)
        try:
            answer, error = getattr(control, name)(*arguments), ""
        except Exception as failed:  # noqa: BLE001 - it belongs to the bench
            answer, error = None, f"{type(failed).__name__}: {failed}"
        print(json.dumps([answer, error]), file=answers, flush=True)
    os._exit(0)  # nothing of a peer is to be kept, and some of their clients take long to close
