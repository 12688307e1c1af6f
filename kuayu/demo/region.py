"""What the demonstration runs on: a broker, four nodes as processes of their own, and a Prometheus where there is one."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import httpx
import msgspec

from bus.transport import TopicPartition, open_transport
from kuayu.broker import LocalBroker, dismiss, kill_at_our_end
from kuayu.keys import add_key
from kuayu.settings import Settings
from monitoring import PrometheusServer
from web import Role

CODES: Final = ("430100", "430200", "430300", "440100")
"""长沙, 株洲, 湘潭, 广州."""
FOLDER: Final = Path("var/demo")
_PORTS: Final = (8101, 8102, 8103, 8104)
"""Where the nodes listen, if the ports are free."""
_PROMETHEUS_PORT: Final = 9191
_READY_SECONDS: Final = 90.0
_STOP_SECONDS: Final = 20.0
_OWN_SETTINGS: Final = ("KUAYU_LEDGER", "KUAYU_HTTP", "KUAYU_DATA", "KUAYU_KEYS", "KUAYU_PEERS")
"""What the environment says of these is meant for another node."""


class RegionError(Exception):
    """The region did not come up, or cannot be used; the message says why."""


class Keys(NamedTuple):
    """API keys at one node: its service hall's system, its clerks, and one for looking at everything."""

    hall: str
    review: str
    pickup: str
    login: str


class NodeProcess:
    """One node."""

    def __init__(self, code: str, port: int, folder: Path) -> None:
        self.code = code
        self.address = f"127.0.0.1:{port}"
        self.url = f"http://{self.address}"
        self.log = folder / f"{code}.log"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self.keys = Keys(
            hall=self._key("system:hall", "服务大厅系统", [Role.SUBMIT]),
            review=self._key("clerk:review", "审核岗", [Role.REVIEW]),
            pickup=self._key("clerk:pickup", "发证岗", [Role.PICKUP]),
            login=self._key("clerk:visitor", "演示访客", list(Role)),
        )

    def _key(self, caller: str, name: str, roles: list[Role]) -> str:
        file = self._folder / f"{self.code}-keys.yaml"
        values = [role.value for role in roles]
        return add_key(file, caller=f"{caller}@{self.code}", name=name, jurisdiction=self.code, roles=values)

    def start(self, bootstrap: str, peers: dict[str, str], **settings: str) -> None:
        """Start the process with these and other settings (KUAYU_…); `ready` waits for it."""
        inherited = {name: value for name, value in os.environ.items() if name not in _OWN_SETTINGS}
        environment = (
            inherited
            | settings
            | {
                "KUAYU_BOOTSTRAP_SERVERS": bootstrap,
                "KUAYU_HTTP": self.address,
                "KUAYU_DATA": str(self._folder),
                "KUAYU_KEYS": str(self._folder / f"{self.code}-keys.yaml"),
                "KUAYU_PEERS": msgspec.json.encode(peers).decode(),
            }
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "kuayu", "node", self.code],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; the nodes are stopped in their turn
            )
        self._watchdog = kill_at_our_end(self._process.pid)

    @property
    def pid(self) -> int:
        """The process id.

        Raises:
            ProcessLookupError: it does not run.
        """
        if self._process is None:
            raise ProcessLookupError(f"node {self.code} was not started")
        return self._process.pid

    def ready(self) -> bool:
        """Whether it answers and reads its inboxes.

        Raises:
            RegionError: the process has ended.
        """
        self.check()
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2.0).is_success
        except httpx.HTTPError:
            return False

    def check(self) -> None:
        """Raises RegionError when the process has ended."""
        if self._process is not None and self._process.poll() is not None:
            tail = self.log.read_text(encoding="utf-8", errors="replace")[-1000:]
            raise RegionError(
                f"node {self.code} ended with {self._process.returncode}; see {self.log}\n{tail}"
            )

    def terminate(self) -> None:
        """Ask it to stop."""
        if self._process is not None:
            self._process.terminate()

    def stop(self) -> None:
        """Wait until it has stopped, and kill it if it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        if (
            self._watchdog is not None
        ):  # first: until we wait for the node, its id cannot be another process's
            dismiss(self._watchdog)
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Region:
    """Broker, nodes and Prometheus, all under one fresh folder; a context manager that leaves nothing running.

    Attributes:
        nodes: by jurisdiction code.
        graphs: where Prometheus is; None if it is not on the PATH.
        own_broker: False where KUAYU_BOOTSTRAP_SERVERS named one.
        tls: how that one is spoken to; None: in plain text.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        """`say` is told what is being waited for.

        Raises:
            BadSetting: a file of TLS can't be used.
            RegionError: TLS is asked for, and a broker of our own.
        """
        self._say = say
        self._stack = ExitStack()
        self.bootstrap = os.environ.get("KUAYU_BOOTSTRAP_SERVERS", "")
        self.own_broker = not self.bootstrap
        settings = Settings.load()
        self.driver, self.tls = settings.driver, settings.tls
        if self.own_broker and self.tls:
            raise RegionError(
                "KUAYU_TLS_CA: a broker of the demonstration's own speaks no TLS; unset it, or set "
                "KUAYU_BOOTSTRAP_SERVERS as well"
            )
        self.folder = _fresh_folder()
        self.nodes: dict[str, NodeProcess] = {}
        self.graphs: str | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def stop_nodes(self) -> None:
        """Stop the nodes, all at once; their ledgers can be looked into afterwards."""
        for node in self.nodes.values():
            node.terminate()
        for node in self.nodes.values():
            node.stop()

    def _start(self) -> None:
        if self.own_broker:
            self._say("启动 Kafka / starting Kafka (the first time its files are fetched)")
            self.bootstrap = self._stack.enter_context(LocalBroker(self.folder / "broker")).bootstrap
        self._topics()
        self._say("启动四个节点 / starting four nodes")
        ports = _free_ports((*_PORTS, _PROMETHEUS_PORT))
        self.nodes = {
            code: NodeProcess(code, port, self.folder) for code, port in zip(CODES, ports, strict=False)
        }
        self._stack.callback(self.stop_nodes)
        for node in self.nodes.values():
            peers = {other.code: other.url for other in self.nodes.values() if other is not node}
            node.start(self.bootstrap, peers)
        if PrometheusServer.available():
            targets = {code: node.address for code, node in self.nodes.items()}
            server = PrometheusServer(targets, self.folder / "prometheus", ports[-1])
            self.graphs = self._stack.enter_context(server).url
            self._stack.callback(dismiss, kill_at_our_end(server.pid))
        until = time.monotonic() + _READY_SECONDS
        while not all(node.ready() for node in self.nodes.values()):
            if time.monotonic() > until:
                raise RegionError(f"the nodes are not ready after {_READY_SECONDS:.0f} s; see {self.folder}")
            time.sleep(0.1)

    def _topics(self) -> None:
        from kuayu.node import create_topics  # noqa: PLC0415 - takes a second, while the broker is starting

        settings = Settings(bootstrap_servers=self.bootstrap)
        settings.check_broker()
        create_topics(settings, frozenset(CODES))
        if not self.own_broker:
            self._refuse_used_topics()

    def _refuse_used_topics(self) -> None:
        """New ledgers would take what an earlier run left in the topics for news."""
        transport = open_transport(self.driver, self.bootstrap, self.tls)
        try:
            places = [
                TopicPartition(topic, partition)
                for topic, partitions in transport.topics().items()
                if topic.startswith("kuayu.") and topic.rpartition(".")[2] in CODES
                for partition in range(partitions)
            ]
            consumer = transport.consumer("kuayu.demo")
            try:
                consumer.assign(dict.fromkeys(places))
                used = [place.topic for place, end in consumer.ends(10.0).items() if end]
            finally:
                consumer.close()
        finally:
            transport.close()
        if used:
            raise RegionError(
                f"the topics on {self.bootstrap} were used before ({min(used)}); the demonstration needs fresh ones: "
                "delete the topics kuayu.*, or unset KUAYU_BOOTSTRAP_SERVERS for a broker of its own"
            )


def _fresh_folder() -> Path:
    """A folder of this run; those of runs that have ended are removed, but for the last one, to be looked into."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    ended = sorted(path for path in FOLDER.iterdir() if path.is_dir() and not _runs(path))
    for old in ended[:-1]:
        shutil.rmtree(old, ignore_errors=True)
    folder = FOLDER / f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{os.getpid()}"
    folder.mkdir()
    return folder.resolve()


def _runs(folder: Path) -> bool:
    """Whether the process that a run's folder is named after is alive."""
    pid = folder.name.rpartition("-")[2]
    if not pid.isdigit():
        return True  # none of ours: left alone
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _free_ports(wished: tuple[int, ...]) -> list[int]:
    """The wished ports; another free one for each that is taken."""
    with ExitStack() as held:
        ports = []
        for port in wished:
            listener = held.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                listener.bind(("127.0.0.1", 0))
            ports.append(listener.getsockname()[1])
        return ports
