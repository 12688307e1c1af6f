"""What is said once and in no lane: receipts, requests to go back, openings, and what is given back.

None of it is logged, and each may be lost: who misses one asks, or hears it again.
"""

from collections import deque
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta

from bus.clock import ahead
from bus.protocols import Clock, Observer
from bus.transport import Outbound, Producer, TransportError

TOLD_ROWS = 10_000
"""Messages kept for a broker that is away; the oldest go first."""
LOOK_EVERY = timedelta(seconds=1)


class Telling:
    """Messages on their way to the broker, save those for topics that do not exist.

    A restored ledger tells every office that it may have spoken to (law 11). Those of the directory that never came
    have no topics, and what is sent to one costs a time-out that holds up everything behind it.
    """

    def __init__(self, topics: Callable[[], Collection[str]], observer: Observer, clock: Clock) -> None:
        """`topics` names those that the broker has; RetriableError while there is none."""
        self._topics = topics
        self._observer = observer
        self._clock = clock
        self._told: deque[Outbound] = deque(maxlen=TOLD_ROWS)
        self._there: set[str] = set()
        """Topics as the broker last named them, save those that took nothing since."""
        self._look_at = clock.now()
        self._answered = False
        """Whether it named them when it was last asked."""

    def __len__(self) -> int:
        return len(self._told)

    def tell(self, messages: Sequence[Outbound]) -> None:
        """From any thread: to be sent in this order."""
        self._told.extend(messages)

    def send(self, producer: Producer) -> bool:
        """Send all that waits, or keep it while no broker says which topics there are. False if nothing was sent."""
        worked = False
        while self._told:
            if self._told[0].topic not in self._there and not self._look():
                break
            message = self._told.popleft()
            if message.topic not in self._there:
                continue
            try:
                producer.send(message, _forget)
            except TransportError as error:
                self._observer.alarm("receipt_not_sent", str(error))
                self._there.discard(message.topic)
                break
            worked = True
        return worked

    def _look(self) -> bool:
        """Ask which topics there are, unless that was asked just now. False if the last time nobody answered."""
        now = self._clock.now()
        if not ahead(self._look_at, now, LOOK_EVERY):
            self._look_at = now + LOOK_EVERY
            try:
                self._there = set(self._topics())
                self._answered = True
            except TransportError:
                self._answered = False
        return self._answered


def _forget(_error: TransportError | None) -> None:
    """It is restated, or asked for by a probe."""
