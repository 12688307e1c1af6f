"""A region under test: three brokers, a proxy before them, three nodes as processes of their own, kept up like services."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self

import httpx
from msgspec.structs import replace

from bus.transport import Transport, open_transport
from jurisdictions import PACKAGED, Stage, read_folder, write_folder
from kuayu.broker import LocalCluster, kill_at_our_end
from kuayu.demo.region import Keys
from kuayu.keys import add_key
from kuayu.node import create_topics
from kuayu.settings import Settings
from tests.chaos.proxy import Proxy
from tests.chaos.stores import PostgresStores, SqliteStores, Stores
from web import Role

CODES: Final = ("430100", "430200", "430300")
"""长沙, 株洲, 湘潭."""
STRANGER: Final = "440100"
"""A jurisdiction whose topics exist, and whose node is not in our hands."""
PATIENCE: Final = 120.0
"""Seconds after which something that should come back is given up; generous, for slow machines."""


class Lost(Exception):
    """Something did not come back; the message says what."""


def until(done: Callable[[], bool], what: str, patience: float = PATIENCE) -> float:
    """Wait, and say how many seconds it took. Raises Lost."""
    begun = time.monotonic()
    while not done():
        if time.monotonic() - begun > patience:
            raise Lost(f"{what}: not within {patience:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - begun


def directory_with_lanes(folder: Path, seed: int) -> dict[str, dict[Stage, int]]:
    """Write the directory to a new folder, where the inboxes of this region have 1, 2 or 4 partitions, as the seed decides.

    Counts that differ make lanes that begin at one partition of an inbox and end at several of another, and the other
    way about. Gives the counts by jurisdiction.
    """
    chance, counts = Random(seed), {}
    data = read_folder(PACKAGED)
    places = list(data.jurisdictions.jurisdictions)
    for number, place in enumerate(places):
        if place.code in (*CODES, STRANGER):
            counts[place.code] = {stage: chance.choice((1, 2, 4)) for stage in place.stages}
            places[number] = replace(place, partitions=counts[place.code])
    folder.mkdir()
    write_folder(replace(data, jurisdictions=replace(data.jurisdictions, jurisdictions=places)), folder)
    return counts


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Node:
    """The node of one jurisdiction: the process that should own its ledger, under an address that stays."""

    def __init__(self, code: str, folder: Path, ledger: str, environment: dict[str, str]) -> None:
        self.code = code
        self.ledger = ledger
        self.log = folder / f"{code}.log"
        self._clock = folder / f"{code}.clock"
        self.set_clock(0)
        keys = folder / f"{code}-keys.yaml"
        self.keys = Keys(
            *(
                add_key(keys, caller=f"{who}@{code}", name=who, jurisdiction=code, roles=roles)
                for who, roles in (
                    ("system:hall", [Role.SUBMIT.value, Role.READ.value]),
                    ("clerk:review", [Role.REVIEW.value]),
                    ("clerk:pickup", [Role.PICKUP.value]),
                    ("clerk:visitor", [role.value for role in Role]),
                )
            )
        )
        self._environment = environment | {
            "KUAYU_DATA": str(folder),
            "KUAYU_LEDGER": ledger,
            "KUAYU_KEYS": str(keys),
        }
        self.url = ""
        self._proxy = Proxy(1, 0)
        self.process: subprocess.Popen[bytes] | None = None
        self._watchdogs: list[subprocess.Popen[bytes]] = []

    def set_clock(self, seconds: int) -> None:
        """Let the node's clock be off by so many seconds, from now on."""
        new = self._clock.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self._clock)

    @property
    def pid(self) -> int:
        """Raises Lost."""
        if self.process is None:
            raise Lost(f"{self.code} does not run")
        return self.process.pid

    def start(self) -> None:
        """Begin a process; `ready` waits for it. An older one that still lives is no longer ours to call."""
        port = free_port()
        if self.url:
            self._proxy.targets[0] = port
        else:
            self._proxy.start([port])
            self.url = f"http://127.0.0.1:{self._proxy.ports[0]}"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.node", self.code, str(self._clock)],
                env=self._environment | {"KUAYU_HTTP": f"127.0.0.1:{port}"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._watchdogs.append(kill_at_our_end(self.process.pid))

    def ready(self) -> bool:
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/readyz", timeout=2, trust_env=False).is_success
        return False

    def tally(self) -> dict[str, Any] | None:
        """What the node counts; None while it does not answer."""
        with suppress(httpx.HTTPError, ValueError):
            answer = httpx.get(f"{self.url}/v1/tally", timeout=5, trust_env=False)
            if answer.is_success:
                return dict(answer.json())
        return None

    def back_up(self, file: Path) -> None:
        """Write a backup of its ledger, which the command proves, while the node goes on. Raises Lost."""
        self._ledger("backup", file)

    def restore(self, file: Path) -> None:
        """Put a backup in the place of the ledger of a node that was ended. Raises Lost."""
        self._ledger("restore", file)

    def _ledger(self, command: str, file: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "kuayu", "ledger", command, self.code, str(file)],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        if done.returncode != 0:
            raise Lost(f"ledger {command} of {self.code}: {done.stdout}{done.stderr}")

    def backlog(self) -> int:
        """Events that are handed over and not receipted; 0 while it does not answer."""
        tally = self.tally()
        return int(tally["open_handovers"]) if tally else 0

    def leave(self) -> subprocess.Popen[bytes]:
        """Let go of the process, alive or not. Raises Lost."""
        if self.process is None:
            raise Lost(f"{self.code} does not run")
        process, self.process = self.process, None
        return process

    def kill(self) -> None:
        """SIGKILL. Raises Lost."""
        process = self.leave()
        process.kill()
        process.wait(30)

    def stop(self) -> None:
        """Ask it to end, and end it if it does not; the address goes too."""
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
            self.process = None
        for watchdog in self._watchdogs:
            watchdog.kill()
            watchdog.communicate()
        self._watchdogs.clear()
        self._proxy.stop()


class Region:
    """Everything under one folder; a context manager that leaves nothing running.

    Attributes:
        directory: the folder of the directory's data files.
        partitions: of the inboxes, by jurisdiction and stage.
        proxy: stands between the nodes and the brokers, and nobody else.
        ended: for each node, how often its process ended by itself and was started again.
    """

    def __init__(self, folder: Path, driver: str, database: str, seed: int) -> None:
        """`driver` is that of the nodes; `database` is sqlite or postgres."""
        self._stack = ExitStack()
        self._database = database
        self._driver = driver
        self.folder = folder
        self.directory = folder / "directory"
        self.partitions = directory_with_lanes(self.directory, seed)
        self.proxy = self._stack.enter_context(Proxy(3, seed))
        self.cluster = LocalCluster(folder / "brokers", self.proxy.ports)
        self.stores: Stores
        self.nodes: dict[str, Node] = {}
        self.ended: Counter[str] = Counter()
        self._closing = threading.Event()

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

    def _start(self) -> None:
        if self._database == "postgres":
            self.stores = PostgresStores(self.folder / "postgres", CODES)
        else:
            self.stores = SqliteStores(self.folder / "ledgers", CODES, on_small_disk=CODES[1])
        self._stack.callback(self.stores.close)
        self.proxy.start(self.cluster.behind)
        self._stack.callback(self.cluster.stop)
        self.cluster.start()
        self.create_topics(frozenset({*CODES, STRANGER}))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("KUAYU_")} | {
            "KUAYU_BOOTSTRAP_SERVERS": ",".join(f"127.0.0.1:{port}" for port in self.proxy.ports),
            "KUAYU_DRIVER": self._driver,
            "KUAYU_DIRECTORY": str(self.directory),
        }
        for code in CODES:
            self.nodes[code] = Node(code, self.folder, self.stores.url(code), environment)
        self._stack.callback(self.stop_nodes)
        for node in self.nodes.values():
            node.start()
        for node in self.nodes.values():
            until(node.ready, f"{node.code} is ready")
        keeper = threading.Thread(target=self._keep_up, name="keeper", daemon=True)
        keeper.start()
        self._stack.callback(keeper.join, 10)
        self._stack.callback(self._closing.set)

    def create_topics(self, codes: frozenset[str]) -> None:
        """Make those topics of these jurisdictions that are not there."""
        create_topics(Settings(bootstrap_servers=self.cluster.bootstrap, directory=self.directory), codes)

    def _keep_up(self) -> None:
        """Start what ended by itself again, as any service manager does."""
        while not self._closing.wait(0.5):
            for code, node in self.nodes.items():
                process = node.process
                if process is None or process.poll() is None:
                    continue
                self.ended[code] += 1
                node.start()

    def stop_nodes(self) -> None:
        """End all nodes; their ledgers can be read afterwards."""
        self._closing.set()
        for node in self.nodes.values():
            node.stop()

    def transport(self) -> Transport:
        """A way to the brokers that no fault of the proxy touches."""
        return open_transport("kafka-python", self.cluster.bootstrap)
