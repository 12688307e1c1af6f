"""Thousands of bad inputs leave nothing behind: no memory that grows with them, no open file."""

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from bus.receiving import Reader
from bus.transport import Outbound, Record
from jurisdictions import lint, read_yaml
from producers.feeds import FeedError
from schemas import Codec, CodecError, load_schemas
from tests.fuzz import test_feeds
from tests.fuzz.records import NAMES
from tests.unit.bus.toys import Pair, Topology

ROUND = 250
"""Bad inputs of one round."""
AT_MOST = 100
"""Bytes that one bad input may leave on average; what is kept of each would be more."""


def kept(act: Callable[[int], object], rounds: int = 3) -> float:
    """Bytes that an act leaves behind each time, after caches had two rounds to fill; the least of some rounds.

    A leak leaves its bytes in every round; a cache that grows, or a table that is made larger, only in some.
    """
    number = 0
    least = float("inf")
    tracemalloc.start()
    try:
        before = 0
        for turn in range(rounds + 2):
            for _ in range(ROUND):
                act(number)
                number += 1
            gc.collect()
            now = tracemalloc.get_traced_memory()[0]
            if turn >= 2:
                least = min(least, (now - before) / ROUND)
            before = now
    finally:
        tracemalloc.stop()
    return least


def handles() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_the_measure_sees_a_leak() -> None:
    leaked: list[bytes] = []
    assert kept(lambda number: leaked.append(b"%d" % number * 50)) > AT_MOST
    assert kept(lambda number: b"%d" % number * 50) < AT_MOST


def test_garbage_leaves_nothing_in_the_reader() -> None:
    reader = Reader({"1/ask", "2/answer"}, Codec(load_schemas()), Topology(), {})
    chance = Random(1)

    def read(number: int) -> None:
        headers = [(name, f"{number}-{chance.random()}".encode() * 5) for name in NAMES]
        reader.read(Record("kuayu.answer.2", 0, number, 0, b"key", chance.randbytes(50), headers))

    assert kept(read) < AT_MOST


def test_garbage_leaves_nothing_in_the_codec() -> None:
    schemas = load_schemas()
    codec = Codec(schemas)
    chance = Random(1)
    known = [schema.id.to_bytes(4, "big") for schema in schemas]

    def decode(_number: int) -> None:
        with suppress(CodecError):
            codec.decode(b"\0" + chance.choice(known) + chance.randbytes(60), None)

    assert kept(decode) < AT_MOST


def test_garbage_leaves_only_its_samples_in_an_engine(
    pairs: Callable[[], AbstractContextManager[Pair]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger keeps the first samples and then counts; the broker and the watcher of this test are emptied."""
    monkeypatch.setattr("bus.receiving.QUARANTINE_KEPT", 100)
    with pairs() as pair:
        chance = Random(1)

        def litter(number: int) -> None:
            headers = [(name, b"%d" % number) for name in NAMES]
            sent = Outbound("kuayu.answer.2", 0, b"key", chance.randbytes(200), headers)
            pair.broker.write(sent, lambda _error: None)
            pair.answer.step()
            pair.broker.delete_records("kuayu.answer.2", 0, number)
            pair.answer.observed.outcomes.clear()
            pair.answer.observed.alarms.clear()

        before = handles()
        assert kept(litter) < AT_MOST
        assert handles() <= before + 3


def test_broken_files_leave_no_handle(tmp_path: Path) -> None:
    chance = Random(1)
    names: Sequence[str] = list(test_feeds.WHOLE)

    def read(number: int) -> None:
        name = names[number % len(names)]
        content = bytearray(test_feeds.WHOLE[name])
        content[chance.randrange(len(content))] = chance.randrange(256)
        path = tmp_path / name
        path.write_bytes(bytes(content))
        with suppress(FeedError):
            test_feeds.read(path)

    before = handles()
    gc.disable()  # what is closed only by the collector would be seen
    try:
        for number in range(ROUND):
            read(number)
        assert handles() == before
    finally:
        gc.enable()
    assert kept(read) < AT_MOST


def test_broken_yaml_leaves_nothing(tmp_path: Path) -> None:
    wrong: Sequence[Any] = ("[" * 60, "a: *a", "a: !!int b", "? [a]", "{a: 1, a: 2}", "\0", "a: [", "- " * 60)

    def read(number: int) -> None:
        with suppress(yaml.YAMLError):
            read_yaml(f"k{number}: 1\n{wrong[number % len(wrong)]}")

    assert kept(read) < AT_MOST
    before = handles()
    for _ in range(20):
        assert lint(tmp_path)
    assert handles() == before
