"""Certificates of the way to the broker: how long they are good for, and new ones taken up without a restart."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from bus.clock import ahead
from bus.protocols import Clock, Observer
from bus.transport import Tls, TlsError
from bus.transport.tls import CertificateName

EXPIRING = timedelta(days=30)
"""What is left when it is first told of; authorities and people take days."""
TELL_EVERY = timedelta(days=1)


class Certificates:
    """Looked at from the watchdog's thread (`look`)."""

    def __init__(self, tls: Tls, observer: Observer, clock: Clock, reconnect: Callable[[], None]) -> None:
        """`reconnect` has all clients made anew, which read the files.

        Raises:
            TlsError: a file can't be used.
        """
        self._tls = tls
        self._observer = observer
        self._clock = clock
        self._reconnect = reconnect
        self._used = self._seen = tls.stamp()
        self._expiry = tls.expiry()
        self._tell_at = clock.now()

    def look(self) -> Mapping[CertificateName, datetime]:
        """Take up new files, and say until when each certificate in use is good.

        Raises:
            RetriableError: the new files can't be used after all; the next look tries again.
        """
        stamp = self._tls.stamp()
        if stamp != self._seen:
            self._seen = stamp  # perhaps only one of two is written yet; the next look knows
        elif stamp != self._used:
            self._take_up()
            self._used = stamp
        self._tell()
        return self._expiry

    def _take_up(self) -> None:
        try:
            expiry = self._tls.expiry()
        except TlsError as error:
            self._observer.alarm("certificate_unusable", f"{error}; the one before stays in use")
            return
        self._reconnect()
        self._expiry = expiry
        self._tell_at = self._clock.now()
        self._observer.alarm("certificate_renewed", ", ".join(map(_until, expiry.items())))

    def _tell(self) -> None:
        now = self._clock.now()
        soonest = min(self._expiry.items(), key=lambda item: item[1])
        if soonest[1] - now < EXPIRING and not ahead(self._tell_at, now, TELL_EVERY):
            self._tell_at = now + TELL_EVERY
            self._observer.alarm(
                "certificate_expiring", f"{_until(soonest)}, {days_left(soonest[1], now)} days"
            )


def days_left(until: datetime, now: datetime) -> int:
    """Whole days; below 0, it is too late."""
    return (until - now).days


def _until(item: tuple[CertificateName, datetime]) -> str:
    (file, subject), until = item
    return f"{file} {subject}: until {until:%Y-%m-%d %H:%M} UTC"
