"""Ledgers and senders that fail when they are told to: before, within and after a commit or a send."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from bus.ledger import Entry, Head, Ledger
from bus.transport import MemoryBroker, MemoryTransport, Outbound, PermanentError
from bus.transport.base import Done
from bus.transport.memory import MemoryProducer
from tests.unit.bus.toys import Node

CommitFault = Literal["fail", "crash_before", "crash_inside", "crash_after", "answer_lost", "taken_over"]
SendFault = Literal["well", "crash_before", "crash_after", "refuse_for_good"]


class Crashed(BaseException):
    """The process is gone at this very point; nobody in it can catch that."""


def away() -> OperationalError:
    return OperationalError("statement", {}, Exception("the database is away"))


class FaultyLedger(Ledger):
    """A ledger whose next commits and reads go wrong as `commits` and `read_fails_in` say."""

    def __init__(self, url: str) -> None:
        super().__init__(url, synchronous="OFF")
        self.commits: list[CommitFault] = []
        self.read_fails_in: int | None = None
        """So many reads still go well; the one after them fails."""
        self.answer_lost = False
        """Whether a commit was written although it seemed to fail: the next one will find the head moved."""
        self.take_over: Callable[[], object] = lambda: None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if self.read_fails_in is not None:
            self.read_fails_in -= 1
            if self.read_fails_in < 0:
                self.read_fails_in = None
                raise away()
        with super().read() as connection:
            yield connection

    def commit(
        self,
        old: Head,
        entries: Sequence[Entry],
        lanes: Mapping[tuple[bool, str], int],
        committed_at: datetime,
        write: Callable[[Connection], None],
    ) -> Head:
        fault = self.commits.pop(0) if self.commits else None

        def written(connection: Connection) -> None:
            write(connection)
            if fault == "crash_inside":
                raise Crashed

        if fault == "fail":
            raise away()
        if fault == "crash_before":
            raise Crashed
        if fault == "taken_over":
            self.take_over()
        new = super().commit(old, entries, lanes, committed_at, written)
        if fault == "crash_after":
            raise Crashed
        if fault == "answer_lost":
            self.answer_lost = True
            raise away()
        return new


class FaultyProducer(MemoryProducer):
    def __init__(self, broker: MemoryBroker, sends: list[SendFault]) -> None:
        super().__init__(broker)
        self._sends = sends

    def send(self, record: Outbound, done: Done) -> None:
        fault = self._sends.pop(0) if self._sends else None
        if fault == "crash_before":
            raise Crashed
        if fault == "refuse_for_good":
            raise PermanentError("the record is refused")
        super().send(record, done)
        if fault == "crash_after":
            raise Crashed


class FaultyTransport(MemoryTransport):
    def __init__(self, broker: MemoryBroker, sends: list[SendFault]) -> None:
        super().__init__(broker)
        self._sends = sends

    def producer(self, client: str) -> MemoryProducer:  # noqa: ARG002 (the broker in memory keeps no client names)
        self.broker.check()
        return FaultyProducer(self.broker, self._sends)


class FaultyNode(Node):
    """A node whose ledger and producer can be told to fail."""

    faulty: FaultyLedger
    sends: list[SendFault]

    def reach_ledger(self) -> Ledger:
        self.faulty = FaultyLedger(self.url)
        return self.faulty

    def reach_broker(self) -> MemoryTransport:
        self.sends = []
        return FaultyTransport(self.broker, self.sends)
