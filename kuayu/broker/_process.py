"""One broker process: its life from format to stop."""

import base64
import contextlib
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from bus.transport import RetriableError
from bus.transport.kafka_client import open_client
from bus.transport.tls import Way
from kuayu.broker._install import Distribution, install, locked
from kuayu.broker._settings import HOST, ports_of, write_settings

START_TIMEOUT = 90.0  # seconds; a start takes two on an idle machine, and is bound by CPU
_REHEARSAL_STOP_TIMEOUT = 120.0  # seconds; the start cache is written then
STOP_TIMEOUT = 20.0  # seconds until a broker that was asked to stop is killed
_LOG_TAIL = 2000  # characters of the broker's log that an error message shows

_JVM = [
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "-XX:ReservedCodeCacheSize=128m",  # with Java's own 48 for one compiler, all waits 40 ms for room in it under load
    "-XX:TieredStopAtLevel=1",  # a local broker lives for minutes, and the second compiler takes half a core of them
    "--sun-misc-unsafe-memory-access=allow",  # else each start prints a warning about Kafka's own code
    "-Xlog:disable",  # the machine's own log: an old start cache is no error, it is just not used
    "-Dlog4j2.level=WARN",
]


class BrokerStartError(Exception):
    """The broker did not come up; the message holds the end of its log."""


def answers(bootstrap: str, timeout: float) -> bool:
    """Whether a broker at `bootstrap` describes its cluster within about `timeout` seconds."""
    host, port = bootstrap.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout).close()
        wait = int(timeout * 1000)
        way = Way(bootstrap, tls=None)
        admin = open_client(KafkaAdminClient, way, "kuayu", timeout_ms=wait, request_timeout_ms=wait)
    except (OSError, RetriableError):
        return False
    try:
        return bool(admin.describe_cluster()["brokers"])
    except KafkaError:
        return False
    finally:
        admin.close()


class LocalBroker:
    """A single-node Kafka broker whose data and log lie in one folder.

    A broker that is started again on its folder, by this object or another, has its data and its port again, so
    clients find it. Used as a context manager it is started and stopped. It never outlives the process that started
    it, unless that one lets go of it (`release`).

    Args:
        directory: where data, settings and log go; made if it is not there.
        port: the port for clients on 127.0.0.1; default: the port this folder had before, else a free one.
        config: Kafka broker settings that add to or override ours.
        cluster: the cluster's id, where this broker is one of several; default: a cluster of its own.
    """

    def __init__(
        self,
        directory: Path | str,
        port: int | None = None,
        config: Mapping[str, str] | None = None,
        cluster: str = "",
    ) -> None:
        self.directory = Path(directory).resolve()
        self._cluster = cluster
        self._config = dict(config or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self.directory.mkdir(parents=True, exist_ok=True)
        self._ports = ports_of(self.directory, port)

    @property
    def bootstrap(self) -> str:
        """The address for clients: `127.0.0.1:port`."""
        return f"{HOST}:{self._ports.client}"

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            ProcessLookupError: the broker does not run.
        """
        if self._process is None:
            raise ProcessLookupError(f"no broker was started on {self.directory}")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs (it may still be starting)."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        """What the broker printed: warnings and errors."""
        return self.directory / "broker.log"

    def start(self, timeout: float = START_TIMEOUT) -> Self:
        """Start the broker and wait until it answers; does nothing when it runs already.

        Raises:
            BrokerInstallError: the broker's files could not be fetched.
            BrokerStartError: it ended, or did not answer within `timeout` seconds.
        """
        if not self.alive:
            self._start(_java(install(), rehearsed=True), timeout)
        return self

    def _start(self, java: list[str], timeout: float, *extra: str) -> None:
        self.kill()  # what is left of one that ended by itself
        settings = write_settings(self.directory, self._ports, self._config)
        if not (self.directory / "data" / "meta.properties").exists():
            _format(java, settings, self._cluster)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (as below)
                [*java, *extra, "kafka.Kafka", str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C is for us; the broker is stopped in its turn
            )
        self._watchdog = kill_at_our_end(self._process.pid)
        try:
            self._await_answer(self._process, timeout)
        except BaseException:
            self.kill()
            raise

    def _await_answer(self, process: subprocess.Popen[bytes], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not answers(self.bootstrap, timeout=5.0):
            if process.poll() is not None:
                raise BrokerStartError(f"Kafka ended with exit code {process.returncode}:\n{self._tail()}")
            if time.monotonic() > deadline:
                raise BrokerStartError(f"no answer on {self.bootstrap} in {timeout} s:\n{self._tail()}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a crash would."""
        self._dismiss_watchdog()  # first: until we wait for the broker, its id cannot belong to another process
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Ask the broker to stop (SIGTERM) and wait; kill it after `timeout` seconds."""
        if self._process:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        self.kill()

    def release(self) -> int:
        """Let the broker live on when this process ends, and return its process id; it is no longer ours to stop."""
        pid = self.pid
        self._dismiss_watchdog()
        if self._process:
            self._process.returncode = 0  # else Python complains that we leave it running
            self._process = None
        return pid

    def restart(self) -> None:
        """Stop the broker if it runs, and start it with the same data on the same port."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _dismiss_watchdog(self) -> None:
        if self._watchdog:
            dismiss(self._watchdog)
            self._watchdog = None

    def _tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]


def _java(distribution: Distribution, *, rehearsed: bool) -> list[str]:
    """The start of each command line; `rehearsed` makes use of the start cache, and makes it where it is missing."""
    java = [str(distribution.java), *_JVM, "-cp", distribution.classpath]
    if not rehearsed:
        return java
    if not distribution.start_cache.exists():
        with locked(distribution.folder):
            if not distribution.start_cache.exists():
                _rehearse(distribution)
    return [*java, f"-XX:AOTCache={distribution.start_cache}"]


def _rehearse(distribution: Distribution) -> None:
    """Start and stop a broker once and let Java keep what it loaded and linked (JEP 483, 514 and 515).

    Later starts take half the time. A cache that does not fit (another Java, changed jars) is ignored by Java itself.
    """
    with tempfile.TemporaryDirectory(prefix="rehearsal-", dir=distribution.folder) as scratch:
        cache = Path(scratch) / "start.aot"
        broker = LocalBroker(Path(scratch) / "broker")
        broker._start(  # noqa: SLF001 (the same module)
            _java(distribution, rehearsed=False), START_TIMEOUT, f"-XX:AOTCacheOutput={cache}"
        )
        broker.stop(_REHEARSAL_STOP_TIMEOUT)
        cache.touch()  # where Java could make none, an empty one keeps us from trying at each start
        cache.rename(distribution.start_cache)


def new_cluster() -> str:
    """An id for a new cluster, as Kafka's own tool makes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _format(java: list[str], settings: Path, cluster: str) -> None:
    formatted = subprocess.run(  # noqa: S603 (our own java, our own arguments)
        [
            *java,
            "kafka.tools.StorageTool",
            "format",
            *([] if cluster else ["--standalone"]),  # the members of several are named in the settings
            f"--cluster-id={cluster or new_cluster()}",  # with "=", because an id may begin with "-"
            f"--config={settings}",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if formatted.returncode:
        raise BrokerStartError(f"the folder could not be formatted:\n{formatted.stdout}{formatted.stderr}")


def kill_at_our_end(pid: int) -> subprocess.Popen[bytes]:
    """Start a shell that waits on a pipe only we hold, and kills `pid` when the pipe breaks, however we end."""
    return subprocess.Popen(  # noqa: S603 (our own arguments)
        ["/bin/sh", "-c", 'read -r _; kill -9 "$0" 2>/dev/null', str(pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )


def dismiss(watchdog: subprocess.Popen[bytes]) -> None:
    """End the shell of `kill_at_our_end`; to be done before its process is ended, whose id another may get."""
    watchdog.kill()
    watchdog.communicate()
