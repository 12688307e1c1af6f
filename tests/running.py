"""What runs in threads of its own: an application on a port, engines to wait for, and what they say when in vain."""

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import uvicorn
from fastapi import FastAPI

from bus import Engine
from bus.transport import RetriableError

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until something is given up that takes a fraction of one: a busy machine is nothing to fail for."""


class Watching:
    """An observer that keeps the last alarms."""

    def __init__(self) -> None:
        self.alarms: deque[str] = deque(maxlen=20)

    def received(self, records: Any) -> None: ...
    def sent(self, lane: str, events: Any) -> None: ...
    def committed(self, seconds: float, items: int, rows: int) -> None: ...
    def changed(self, changes: Any) -> None: ...

    def alarm(self, kind: str, detail: str) -> None:
        self.alarms.append(f"{kind}: {detail}")


def eventually(question: Callable[[], T], *engines: Engine) -> T:
    """The first answer that is true; where none comes in time, what these engines say of themselves."""
    until = time.monotonic() + PATIENCE
    while not (answer := question()):
        if time.monotonic() > until:
            raise AssertionError("\n".join([f"not within {PATIENCE:.0f} s", *map(describe, engines)]))
        time.sleep(0.02)
    return answer


def stand_still(process: subprocess.Popen[bytes]) -> None:
    """Freeze a process of ours until SIGCONT.

    SIGSTOP reaches one thread, which stops the others: until it has got a core, they go on, and may begin a commit.
    """
    process.send_signal(signal.SIGSTOP)
    eventually(lambda: os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG))


def answered(question: Callable[[], T]) -> T:
    """What a broker answers, asked again while it, or the way to it, is not back yet."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return question()
        except RetriableError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)


def describe(engine: Engine) -> str:
    """What an engine says of itself: whether it runs, what waits, what was alarmed."""
    books = engine.books
    observer = engine._observer
    said = {
        "alive": engine.alive,
        "failure": repr(engine.failure) if engine.failure else "",
        "backlog": {lane: rows for lane, rows in engine.relay.backlog().items() if any(rows)},
        "stopped": [lane.name for lane in books.lanes.values() if lane.stopped],
        "held": len(books.held),
        "writer": (engine.writer.acts_waiting, engine.writer.waiting),
        "lag": {place: rows for place, rows in engine.inbox.lag.items() if rows},
        "readings": engine.watch.readings,
        "alarms": list(observer.alarms) if isinstance(observer, Watching) else [],
    }
    return f"{', '.join(engine.records.handlers)}: " + ", ".join(
        f"{name} {value}" for name, value in said.items() if value
    )


@contextmanager
def serving(app: FastAPI, port: int = 0) -> Iterator[str]:
    """The app on a port of the loopback, or on a free one; gives its address."""
    config = uvicorn.Config(
        app,
        port=port,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,  # or it waits at the end for calls that nobody reads any more
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
