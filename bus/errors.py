"""The bus's own errors: what a caller can tell apart."""


class BusError(Exception):
    """Something the bus could not do."""


class CommandRefused(BusError):
    """The case (or the bus) says no to an act, finally; nothing was changed."""

    def __init__(self, code: str, reason: str, field: str = "") -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason
        self.field = field


class VersionConflict(BusError):
    """The case has changed since the actor saw it."""

    def __init__(self, case: str, expected: int, found: int) -> None:
        super().__init__(f"case {case} is at version {found}, not {expected}")
        self.found = found


class KeyReused(BusError):
    """The idempotency key was used before with another request."""


class CaseHeld(BusError):
    """The case is parked or waits for something; acts upon it must wait too."""

    def __init__(self, case: str, status: str, reason: str) -> None:
        super().__init__(f"case {case} is {status}: {reason}")
        self.status = status
        self.reason = reason


class Busy(BusError):
    """The queue is full; ask again later. Nothing was taken."""

    retry_after = 1
    """Seconds."""


class Unavailable(BusError):
    """The ledger can't be written now; ask again later, with the same key: the commit may have been written."""

    retry_after = 5
    """Seconds."""


class Fenced(BusError):
    """Another process has taken this ledger over: stop at once, write nothing more."""
