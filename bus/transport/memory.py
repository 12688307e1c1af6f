"""The transport to a broker in memory, for tests. It does what the others do, at once and without chance."""

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from bus.transport.base import (
    MAX_IN_FLIGHT_BYTES,
    MAX_IN_FLIGHT_RECORDS,
    MAX_RECORD_BYTES,
    Done,
    Outbound,
    OutOfRangeError,
    PermanentError,
    Record,
    RetriableError,
    TopicPartition,
    TopicSpec,
    TransportError,
)
from bus.transport.memory_broker import MemoryBroker
from bus.transport.topics import missing


class _Sent:
    __slots__ = ("done", "size")

    def __init__(self, done: Done, size: int) -> None:
        self.done = done
        self.size = size


class MemoryProducer:
    """Writes at once; what is heard of its records is passed on when polled, in the thread of its owner."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._open: set[_Sent] = set()
        self._heard: deque[tuple[_Sent, TransportError | None]] = deque()
        self._bytes = 0

    def send(self, record: Outbound, done: Done) -> None:
        size = len(record.key) + len(record.value or b"") + sum(len(k) + len(v) for k, v in record.headers)
        if size > MAX_RECORD_BYTES:
            raise PermanentError(
                f"{record.topic}: the record has {size} bytes; {MAX_RECORD_BYTES} would be taken"
            )
        if len(self._open) + len(self._heard) >= MAX_IN_FLIGHT_RECORDS or self._bytes >= MAX_IN_FLIGHT_BYTES:
            raise RetriableError("the buffer is full: too much is sent and not yet acknowledged")
        sent = _Sent(done, size)
        with self._broker.changed:
            self._open.add(sent)
            try:
                self._broker.write(record, lambda error: self._hear(sent, error))
            except RetriableError:
                self._open.remove(sent)
                raise
            self._bytes += size

    def poll(self, timeout: float) -> None:
        with self._broker.changed:
            self._broker.changed.wait_for(lambda: self._heard or not self._open, timeout)
        self._pass_on()

    def flush(self, timeout: float) -> bool:
        with self._broker.changed:
            complete = self._broker.changed.wait_for(lambda: not self._open, timeout)
        self._pass_on()
        return complete

    def close(self) -> None:
        with self._broker.changed:
            for sent in list(self._open):
                self._hear(sent, RetriableError("the producer was closed before the broker acknowledged"))
        self._pass_on()

    def _hear(self, sent: _Sent, error: TransportError | None) -> None:
        with self._broker.changed:
            if sent in self._open:
                self._open.remove(sent)
                self._heard.append((sent, error))
                self._broker.changed.notify_all()

    def _pass_on(self) -> None:
        while self._heard:
            sent, error = self._heard.popleft()
            self._bytes -= sent.size
            sent.done(error)


class MemoryConsumer:
    """Reads the assigned partitions in turn."""

    def __init__(self, broker: MemoryBroker, client: str) -> None:
        self._broker = broker
        self._client = client
        self._positions: dict[TopicPartition, int | None] = {}
        self._paused: set[TopicPartition] = set()

    def assign(self, positions: Mapping[TopicPartition, int | None]) -> None:
        self._positions = dict(positions)
        self._paused.clear()

    def seek(self, place: TopicPartition, offset: int) -> None:
        if place not in self._positions:
            raise ValueError(f"{place.topic}/{place.partition} is not assigned; assign it first")
        self._positions[place] = offset

    def poll(self, timeout: float, limit: int) -> Sequence[Record]:
        until = time.monotonic() + timeout
        with self._broker.changed:
            while True:
                self._broker.check()
                records = self._collect(limit)
                left = until - time.monotonic()
                if records or left <= 0:
                    return records
                self._broker.changed.wait(left)

    def _collect(self, limit: int) -> list[Record]:
        records: list[Record] = []
        for place in list(self._positions):
            if place in self._paused:
                continue
            # Who was asked goes to the end, so that a busy partition, or one out of range, starves no other.
            position = self._positions.pop(place)
            self._positions[place] = position
            try:
                found = self._broker.read(place, position, limit - len(records))
            except OutOfRangeError:
                if records:
                    break
                raise
            if found:
                records += found
                self._positions[place] = found[-1].offset + 1
            if len(records) >= limit:
                break
        return records

    def pause(self, places: Iterable[TopicPartition]) -> None:
        self._paused.update(places)

    def resume(self, places: Iterable[TopicPartition]) -> None:
        self._paused.difference_update(places)

    def ends(self, timeout: float) -> Mapping[TopicPartition, int]:  # noqa: ARG002 (nothing to wait for)
        return {place: self._broker.end(place) for place in self._positions}

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        self._broker.commit(self._client, positions)

    def close(self) -> None:
        self._positions.clear()


class MemoryTransport:
    """A way to a `MemoryBroker`: one of its own unless one is given."""

    name = "memory"

    def __init__(self, broker: MemoryBroker | None = None) -> None:
        self.broker = broker or MemoryBroker()

    def producer(self, client: str) -> MemoryProducer:  # noqa: ARG002 (the broker in memory keeps no client names)
        self.broker.check()
        return MemoryProducer(self.broker)

    def consumer(self, client: str) -> MemoryConsumer:
        self.broker.check()
        return MemoryConsumer(self.broker, client)

    def ensure_topics(self, topics: Sequence[TopicSpec]) -> Sequence[str]:
        new = missing(topics, self.broker.topics())
        self.broker.create(new)
        return [spec.name for spec in new]

    def topics(self) -> Mapping[str, int]:
        return self.broker.topics()

    def reconnect(self) -> None:
        """Nothing is held open."""

    def close(self) -> None:
        """Nothing to close: the broker goes when its last user does."""
