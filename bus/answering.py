"""What is said to senders after a commit: receipts, requests to go back, and what was said a minute ago, again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from bus import receipts
from bus.books import Books
from bus.clock import ahead
from bus.protocols import Clock
from bus.transport import Outbound
from bus.unit import Unit
from schemas import Codec

ASK_AGAIN_AFTER = timedelta(seconds=1)
"""First pause before a sender is asked to go back again; it doubles up to a minute."""
ASK_AGAIN_AT_MOST = timedelta(minutes=1)
RESTATE_EVERY = timedelta(minutes=1)


class Teller(Protocol):
    """Who sends what is said once and in no lane: the relay."""

    def tell(self, messages: Sequence[Outbound]) -> None: ...


class Asked(NamedTuple):
    number: int
    again_at: datetime
    pause: timedelta


class Answering:
    """Owned by the writer, who calls it when everything of a unit is durable."""

    def __init__(self, books: Books, codec: Codec, relay: Teller, clock: Clock) -> None:
        self._books = books
        self._codec = codec
        self._relay = relay
        self._asked: dict[str, Asked] = {}
        self._restate_from: dict[str, int] = {}
        self._restate_at = clock.now() + RESTATE_EVERY

    def answer(self, unit: Unit, now: datetime) -> None:
        """Receipts for what was taken, and requests for what is missing: again only at doubling intervals."""
        messages: list[Outbound] = []
        for name, number in unit.receipts.items():
            self._restate_from[name] = min(number, self._restate_from.get(name, number))
        for name, number in unit.receipts.items():
            lane = self._books.lanes[False, name]
            messages += receipts.state_of(self._books, lane, number, self._codec, now)
            asked = self._asked.get(name)
            if asked and lane.number >= asked.number:
                del self._asked[name]
        for name, lane in unit.asks.items():
            asked = self._asked.get(name)
            if asked and asked.number == lane.number + 1 and ahead(asked.again_at, now, asked.pause):
                continue
            pause = min(asked.pause * 2, ASK_AGAIN_AT_MOST) if asked else ASK_AGAIN_AFTER
            self._asked[name] = Asked(lane.number + 1, now + pause, pause)
            messages.append(receipts.please_go_back(self._books, lane, self._codec, now))
        if messages:
            self._relay.tell(messages)

    def restate(self, now: datetime) -> None:
        """Say again what was said in the last minute: receipts may be lost, and are never answered."""
        if ahead(self._restate_at, now, RESTATE_EVERY):
            return
        self._restate_at = now + RESTATE_EVERY
        messages: list[Outbound] = []
        for name, number in self._restate_from.items():
            lane = self._books.lanes[False, name]
            messages += receipts.state_of(self._books, lane, number, self._codec, now)
        self._restate_from.clear()
        self._relay.tell(messages)
