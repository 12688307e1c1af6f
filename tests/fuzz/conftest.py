"""Worlds to throw bad input at: two small stages over a broker in memory."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bus.transport import MemoryBroker, MemoryTransport, TopicSpec
from tests.unit.bus.toys import Clock, Node, Pair, Stage, Topology


@contextmanager
def _pair() -> Iterator[Pair]:
    shm = Path("/dev/shm")  # noqa: S108 (in a folder of its own)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=shm if shm.is_dir() else None))
    broker, clock = MemoryBroker(), Clock()
    topics = [TopicSpec(name, partitions, {}) for name, partitions in Topology.topics.items()]
    MemoryTransport(broker).ensure_topics(topics)
    ask = Node(folder, broker, Stage("ask", "1", ("answer", "2")), clock)
    answer = Node(folder, broker, Stage("answer", "2", ("ask", "1")), clock)
    try:
        yield Pair(broker, clock, ask, answer, folder)
    finally:
        ask.kill()
        answer.kill()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def pairs() -> Callable[[], AbstractContextManager[Pair]]:
    """Makes pairs of nodes: each example of a test has its own."""
    return _pair
