"""The watchdog: notices what stops without an error, says so, and sets it going again where that is safe.

An error has somebody who hears of it; a consumer that has fallen silent, a thread that hangs in a driver, a full disk
or a clock that was set have not. What is seen here stands in `Readings`; monitoring shows it and alerts.
"""

import shutil
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from bus.certificates import Certificates
from bus.inbox import Inbox
from bus.protocols import Clock, Observer
from bus.relay import Relay
from bus.transport import TopicPartition
from bus.transport.tls import CertificateName
from bus.writer import Writer

LOOK_EVERY = 1.0
"""Seconds between two looks."""
STUCK = 10.0
"""Seconds without progress, while there is something to do and the broker answers, after which a client is replaced.

A client may never find its way by itself: for one that knows a later leader epoch, librdkafka takes no notice of a topic
that was made anew (its issue 4898), and others have been seen to ask for the deleted one for ever. To replace one too early
costs duplicates, which are dropped."""
REPAIR_AT_MOST = 600.0
"""Seconds; the pause between two repairs doubles up to this."""
HEARD = timedelta(seconds=10)
"""How long a word of the broker is good for; it is asked every 5 s."""
RESERVE_BYTES, RESERVE_SHARE = 64 << 20, 0.05
"""What is kept free on the ledger's disk, the smaller of both: below, nothing new is taken in, so that what was taken
can still be sent and receipted."""
JUMP = 2.0
"""Seconds by which the machine's clock must be set, or be from the broker's, to be told of it."""


_Name = TypeVar("_Name")


class Readings(NamedTuple):
    """What the last look saw."""

    silent: Mapping[str, float] = {}
    """For each thread of the engine, seconds since its last step that ended well."""
    relay_stuck: float = 0.0
    """Seconds since the broker acknowledged nothing of a lane that has something to send; the longest of all lanes."""
    inbox_stuck: float = 0.0
    """Seconds since nothing was taken from a partition that has something; the longest of all partitions."""
    disk_free: int | None = None
    """Bytes free where the ledger is; None where that is not on this machine."""
    disk_full: bool = False
    """Whether so little is free that nothing is taken in."""
    clock_offset: float | None = None
    """Seconds that our clock is ahead of the broker's; None before enough was heard of it."""
    certificates: Mapping[CertificateName, datetime] = {}
    """Until when each certificate that TLS to the broker uses is good; empty without TLS."""


class Watch:
    """Looks at the engine's parts from a thread of its own (`step`)."""

    def __init__(
        self,
        writer: Writer,
        relay: Relay,
        inbox: Inbox,
        observer: Observer,
        clock: Clock,
        *,
        silent: Callable[[], Mapping[str, float]],
        folder: Path | None,
        certificates: Certificates | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        disk: Callable[[Path], tuple[int, int, int]] = shutil.disk_usage,
    ) -> None:
        """`silent` gives `Readings.silent`; `folder` has the ledger; `disk` gives total, used and free bytes."""
        self._writer = writer
        self._relay = relay
        self._inbox = inbox
        self._observer = observer
        self._clock = clock
        self._silent = silent
        self._folder = folder
        self._certificates = certificates
        self._monotonic = monotonic
        self._disk = disk
        self._sent = _Progress[str]()
        self._taken = _Progress[TopicPartition]()
        self._heard_since: float | None = None
        self._set_by = self._ahead()
        self._off = False
        self.readings = Readings()

    def step(self, _timeout: float) -> bool:
        """One look."""
        now = self._monotonic()
        acknowledged = self._relay.acknowledged()
        behind = {name: acknowledged[name] for name, (rows, _) in self._relay.backlog().items() if rows}
        relay_stuck = self._sent.look(now, behind)
        # while the writer is full nothing is read: the consumer has done its part
        inbox_stuck = self._taken.look(now, {} if self._writer.full else self._inbox.behind)
        heard = self._inbox.looked_at
        if heard is None or abs(self._clock.now() - heard) > HEARD:
            self._heard_since = None
        elif self._heard_since is None:
            self._heard_since = now  # after an outage the clients are given time to come back by themselves
        elif now - self._heard_since >= STUCK:
            if self._sent.repair(now):
                self._observer.alarm("relay_stuck", f"{relay_stuck:.0f} s; a new producer is made")
                self._relay.reconnect()
            if self._taken.repair(now):
                self._observer.alarm("inbox_stuck", f"{inbox_stuck:.0f} s; a new consumer is made")
                self._inbox.reconnect()
        self._look_at_clock()
        free, full = self._look_at_disk()
        offset = self._inbox.broker_clock.offset
        certificates = self._certificates.look() if self._certificates else {}
        self.readings = Readings(self._silent(), relay_stuck, inbox_stuck, free, full, offset, certificates)
        return False

    def _look_at_clock(self) -> None:
        ahead = self._ahead()
        if abs(ahead - self._set_by) >= JUMP:
            self._observer.alarm("clock_set", f"the machine's clock was set by {ahead - self._set_by:+.1f} s")
        self._set_by = ahead
        offset = self._inbox.broker_clock.offset
        off = offset is not None and abs(offset) >= JUMP
        if off and not self._off:
            self._observer.alarm("clock_off", f"our clock is {offset:+.1f} s from the broker's")
        self._off = off

    def _ahead(self) -> float:
        """By how much the clock is ahead of one that nobody sets: it changes only when it is set."""
        return self._clock.now().timestamp() - self._monotonic()

    def _look_at_disk(self) -> tuple[int | None, bool]:
        if self._folder is None:
            return None, False
        try:
            total, _used, free = self._disk(self._folder)
        except OSError:  # the folder is gone: that is the writer's to say
            return None, False
        reserve = min(RESERVE_BYTES, int(total * RESERVE_SHARE))
        if self._writer.refuses:
            reserve += reserve // 4  # once full, room for a while, or it would flicker
        full = free < reserve
        if full and not self._writer.refuses:
            self._observer.alarm("disk_full", f"{free} bytes are free, {reserve} are kept")
        self._writer.refuses = full
        return free, full


class _Progress(Generic[_Name]):
    """Since when what has something to do makes no progress, and when it was last repaired."""

    def __init__(self) -> None:
        self._since: dict[_Name, tuple[int, float]] = {}
        self._pause = STUCK
        self._longest = 0.0
        self._repaired = float("-inf")

    def look(self, now: float, at: Mapping[_Name, int]) -> float:
        """Seconds since the one that is stuck for longest has moved; `at` says where each of the busy ones stands."""
        before = self._since
        self._since = {
            name: before[name] if name in before and before[name][0] == where else (where, now)
            for name, where in at.items()
        }
        self._longest = max((now - since for _, since in self._since.values()), default=0.0)
        if self._longest < STUCK:
            self._pause = STUCK
        return self._longest

    def repair(self, now: float) -> bool:
        """Whether it is time to repair: when it is stuck, and then at doubling intervals."""
        if self._longest < STUCK or now < self._repaired + self._pause:
            return False
        self._repaired = now
        self._pause = min(self._pause * 2, REPAIR_AT_MOST)
        return True
