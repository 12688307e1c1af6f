"""A broker's folder: its ports, which it keeps, and its settings file."""

import contextlib
import json
import random
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

HOST = "127.0.0.1"

# Below the range from which Linux takes the local ports of outgoing connections: a client that tries a broker that is
# down could otherwise be given the broker's own port, and connect to itself.
_PORTS = range(20_000, 32_000)

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


class Ports(NamedTuple):
    """Where a broker listens on 127.0.0.1."""

    client: int
    controller: int


def ports_of(directory: Path, client: int | None) -> Ports:
    """The ports of a broker's folder: those it had before, unless another is given for clients; else free ones.

    Raises:
        OSError: no port is free.
    """
    file = directory / "ports.json"
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    ports = Ports(client or before.get("client") or free_port(), before.get("controller") or free_port())
    file.write_text(json.dumps(ports._asdict()), encoding="utf-8")
    return ports


def write_settings(directory: Path, ports: Ports, extra: Mapping[str, str]) -> Path:
    """Write `server.properties` for a broker whose data lie in `directory`, and say where it is."""
    listeners = f"PLAINTEXT://{HOST}:{ports.client},CONTROLLER://{HOST}:{ports.controller}"
    settings = {
        **_SETTINGS,
        "log.dirs": str(directory / "data"),
        "listeners": listeners,
        "advertised.listeners": listeners,
        "controller.quorum.bootstrap.servers": f"{HOST}:{ports.controller}",
        **extra,
    }
    file = directory / "server.properties"
    file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
    return file


def free_port() -> int:
    """A TCP port nobody listens on now, from outside the range of outgoing connections."""
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    raise OSError(f"no free port found in {_PORTS.start}..{_PORTS.stop - 1}")
