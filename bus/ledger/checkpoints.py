"""Checkpoints of SQLite's write-ahead log, taken beside the writer instead of within its commits.

SQLite copies a log that has grown long into the file within whichever commit made it so: under load 20 to 30 ms in which
nothing is answered. Here a thread of its own copies while the owner goes on writing. It can't have the log begun anew, for
there is always something behind what it copied; so the owner's next commit copies the little that is left.
"""

import threading
from contextlib import suppress

from sqlalchemy import Connection, Engine

PAGES = 2_000
"""About so many pages of the log, and it is copied. SQLite's own limit, twice as many, holds where no thread does this."""
PAGES_A_COMMIT = 25
"""Of the smallest: the last pages of a dozen tables and their indexes."""
ROWS_A_PAGE = 4

_COPY = "PRAGMA wal_checkpoint(PASSIVE)"
"""Waits for nobody, and nobody for it."""


class Checkpoints:
    """Of one ledger's file: `step` for a thread of its own, `committed` for the owner."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pages = 0
        self._long = threading.Event()
        self._copied = False
        """Whether all but the newest is in the file."""

    def step(self, timeout: float) -> bool:
        """Copy the log once it is long; False if it is not within `timeout` seconds.

        Raises:
            sqlalchemy.exc.DBAPIError: it can't be done now.
        """
        if not self._long.wait(timeout):
            return False
        with self._engine.connect() as connection:
            connection.exec_driver_sql(_COPY)
        self._copied = True
        self._long.clear()
        return True

    def committed(self, connection: Connection, rows: int) -> None:
        """So many rows were committed by this connection, which is not within a transaction."""
        self._pages += PAGES_A_COMMIT + rows // ROWS_A_PAGE
        if self._copied:
            self._copied, self._pages = False, 0
            driver = connection.connection
            # What was committed is durable whether or not it is copied: as SQLite does, nobody is told.
            with suppress(connection.dialect.loaded_dbapi.Error):
                driver.cursor().execute(_COPY).close()
        elif self._pages >= PAGES:
            self._long.set()
