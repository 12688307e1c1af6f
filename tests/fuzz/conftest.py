"""Worlds to throw bad input at: two small stages over a broker in memory."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.unit.bus.toys import Clock, Pair, pair_in


@contextmanager
def _pair() -> Iterator[Pair]:
    shm = Path("/dev/shm")  # noqa: S108 (in a folder of its own)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-", dir=shm if shm.is_dir() else None))
    try:
        with pair_in(folder, Clock()) as made:
            yield made
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def pairs() -> Callable[[], AbstractContextManager[Pair]]:
    """Makes pairs of nodes: each example of a test has its own."""
    return _pair
