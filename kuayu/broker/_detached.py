"""A broker that outlives the command that started it: `kuayu broker start|stop|status`."""

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from kuayu.broker._process import STOP_TIMEOUT, LocalBroker, answers

_ANSWER_TIMEOUT = 5.0  # seconds


@dataclass(frozen=True)
class BrokerState:
    """A detached broker that runs."""

    bootstrap: str
    pid: int
    started_at: float
    """When the operating system says the process began (seconds since 1970): tells it from a later one of its id."""

    @property
    def ready(self) -> bool:
        """Whether it answers clients now."""
        return answers(self.bootstrap, _ANSWER_TIMEOUT)


def start_detached(directory: Path, port: int | None = None) -> BrokerState:
    """Start a broker on `directory` that lives on after this process, or find the one that runs there.

    Raises:
        BrokerInstallError: the broker's files could not be fetched.
        BrokerStartError: it did not come up.
    """
    if running := status(directory):
        return running
    broker = LocalBroker(directory, port).start()
    pid = broker.release()
    state = BrokerState(broker.bootstrap, pid, psutil.Process(pid).create_time())
    _file(directory).write_text(json.dumps(asdict(state)), encoding="utf-8")
    return state


def status(directory: Path) -> BrokerState | None:
    """The broker that runs on `directory`; None when none does, whatever an old state file says."""
    try:
        state = BrokerState(**json.loads(_file(directory).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return state if _process(state) else None


def stop(directory: Path, timeout: float = STOP_TIMEOUT) -> bool:
    """Stop the broker of `directory`, by force after `timeout` seconds; False when none ran."""
    state = status(directory)
    process = _process(state) if state else None
    if process:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            try:
                process.wait(timeout)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(timeout)
    _file(directory).unlink(missing_ok=True)
    return process is not None


def _file(directory: Path) -> Path:
    return directory / "detached.json"


def _process(state: BrokerState) -> psutil.Process | None:
    try:
        process = psutil.Process(state.pid)
        same = abs(process.create_time() - state.started_at) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return None
    return process if same else None
