"""Fixtures of the bus's tests: two small stages (see `toys`) and what they may be told to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.bus.toys import Clock, Decided, Pair, Send, Wake, pair_in


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
    with pair_in(tmp_path, clock) as made:
        yield made
        for node in made.nodes:
            assert node.problems() == []
