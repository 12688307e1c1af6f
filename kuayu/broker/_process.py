"""One broker process: its folder, ports and settings, and its life from format to stop."""

import base64
import contextlib
import json
import random
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from kuayu.broker._install import install

HOST = "127.0.0.1"
START_TIMEOUT = 90.0  # seconds; a start takes two on an idle machine, and is bound by CPU
STOP_TIMEOUT = 20.0  # seconds until a broker that was asked to stop is killed
_LOG_TAIL = 2000  # characters of the broker's log that an error message shows

# Below the range from which Linux takes the local ports of outgoing connections: a client that tries a broker that is
# down could otherwise be given the broker's own port, and connect to itself.
_PORTS = range(20_000, 32_000)

_JVM = [
    "-Xms128m",
    "-Xmx384m",
    "-XX:+UseSerialGC",
    "--sun-misc-unsafe-memory-access=allow",  # else each start prints a warning about Kafka's own code
    "-Dlog4j2.level=WARN",
]

_MIB = 1024 * 1024
_SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    # a single copy of everything
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # little memory and disk
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "log.cleaner.dedupe.buffer.size": str(4 * _MIB),
    "log.segment.bytes": str(32 * _MIB),
    "log.index.size.max.bytes": str(_MIB),
    "num.network.threads": "2",
    "num.io.threads": "4",
    # a broker that crashed is let in again sooner: its old session must lapse first
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # topics are made by name and number of partitions, never by a typing error
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
}


class BrokerStartError(Exception):
    """The broker did not come up; the message holds the end of its log."""


def free_port() -> int:
    """A TCP port nobody listens on now, from outside the range of outgoing connections."""
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise BrokerStartError(f"no free port found in {_PORTS.start}..{_PORTS.stop - 1}")


def answers(bootstrap: str, timeout: float) -> bool:
    """Whether a broker at `bootstrap` describes its cluster within about `timeout` seconds."""
    host, port = bootstrap.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout).close()
        admin = KafkaAdminClient(
            bootstrap_servers=bootstrap,
            bootstrap_timeout_ms=int(timeout * 1000),
            request_timeout_ms=int(timeout * 1000),
        )
    except (OSError, KafkaError):
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
    it, unless `detached`.

    Args:
        directory: where data, settings and log go; made if it is not there.
        port: the port for clients on 127.0.0.1; default: the port this folder had before, else a free one.
        config: Kafka broker settings that add to or override ours.
        detached: let the broker live on when this process ends.
    """

    def __init__(
        self,
        directory: Path | str,
        port: int | None = None,
        config: Mapping[str, str] | None = None,
        *,
        detached: bool = False,
    ) -> None:
        self.directory = Path(directory).resolve()
        self._config = dict(config or {})
        self._detached = detached
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port, self._controller_port = self._ports(port)

    @property
    def bootstrap(self) -> str:
        """The address for clients: `127.0.0.1:port`."""
        return f"{HOST}:{self.port}"

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
        if self.alive:
            return self
        deadline = time.monotonic() + timeout
        distribution = install()
        java = [str(distribution.java), *_JVM, "-cp", distribution.classpath]
        settings = self._write_settings()
        if not (self.directory / "data" / "meta.properties").exists():
            self._format(java, settings)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own java, our own arguments)
                [*java, "kafka.Kafka", str(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,  # Ctrl-C is for us; the broker is stopped in its turn
            )
        if not self._detached:
            self._watchdog = _kill_at_our_end(self._process.pid)
        while not answers(self.bootstrap, timeout=5.0):
            if self._process.poll() is not None:
                raise BrokerStartError(f"Kafka ended with exit code {self._end()}:\n{self._tail()}")
            if time.monotonic() > deadline:
                self.kill()
                raise BrokerStartError(
                    f"Kafka did not answer on {self.bootstrap} in {timeout} s:\n{self._tail()}"
                )
            time.sleep(0.1)
        return self

    def kill(self) -> None:
        """End the broker at once (SIGKILL), as a crash would."""
        if self._process:
            self._process.kill()
            self._end()

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Ask the broker to stop (SIGTERM) and wait; kill it after `timeout` seconds."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
            self.kill()

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

    def _ports(self, port: int | None) -> tuple[int, int]:
        """Both ports of this folder: those it had before, except a newly given one for clients."""
        file = self.directory / "ports.json"
        before = json.loads(file.read_text()) if file.exists() else {}
        client = port or before.get("client") or free_port()
        controller = before.get("controller") or free_port()
        file.write_text(json.dumps({"client": client, "controller": controller}))
        return client, controller

    def _write_settings(self) -> Path:
        listeners = f"PLAINTEXT://{self.bootstrap},CONTROLLER://{HOST}:{self._controller_port}"
        settings = _SETTINGS | {
            "log.dirs": str(self.directory / "data"),
            "listeners": listeners,
            "advertised.listeners": listeners,
            "controller.quorum.bootstrap.servers": f"{HOST}:{self._controller_port}",
        }
        path = self.directory / "server.properties"
        lines = [f"{name}={value}\n" for name, value in (settings | self._config).items()]
        path.write_text("".join(lines), encoding="utf-8")
        return path

    def _format(self, java: list[str], settings: Path) -> None:
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        formatted = subprocess.run(  # noqa: S603 (as above)
            [
                *java,
                "kafka.tools.StorageTool",
                "format",
                "--standalone",
                f"--cluster-id={identity}",  # with "=", because an identity may begin with "-"
                f"--config={settings}",
            ],
            check=False,
            capture_output=True,
            text=True,
        )
        if formatted.returncode:
            raise BrokerStartError(
                f"Kafka's folder could not be formatted:\n{formatted.stdout}{formatted.stderr}"
            )

    def _end(self) -> int:
        """Take leave of a process that has ended or is about to: nothing of it stays, not even a zombie."""
        assert self._process is not None  # noqa: S101 (callers have looked)
        if self._watchdog:
            # First the watchdog: until we wait for the broker, its process id cannot belong to anyone else.
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None
        code = self._process.wait()
        self._process = None
        return code

    def _tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:]


def _kill_at_our_end(pid: int) -> subprocess.Popen[bytes]:
    """Start a shell that waits on a pipe only we hold, and kills `pid` when the pipe breaks, however we end."""
    return subprocess.Popen(  # noqa: S603 (our own arguments)
        ["/bin/sh", "-c", 'read -r _; kill -9 "$0" 2>/dev/null', str(pid)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
