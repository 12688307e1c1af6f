"""What is said to senders after a commit: receipts, requests to go back, and what was said a minute ago, again."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from bus import receipts
from bus.adoption import opening, returned
from bus.application import Application
from bus.books import Books, Lane, LaneKey
from bus.clock import ahead
from bus.protocols import Clock
from bus.transport import Outbound
from bus.unit import Unit

ASK_AGAIN_AFTER = timedelta(seconds=1)
"""First pause before a sender is asked to go back again; it doubles up to a minute."""
ASK_AGAIN_AT_MOST = timedelta(minutes=1)
RECEIPTS_WITHIN = timedelta(milliseconds=200)
"""At the latest so long after the first commit that they tell of. Each costs both sides and the broker as much as an
event; so under load one speaks for many commits, as TCP's acknowledgements do (RFC 1122, 4.2.3.2)."""
QUIET = 0.02
"""Seconds without work after which they are sent anyway."""
RESTATE_EVERY = timedelta(minutes=1)
OPEN_AT_ONCE = 1_000
"""Lanes; with every city of the country there may be tens of thousands."""


class Teller(Protocol):
    """Who sends what is said once and in no lane: the relay."""

    def tell(self, messages: Sequence[Outbound]) -> None: ...
    @property
    def in_memory(self) -> tuple[int, int]:
        """The second number: messages not yet sent."""


class Asked(NamedTuple):
    number: int
    again_at: datetime
    pause: timedelta


class Answering:
    """Owned by the writer, who calls it when everything of a unit is durable."""

    def __init__(self, books: Books, application: Application, relay: Teller, clock: Clock) -> None:
        self._books = books
        self._application = application
        self._codec = application.records.codec
        self._relay = relay
        self._asked: dict[str, Asked] = {}
        self._owed = {} if books.restoring else books.taken_lately()
        """Inward lanes that a receipt is owed, each from a number: a kill may have cost those of the last commits."""
        self._owed_until = clock.now()
        self._restate_from: dict[str, int] = {}
        self._restate_at = clock.now() + RESTATE_EVERY
        self._open_at = clock.now()
        self._open_pause = ASK_AGAIN_AFTER
        self._to_open: deque[LaneKey] = deque()
        """Lanes of this round that nothing was said of yet."""
        self._begun = False
        """Whether there ever was such a round."""

    def answer(self, unit: Unit, now: datetime) -> None:
        """Requests for what is missing, again only at doubling intervals; receipts for what was taken are owed."""
        messages: list[Outbound] = []
        if unit.receipts and not self._owed:
            self._owed_until = now + RECEIPTS_WITHIN
        for name, number in unit.receipts.items():
            _lower(self._owed, name, number)
            asked = self._asked.get(name)
            if asked and self._books.lanes[False, name].number >= asked.number:
                del self._asked[name]
        for name, lane in unit.asks.items():
            asked = self._asked.get(name)
            if asked and asked.number == lane.number + 1 and ahead(asked.again_at, now, asked.pause):
                continue
            pause = min(asked.pause * 2, ASK_AGAIN_AT_MOST) if asked else ASK_AGAIN_AFTER
            self._asked[name] = Asked(lane.number + 1, now + pause, pause)
            messages.append(receipts.please_go_back(self._books, lane, self._codec, now))
        for name, after in unit.given_back.items():
            messages.append(returned(self._books, self._books.lanes[False, name], after, self._codec, unit))
        again = [self._books.lanes[True, name] for name in unit.opened if name in self._books.opening]
        messages += [opening(unit, lane, self._codec) for lane in again]
        if messages:
            self._relay.tell(messages)

    @property
    def owing(self) -> bool:
        """Whether senders wait for receipts."""
        return bool(self._owed)

    def receipt(self, now: datetime, *, quiet: bool) -> bool:
        """Send the receipts that are owed, if nothing else is to be done (`quiet`) or for long enough. False if none."""
        if not self._owed or (not quiet and ahead(self._owed_until, now, RECEIPTS_WITHIN)):
            return False
        self._state(self._owed, now)
        for name, number in self._owed.items():
            _lower(self._restate_from, name, number)
        self._owed.clear()
        return True

    def open(self, now: datetime) -> bool:
        """Open lanes anew (law 11), again at doubling intervals until their receivers have answered.

        After a restore also every lane that there may be, for the backup does not know those begun after it, and
        a request to all senders for what they said since. False as long as not everything of a round was sent.
        """
        sent = self._begun and not (self._to_open or self._relay.in_memory[1])
        if not ahead(self._open_at, now, ASK_AGAIN_AT_MOST):
            self._open_at, self._open_pause = (
                now + self._open_pause,
                min(self._open_pause * 2, ASK_AGAIN_AT_MOST),
            )
            self._to_open = deque(self._all_to_open())
            self._begun = True
        if self._to_open and self._relay.in_memory[1] < OPEN_AT_ONCE:
            unit = Unit(self._books, now)
            some = [self._to_open.popleft() for _ in range(min(len(self._to_open), OPEN_AT_ONCE))]
            self._relay.tell([message for key in some if (message := self._say(key, unit))])
        return sent

    def _all_to_open(self) -> list[LaneKey]:
        books = self._books
        keys = [(True, name) for name in sorted(books.opening)]
        if books.restoring:
            handlers = books.records.handlers.values()
            names = (n for h in handlers for n in self._application.sending.lanes_from(h.stage, h.code))
            keys += [(True, name) for name in names if (True, name) not in books.lanes]
            keys += [key for key, lane in books.lanes.items() if not lane.outward]
        return keys

    def _say(self, key: LaneKey, unit: Unit) -> Outbound | None:
        books, (outward, name) = self._books, key
        lane = books.lanes.get(key)
        if not outward:
            return receipts.please_go_back(books, books.lanes[key], self._codec, unit.now)
        if lane is None:
            lane = Lane(0, True, name, books.head.incarnation)
        elif not lane.opening:
            return None  # agreed meanwhile
        return opening(unit, lane, self._codec)

    def restate(self, now: datetime) -> None:
        """Say again what was said in the last minute: receipts may be lost, and are never answered."""
        if ahead(self._restate_at, now, RESTATE_EVERY):
            return
        self._restate_at = now + RESTATE_EVERY
        self._state(self._restate_from, now)
        self._restate_from.clear()

    def _state(self, lanes: Mapping[str, int], now: datetime) -> None:
        """Tell the senders of these inward lanes how things stand, each from a number."""
        books = self._books
        self._relay.tell(
            [
                message
                for name, number in lanes.items()
                for message in receipts.state_of(books, books.lanes[False, name], number, self._codec, now)
            ]
        )


def _lower(numbers: dict[str, int], name: str, number: int) -> None:
    numbers[name] = min(number, numbers.get(name, number))
