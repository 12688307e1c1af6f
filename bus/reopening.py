"""Law 11, waiting: a restored ledger decides nothing until its counterparts have said what they hold of it."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from bus.answering import Answering
from bus.books import Books, CaseKey, HeldRow
from bus.clock import ahead
from bus.holding import ADOPTED, RESTORED
from bus.incarnation import SETTLE
from bus.protocols import Clock, Observer

TOLD_EVERY = timedelta(minutes=1)
"""How often it is said which receivers are waited for."""


class Reopening:
    """Owned by the writer, who asks at each step."""

    def __init__(self, books: Books, answering: Answering, observer: Observer, clock: Clock) -> None:
        self._books = books
        self._answering = answering
        self._observer = observer
        self._settled_at: datetime | None = None
        """While restoring: the earliest end."""
        self._told_at = clock.now() + TOLD_EVERY
        self._waited = True
        """Whether cases may be held that waited for the end of a restore."""

    def agreed(self, now: datetime) -> bool:
        """Open lanes anew, again and again; whether that came to its end just now, and has to be written down."""
        books = self._books
        said = (books.opening or books.restoring) and self._answering.open(now)
        if not books.restoring:
            return False
        self._waited = True
        if self._settled_at is None:
            if not said:
                return False
            self._settled_at = now + SETTLE
        missing = [name for name in sorted(books.opening) if books.lanes[True, name].opening == RESTORED]
        if now < self._settled_at or missing:
            self._tell_of_wait(missing, now)
            return False
        if books.opening:
            self._observer.alarm("restore_ended_early", "not agreed: " + ", ".join(sorted(books.opening)))
        return True

    def _tell_of_wait(self, lanes: Sequence[str], now: datetime) -> None:
        """Nothing is decided until these receivers answer, or a person ends the wait."""
        if lanes and not ahead(self._told_at, now, TOLD_EVERY):
            self._told_at = now + TOLD_EVERY
            detail = f"no answer on {', '.join(lanes)}; is its node there? If it never will be: kuayu ledger abandon"
            self._observer.alarm("restore_waits", detail)

    def may_go_on(self) -> list[CaseKey]:
        """Cases that were held until now because something was not known again; each is named once."""
        if self._books.restoring or not self._waited:
            return []
        self._waited, self._settled_at = False, None
        return [key for key, rows in self._books.held.items() if any(map(_given_up, rows))]

    def look_again(self) -> None:
        """One of them could not be let go on: they are named once more."""
        self._waited = True


def _given_up(row: HeldRow) -> bool:
    """Whether a held row waited for the end of a restore."""
    return row.awaits == RESTORED or row.code == ADOPTED
