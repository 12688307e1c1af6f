"""From an application to the act that opens a case: its id, its number's serial, and who is to be told of it.

A case number needs the count of the item's cases that day (GB/T 39046). The count is given out from memory and kept in
the transaction of the case itself: one upsert a commit, whatever the number of cases, and no query for a case. After a
crash it goes on from the table, which holds every serial that any committed case has; one that was given out and not
committed was never told to anybody. Serials of refused or repeated submissions are left out; no serial is used twice.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from datetime import date, datetime
from threading import Lock
from time import monotonic

import msgspec
from sqlalchemy import Connection, delete, func, select
from ulid import ULID

from bus import Change, Command, Ledger
from bus.ledger import instant, tables, upsert
from cases.commands import SubmitCase
from jurisdictions import legal_day
from producers.tables import case_serial, submission
from schemas.models import CaseSubmitted

COUNTS_KEPT = 10_000
"""Counts in memory, about. There is one for each item and day, and for each code that somebody made up."""
COUNT_IDLE = 600.0
"""Seconds without use after which a count may be forgotten: what was given out of it is long in the table, or refused."""
_ENCODER = msgspec.json.Encoder(order="deterministic")


class Submissions:
    """Makes the acts that open cases at the acceptance stage of `code`. A projection of the ledger; thread-safe."""

    def __init__(self, code: str, ledger: Ledger) -> None:
        self._code = code
        self._ledger = ledger
        self._next: OrderedDict[tuple[str, date], tuple[int, float]] = OrderedDict()
        """The next serial, and when (monotonic seconds) it was last asked for; in the order of these times."""
        self._lock = Lock()

    def command(
        self, application: CaseSubmitted, *, caller: str, key: str, acted_at: datetime, trace: str
    ) -> Command:
        """The act that opens a case for an application. The same key with the same application opens none again."""
        return Command(
            stream=f"{self._code}/acceptance",
            case=f"{self._code}-{ULID()}",
            data=SubmitCase(
                submission=application, serial=self._take(application.item_code, legal_day(acted_at))
            ),
            actor=caller,
            acted_at=acted_at,
            key=key,
            caller=caller,
            digest=digest(application),
            trace=trace,
        )

    def _take(self, item: str, day: date) -> int:
        with self._lock:
            if (item, day) in self._next:
                serial = self._next[item, day][0]
            else:
                with self._ledger.read() as connection:
                    serial = _stored(connection, item, day)
            self._keep((item, day), serial + 1)
            return serial

    def _keep(self, key: tuple[str, date], serial: int) -> None:
        now = monotonic()
        self._next[key] = (serial, now)
        self._next.move_to_end(key)
        while len(self._next) > COUNTS_KEPT and next(iter(self._next.values()))[1] < now - COUNT_IDLE:
            self._next.popitem(last=False)

    # The projection.

    def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        """Keep who handed in what, and the serials that are given out."""
        opened = [change for change in changes if type(change.message.data) is SubmitCase]
        if not opened:
            return
        upsert(connection, submission, [(change.message.case, change.message.source) for change in opened])
        upsert(connection, case_serial, self._given_out(connection, opened))

    def _given_out(self, connection: Connection, opened: Sequence[Change]) -> list[tuple[str, str, int]]:
        used: dict[tuple[str, date], int] = {}
        for change in opened:
            data: SubmitCase = change.message.data
            key = data.submission.item_code, legal_day(change.message.acted_at)
            used[key] = max(data.serial + 1, used.get(key, 0))
        with self._lock:
            for key, first_free in used.items():  # what is in memory is ahead of the table, save at a rebuild
                known = self._next[key][0] if key in self._next else _stored(connection, *key)
                self._keep(key, max(first_free, known))
            return [(item, day.isoformat(), self._next[item, day][0]) for item, day in used]

    def clear(self, connection: Connection) -> None:
        """Empty the tables before a rebuild; what is given out in memory stays given out."""
        connection.execute(delete(submission))
        connection.execute(delete(case_serial))


def digest(request: msgspec.Struct) -> bytes:
    """What a request says, whatever its spelling."""
    return hashlib.sha256(_ENCODER.encode(request)).digest()


def _stored(connection: Connection, item: str, day: date) -> int:
    table = case_serial
    found = connection.execute(select(table.c.next).where(table.c.item == item, table.c.day == day)).scalar()
    return max(found or 0, _jump(connection, day))


def _jump(connection: Connection, day: date) -> int:
    """Beyond what may have been given out and lost before a restore (law 11): a hundred a second of that day."""
    declared = connection.execute(select(func.max(tables.incarnation.c.at))).scalar()
    if declared is None or day > legal_day(instant(declared)):
        return 0
    seconds: int = declared // 1000 % 86_400
    return 100 * seconds
