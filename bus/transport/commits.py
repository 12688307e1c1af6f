"""Positions on their way to the broker, where nobody but lag tools reads them: the newest, and not often."""

import time
from collections.abc import Mapping

from bus.transport.base import TopicPartition

INTERVAL = 1.0
"""Seconds between two commits; one for every batch costs more than it shows."""


class LazyCommits:
    """Keeps the newest position of each partition until it is time to show them."""

    def __init__(self) -> None:
        self._waiting: dict[TopicPartition, int] = {}
        self._not_before = 0.0

    def put(self, positions: Mapping[TopicPartition, int]) -> None:
        self._waiting.update(positions)

    def due(self) -> dict[TopicPartition, int]:
        """What is to be committed now; empty while nothing waits or the last commit is too fresh."""
        if not self._waiting or time.monotonic() < self._not_before:
            return {}
        self._not_before = time.monotonic() + INTERVAL
        return self.rest()

    def rest(self) -> dict[TopicPartition, int]:
        """Everything that waits, however fresh the last commit."""
        waiting, self._waiting = self._waiting, {}
        return waiting
