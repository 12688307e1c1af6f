"""Fixtures of the bus's tests: two small stages (see `toys`) and what they may be told to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.transport import MemoryBroker, MemoryTransport, TopicSpec
from tests.unit.bus.toys import Clock, Decided, Node, Pair, Send, Stage, Topology, Wake


@pytest.fixture
def said() -> type[Decided]:
    """What a stage may be told to answer (importing between test modules is not wanted)."""
    return Decided


@pytest.fixture
def wake() -> type[Wake]:
    return Wake


@pytest.fixture
def send() -> type[Send]:
    return Send


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pair(tmp_path: Path, clock: Clock) -> Iterator[Pair]:
    broker = MemoryBroker()
    MemoryTransport(broker).ensure_topics(
        [TopicSpec(name, partitions, {}) for name, partitions in Topology.topics.items()]
    )
    ask = Node(tmp_path, broker, Stage("ask", "1", ("answer", "2")), clock)
    answer = Node(tmp_path, broker, Stage("answer", "2", ("ask", "1")), clock)
    yield Pair(broker, clock, ask, answer, tmp_path)
    try:
        assert ask.problems() == []
        assert answer.problems() == []
    finally:
        ask.kill()
        answer.kill()
