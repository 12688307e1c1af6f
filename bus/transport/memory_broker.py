"""A broker in memory, for tests: partitions are lists, nothing is lost by chance, and every fault is asked for."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from threading import Condition
from typing import Literal, NamedTuple

from bus.transport.base import (
    Outbound,
    OutOfRangeError,
    Record,
    RetriableError,
    TopicPartition,
    TopicSpec,
    TransportError,
)

Fate = Literal["well", "lose_ack", "duplicate", "refuse", "hold", "hold_failed"]


class _Partition:
    """Records from `start` on; those before have expired."""

    def __init__(self) -> None:
        self.start = 0
        self.records: list[Record] = []

    @property
    def end(self) -> int:
        return self.start + len(self.records)


class _Held(NamedTuple):
    record: Outbound
    acknowledge: Callable[[], None]


class MemoryBroker:
    """The broker that several `MemoryTransport`s share. Safe for threads; deterministic when used by one.

    Faults are asked for by name, each for the next `count` records written to `topic` (None: to any), first asked
    first served: `lose_acks`, `duplicate`, `refuse`, `hold`. Others act at once: `release`, `delete_records`,
    `delete_topic`, `stop` and `start`.

    Args:
        now_ms: the clock of `Record.appended_ms`, milliseconds since 1970-01-01 UTC.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self.changed = Condition()
        self._now_ms = now_ms
        self._topics: dict[str, list[_Partition]] = {}
        self._away = False
        self._fates: deque[tuple[Fate, str | None]] = deque()
        self._held: deque[_Held] = deque()
        self._committed: dict[str, dict[TopicPartition, int]] = {}

    # Faults

    def lose_acks(self, count: int = 1, topic: str | None = None) -> None:
        """The next records are written, but their sender hears of a time-out."""
        self._ask("lose_ack", count, topic)

    def duplicate(self, count: int = 1, topic: str | None = None) -> None:
        """The next records are written twice and acknowledged once."""
        self._ask("duplicate", count, topic)

    def refuse(self, count: int = 1, topic: str | None = None) -> None:
        """The next records are not written, and their sender hears of a time-out."""
        self._ask("refuse", count, topic)

    def hold(self, count: int = 1, topic: str | None = None, *, failed: bool = False) -> None:
        """The next records are kept back until `release` and land behind whatever came between.

        Args:
            count: how many records.
            topic: only records written to it.
            failed: their sender hears of a time-out at once, and of nothing when they land.
        """
        self._ask("hold_failed" if failed else "hold", count, topic)

    def let_pass(self, count: int = 1, topic: str | None = None) -> None:
        """The next records go well; what else was asked for is for those behind them."""
        self._ask("well", count, topic)

    def behave(self) -> None:
        """Every record goes well from now on, whatever was asked for."""
        with self.changed:
            self._fates.clear()

    def release(self, count: int | None = None) -> int:
        """Write the records held back, oldest first (None: all), and return how many there were."""
        with self.changed:
            wanted = len(self._held) if count is None else min(count, len(self._held))
            for _ in range(wanted):
                held = self._held.popleft()
                if self._find(held.record.topic, held.record.partition) is not None:
                    self._append(held.record)
                held.acknowledge()
            self.changed.notify_all()
            return wanted

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Let the records before that offset expire, as retention does."""
        with self.changed:
            log = self._topics[topic][partition]
            count = min(max(before - log.start, 0), len(log.records))
            del log.records[:count]
            log.start += count

    def delete_topic(self, topic: str) -> None:
        """Forget the topic with its records; created anew it begins at offset 0."""
        with self.changed:
            del self._topics[topic]

    def stop(self) -> None:
        """Nobody reaches the broker from now on; what it has, it keeps."""
        with self.changed:
            self._away = True
            self.changed.notify_all()

    def start(self) -> None:
        with self.changed:
            self._away = False

    # What tests look at

    def records(self, topic: str, partition: int = 0) -> list[Record]:
        """What the partition holds, oldest first."""
        with self.changed:
            return list(self._topics[topic][partition].records)

    def committed(self, client: str) -> dict[TopicPartition, int]:
        """The positions that this consumer has shown to lag tools."""
        with self.changed:
            return dict(self._committed.get(client, {}))

    # What the clients call

    def check(self) -> None:
        """Raise RetriableError while the broker is away."""
        if self._away:
            raise RetriableError("memory: the broker is away")

    def topics(self) -> dict[str, int]:
        with self.changed:
            self.check()
            return {name: len(partitions) for name, partitions in self._topics.items()}

    def create(self, topics: Iterable[TopicSpec]) -> None:
        with self.changed:
            self.check()
            for spec in topics:
                self._topics.setdefault(spec.name, [_Partition() for _ in range(spec.partitions)])

    def write(self, record: Outbound, tell: Callable[[TransportError | None], None]) -> None:
        """Write the record as its fate has it; `tell` takes what the sender is to hear."""
        with self.changed:
            self.check()
            if self._find(record.topic, record.partition) is None:
                raise RetriableError(f"{record.topic}/{record.partition}: no such topic or partition")
            fate = self._fate(record.topic)
            if fate in ("hold", "hold_failed"):
                self._held.append(_Held(record, lambda: tell(None) if fate == "hold" else None))
            elif fate != "refuse":
                self._append(record)
                if fate == "duplicate":
                    self._append(record)
                self.changed.notify_all()
            if fate in ("lose_ack", "refuse", "hold_failed"):
                tell(RetriableError("memory: no acknowledgement in time"))
            elif fate != "hold":
                tell(None)

    def read(self, place: TopicPartition, offset: int | None, limit: int) -> list[Record]:
        with self.changed:
            log = self._find(*place)
            if log is None:
                return []
            begin = log.start if offset is None else offset
            if not log.start <= begin <= log.end:
                raise OutOfRangeError(place, begin, log.start, log.end)
            return log.records[begin - log.start : begin - log.start + limit]

    def end(self, place: TopicPartition) -> int:
        with self.changed:
            self.check()
            log = self._find(*place)
            if log is None:
                raise RetriableError(f"{place.topic}/{place.partition}: no such topic or partition")
            return log.end

    def commit(self, client: str, positions: Mapping[TopicPartition, int]) -> None:
        with self.changed:
            if not self._away:
                self._committed.setdefault(client, {}).update(positions)

    def _find(self, topic: str, partition: int) -> _Partition | None:
        partitions = self._topics.get(topic, ())
        return partitions[partition] if partition < len(partitions) else None

    def _append(self, record: Outbound) -> None:
        log = self._topics[record.topic][record.partition]
        log.records.append(
            Record(
                record.topic,
                record.partition,
                log.end,
                self._now_ms(),
                record.key,
                record.value,
                tuple(record.headers),
            )
        )

    def _ask(self, fate: Fate, count: int, topic: str | None) -> None:
        with self.changed:
            self._fates.extend([(fate, topic)] * count)

    def _fate(self, topic: str) -> Fate | None:
        for index, (fate, wanted) in enumerate(self._fates):
            if wanted in (None, topic):
                del self._fates[index]
                return fate
        return None
