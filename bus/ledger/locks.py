"""Who has a ledger open: nodes share it, as fencing lets one take over from another; a restore needs it alone."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

KEY = 0x6B756179
"""Of PostgreSQL's advisory lock: "kuay"."""


def share(engine: Engine) -> Callable[[], None]:
    """Hold the ledger open with others; gives what lets go. The end of the process lets go too.

    Raises:
        BlockingIOError: it is being restored.
    """
    if engine.dialect.name == "sqlite":
        handle = _lock(engine, fcntl.LOCK_SH)
        return lambda: os.close(handle)
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    if not connection.execute(text("SELECT pg_try_advisory_lock_shared(:key)"), {"key": KEY}).scalar():
        connection.close()
        raise BlockingIOError("the ledger is being restored")
    return connection.invalidate  # a lock of the session: it goes with its connection


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Hold the ledger with nobody else.

    Raises:
        BlockingIOError: a node has it open.
    """
    if engine.dialect.name == "sqlite":
        handle = _lock(engine, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(handle)
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": KEY}).scalar():
            raise BlockingIOError("a node has the ledger open")
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": KEY})


def _lock(engine: Engine, how: int) -> int:
    """The file beside the ledger, never deleted: its name must mean the same to all."""
    place = engine.url.database
    handle = os.open(f"{place}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise BlockingIOError(
            "a node has the ledger open" if how == fcntl.LOCK_EX else "it is being restored"
        ) from None
    return handle
