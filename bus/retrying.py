"""Looks after held events by itself: when the program starts, when it is newer, and when a schema can be had.

What waits for something from outside is tried at every start. What is parked is tried once by each new version of
the program, its contracts and its directory, and then only when a person says so.
"""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import wait
from itertools import islice
from threading import Event

from bus import envelope as env
from bus.books import Books, CaseKey
from bus.errors import Busy, Unavailable
from bus.holding import ORDER_AWAITS
from bus.mending import Mending
from bus.protocols import Observer, SchemaSource
from schemas import SchemaError, Schemas, payload_id

LOOK_EVERY = 1.0
"""Seconds between looks for schemas that events wait for."""
AT_ONCE = 200
"""Cases that are handed to the writer together, so that others' acts find their place between."""
PATIENCE = 5.0
"""Seconds to wait for the writer before the cases are handed in once more."""


class Retrying:
    """One look at a time (`step`), by a thread of its own."""

    def __init__(
        self,
        books: Books,
        mending: Mending,
        schemas: Schemas,
        source: SchemaSource | None,
        observer: Observer,
        stop: Event,
    ) -> None:
        self._books = books
        self._mending = mending
        self._schemas = schemas
        self._source = source
        self._observer = observer
        self._stop = stop
        self._at_start = deque(key for key in books.held if self._wants_a_try(key))

    @property
    def left(self) -> int:
        """Cases that are still to be tried since the start."""
        return len(self._at_start)

    def _wants_a_try(self, key: CaseKey) -> bool:
        first = self._books.held[key][0]
        from_outside = first.status == "waiting" and not first.awaits.startswith(ORDER_AWAITS)
        return from_outside or first.version != self._books.version

    def step(self, _timeout: float) -> bool:
        """Try some of those that want it at a start, or look for schemas once; False if there was nothing to try."""
        if self._at_start:
            keys = list(islice(self._at_start, AT_ONCE))
            if self._try(keys):
                for _ in keys:
                    self._at_start.popleft()
            else:
                self._stop.wait(LOOK_EVERY)
            return True
        self._stop.wait(LOOK_EVERY)
        self.fetch()
        return False

    def _try(self, keys: Sequence[CaseKey]) -> bool:
        """Whether the writer took them; what became of each is its own matter."""
        try:
            noted = self._mending.seen(keys)
            wait([noted], PATIENCE)
            noted.result(0)
            tried = [self._mending.release(*key) for key in keys]
        except (Busy, Unavailable, TimeoutError):
            return False
        done, late = wait(tried, PATIENCE)
        return not late and not any(isinstance(future.exception(), Unavailable) for future in done)

    def fetch(self) -> None:
        """Ask for the schemas that held events wait for (law 9)."""
        if self._source is None:
            return
        wanted: dict[bytes, tuple[int, str]] = {}
        for rows in list(self._books.held.values()):
            if rows[0].awaits.startswith("schema:"):
                digest = bytes.fromhex(rows[0].awaits.removeprefix("schema:"))
                if digest not in wanted:
                    entry = self._books.entry(rows[0].row)
                    wanted[digest] = payload_id(entry.value), env.read(entry.head).source
        for digest, (schema_id, source) in wanted.items():
            text = self._source.fetch(schema_id, digest, source)
            if text is None:
                continue
            try:
                self._schemas.add(text, digest)
            except SchemaError as wrong:
                self._observer.alarm("schema_wrong", f"{digest.hex()} from {source}: {wrong}")
                continue
            self._mending.schema_arrived(digest)
