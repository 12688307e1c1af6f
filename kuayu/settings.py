"""What a node is told by its environment (KUAYU_…); every value is checked when the program starts."""

import ipaddress
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, HttpUrl, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

if TYPE_CHECKING:
    from bus.transport import Tls

MAX_PORT = 65_535
_ADDRESS = re.compile(r"(?:[^\s,:\[\]]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")  # IPv6 in brackets (RFC 3986, 3.2.2)


class BadSetting(ValueError):
    """A setting can't be used; one line that names it and says what would be right."""


class Settings(BaseSettings):
    """Defaults suit one machine; a member's installation sets the ledger, the broker and the keys."""

    model_config = SettingsConfigDict(env_prefix="KUAYU_", frozen=True)

    bootstrap_servers: str = "127.0.0.1:9092"
    """The Kafka brokers, host:port with commas between."""
    driver: Literal["kafka-python", "confluent"] = "kafka-python"
    """kafka-python needs nothing beyond pip; confluent (an extra) is several times faster."""
    tls_ca: Path | None = None
    """PEM file of who may vouch for the brokers; with it, they are spoken to by TLS."""
    tls_certificate: Path | None = None
    """PEM file of our own certificate, where the brokers ask for one (mutual TLS)."""
    tls_key: Path | None = None
    """PEM file of its key, not encrypted."""
    data: Path = Path("var")
    """Folder of the ledger (unless `ledger` says otherwise) and the keys."""
    ledger: str = ""
    """SQLAlchemy URL; empty: SQLite in the data folder, the safest that needs no server."""
    synchronous: Literal["FULL", "NORMAL"] = "FULL"
    """SQLite's durability; NORMAL may lose the last commits at a power cut, and is for labelled benchmarks."""
    http: str = "127.0.0.1:8080"
    """Where pages and API listen, host:port."""
    keys: Path | None = None
    """YAML file of hashed API keys; without one nobody may do more than look at what is public."""
    peers: dict[str, HttpUrl] = Field(default_factory=dict)
    """Other nodes by jurisdiction code (JSON), where schemas not known here are fetched."""
    directory: Path | None = None
    """Folder with the directory's data files; empty: those that come with the program."""
    allow_remote_broker: bool = False
    """Events are not sealed yet, so a broker beyond this machine needs an explicit word."""

    @classmethod
    def load(cls, **given: str) -> Self:
        """What the environment says, and what is given instead.

        Raises:
            BadSetting: a value that can't be used.
        """
        try:
            return cls(**given)  # type: ignore[arg-type]  # texts, as from the environment
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = "_".join(str(part) for part in first["loc"]).upper()
            raise BadSetting(f"KUAYU_{name}: {first['msg'].removeprefix('Value error, ')}") from error
        except SettingsError as error:  # the one setting that is more than a text
            raise BadSetting('KUAYU_PEERS: not JSON like {"430100": "http://127.0.0.1:8101"}') from error

    @field_validator("http")
    @classmethod
    def _listens(cls, value: str) -> str:
        if not _ADDRESS.fullmatch(value) or int(value.rpartition(":")[2]) > MAX_PORT:
            raise ValueError("host:port would be right, for example 127.0.0.1:8080")
        return value

    @field_validator("bootstrap_servers")
    @classmethod
    def _brokers(cls, value: str) -> str:
        for address in value.split(","):
            if not _ADDRESS.fullmatch(address.strip()) or int(address.rpartition(":")[2]) > MAX_PORT:
                raise ValueError("host:port would be right, with commas between, for example 127.0.0.1:9092")
        return value

    @cached_property
    def http_host(self) -> str:
        return self.http.rpartition(":")[0].strip("[]")

    @cached_property
    def http_port(self) -> int:
        return int(self.http.rpartition(":")[2])

    def ledger_url(self, name: str) -> str:
        """The ledger's URL; `name` tells ledgers in one data folder apart."""
        return self.ledger or f"sqlite:///{self.data / name}.db"

    @cached_property
    def tls(self) -> "Tls | None":
        """TLS to the brokers, its files looked through; None: plain text.

        Raises:
            BadSetting: a file can't be used, or one is missing beside another.
        """
        if self.tls_ca is None:
            for name, file in (("CERTIFICATE", self.tls_certificate), ("KEY", self.tls_key)):
                if file is not None:
                    raise BadSetting(
                        f"KUAYU_TLS_CA: is needed beside KUAYU_TLS_{name}: who vouches for the brokers?"
                    )
            return None
        if (self.tls_certificate is None) is not (self.tls_key is None):
            given, missing = (
                ("KEY", "CERTIFICATE") if self.tls_certificate is None else ("CERTIFICATE", "KEY")
            )
            raise BadSetting(f"KUAYU_TLS_{missing}: is needed beside KUAYU_TLS_{given}")
        from bus.transport import Tls, TlsError  # noqa: PLC0415 - the bus is large, and most commands read no broker

        tls = Tls(self.tls_ca, self.tls_certificate, self.tls_key)
        try:
            tls.expiry()
        except TlsError as error:
            raise BadSetting(f"KUAYU_{error}") from error
        return tls

    def check_broker(self) -> None:
        """Refuse brokers that are not on this machine, unless told otherwise.

        Raises:
            ValueError: names the address and the setting.
        """
        if self.allow_remote_broker:
            return
        for address in self.bootstrap_servers.split(","):
            host = address.strip().rpartition(":")[0].strip("[]")
            if host != "localhost" and not _is_loopback(host):
                raise ValueError(
                    f"KUAYU_BOOTSTRAP_SERVERS: {address.strip()} is not on this machine, and events are not sealed "
                    "yet; set KUAYU_ALLOW_REMOTE_BROKER=1 if the network between is trusted"
                )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
