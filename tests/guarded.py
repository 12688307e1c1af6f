"""A real broker that is reached by TLS."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from kuayu.broker import LocalBroker
from kuayu.broker._settings import HOST, free_port, ports_of
from tests.certificates import Issued


class Listener(NamedTuple):
    shown: Issued
    """The broker's certificate there."""
    trusted: Path | None = None
    """Who may vouch for clients (PEM); None: they are not asked for a certificate."""


def guarded_broker(folder: Path, listeners: Mapping[str, Listener]) -> tuple[LocalBroker, dict[str, str]]:
    """The broker, not yet started, and the addresses of its listeners by name. By its own address it speaks no TLS."""
    folder.mkdir()
    own = ports_of(folder, None)
    ports = {"PLAINTEXT": own.client, "CONTROLLER": own.controller}
    protocols = dict.fromkeys(ports, "PLAINTEXT") | dict.fromkeys(listeners, "SSL")
    ports |= {name: free_port() for name in listeners}
    listening = ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
    config = {
        "listeners": listening,
        "advertised.listeners": listening,
        "listener.security.protocol.map": ",".join(f"{name}:{how}" for name, how in protocols.items()),
    }
    for name, listener in listeners.items():
        prefix = f"listener.name.{name.lower()}.ssl"
        config[f"{prefix}.keystore.type"] = config[f"{prefix}.truststore.type"] = "PEM"
        config[f"{prefix}.keystore.location"] = str(listener.shown.store())
        if listener.trusted:
            config[f"{prefix}.truststore.location"] = str(listener.trusted)
            config[f"{prefix}.client.auth"] = "required"
    return LocalBroker(folder, config=config), {name: f"{HOST}:{ports[name]}" for name in listeners}
