"""What the libraries alone take for one case, with no line of ours between them: what no rewriting of our Python could save.

The rows are those of the ledgers that the flow has just filled, made ready before anything is timed. Nothing is decided,
folded, projected, receipted or checked, and no thread waits for another.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import thread_time
from typing import NamedTuple

from sqlalchemy import select

from bus import Entry, Kind, Ledger
from bus.envelope import content_digest, link
from bus.ledger.entry import decode, encode
from bus.ledger.merkle import root
from bus.ledger.tables import log
from kuayu.bench import flow
from kuayu.bench.load import EVENTS
from kuayu.bench.raw import Raw
from kuayu.bench.speed import BenchError
from kuayu.process import tune
from schemas import Codec, Event, load_schemas

_RUNS = 3
_BATCH = 1_000
"""Rows of a commit, and of the Merkle tree over them."""
_COMPLETE = {Kind.OUT: EVENTS, Kind.IN: EVENTS, Kind.LOCAL: 1}
"""Rows of a case over the three ledgers: each event where it is sent and where it is taken, and the command."""
_INSERT = "INSERT INTO log VALUES (?, ?, ?, ?, ?)"

Row = tuple[int, str, int | None, int | None, bytes]
"""Of the log, in the order of its columns."""


class Floor(NamedTuple):
    """CPU, microseconds a case. Each part is measured by itself: all but the driver's in one thread and at the best of the runs."""

    driver_us: float
    """To write and to read five records, in Python's threads."""
    native_us: float
    """The same in the driver's other threads: librdkafka's."""
    codec_us: float
    """To encode and to decode five events, with every value checked."""
    hashes_us: float
    """SHA-256: content and lane link of each event at both ends, a leaf for each row, and the nodes over them."""
    packing_us: float
    """MessagePack of each row."""
    database_us: float
    """To insert the rows into the log and its indexes, to commit, and to move them from SQLite's log to its file."""

    @property
    def total_us(self) -> float:
        """All that Python's threads do."""
        return sum(self) - self.native_us

    def cases_per_s(self, cores: int, broker_us: float) -> float:
        """The rate at which so many cores do nothing but this, where the broker on them takes so much for a case."""
        return cores * 1e6 / (sum(self) + broker_us)


def measure(folder: Path, cases: int, driver: Raw) -> Floor:
    """Do for the last cases of the three ledgers in `folder` what the libraries do for them, in a process of its own.

    Args:
        folder: where `flow.measure` put the ledgers. New ones go there too, for as long as this takes.
        cases: at most so many; those of them that did not go through all stages are left out.
        driver: what was measured of the driver alone.

    Raises:
        BenchError: no case went through all stages.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        own = driver.python_us_per_case
        return Floor(own, driver.us_per_case - own, *pool.submit(_measure, folder, cases).result())


def read(folder: Path, cases: int) -> list[list[Row]]:
    """The rows of the last cases (at most so many) that went through all stages, of each ledger in the order of its log.

    Raises:
        BenchError: there is none.
    """
    paths = [flow.ledger_file(folder, stage, code) for stage, code in flow.PLACES]
    ledgers = [Ledger(f"sqlite:///{path}") for path in paths]
    try:
        since = _since(ledgers[0], cases)
        logs = [_rows(ledger, since) for ledger in ledgers]
    finally:
        for ledger in ledgers:
            ledger.close()
    kinds: dict[str, Counter[Kind]] = {}
    for _, subject, _, _, blob in (row for rows in logs for row in rows):
        kinds.setdefault(subject, Counter())[decode(blob).kind] += 1
    complete = {subject for subject, found in kinds.items() if found == _COMPLETE}
    if not complete:
        raise BenchError(f"no case in {folder} went through all stages")
    return [[row for row in rows if row[1] in complete] for rows in logs]


def _since(acceptance: Ledger, cases: int) -> str:
    """The first of the last cases. Their ids begin with the time; those of the same millisecond are in no order."""
    newest = select(log.c.subject).distinct().order_by(log.c.subject.desc()).limit(cases)
    with acceptance.read() as connection:
        return min(connection.execute(newest).scalars(), default="")


def _rows(ledger: Ledger, since: str) -> list[Row]:
    with ledger.read() as connection:
        found = connection.execute(select(log).where(log.c.subject >= since).order_by(log.c.row))
        return [tuple(row) for row in found]


def _measure(folder: Path, cases: int) -> tuple[float, float, float, float]:
    """The parts of the floor that are the same for every driver."""
    logs = read(folder, cases)
    cases = len({row[1] for rows in logs for row in rows})
    entries = [decode(row[-1]) for rows in logs for row in rows]
    events = [entry for entry in entries if entry.kind is not Kind.LOCAL]
    trees = [[row[-1] for row in batch] for rows in logs for batch in _batches(rows)]
    codec = Codec(load_schemas())
    payloads = [entry.value for entry in events if entry.kind is Kind.OUT]
    models = [codec.decode(payload) for payload in payloads]
    tune()
    with TemporaryDirectory(dir=folder) as scratch:
        runs = count()
        seconds = (
            _best(lambda: _timed(lambda: _translate(codec, models, payloads))),
            _best(lambda: _timed(lambda: _hash(events, trees))),
            _best(lambda: _timed(lambda: _pack(entries))),
            _best(lambda: _insert(Path(scratch) / str(next(runs)), logs)),
        )
    codec_us, hashes_us, packing_us, database_us = (each / cases * 1e6 for each in seconds)
    return codec_us, hashes_us, packing_us, database_us


def _best(seconds: Callable[[], float]) -> float:
    return min(seconds() for _ in range(_RUNS))


def _timed(act: Callable[[], None]) -> float:
    begun = thread_time()
    act()
    return thread_time() - begun


def _translate(codec: Codec, events: Sequence[Event], payloads: Sequence[bytes]) -> None:
    for event in events:
        codec.encode(event)
    for payload in payloads:
        codec.decode(payload)


def _hash(events: Sequence[Entry], trees: Sequence[Sequence[bytes]]) -> None:
    for event in events:
        link(
            event.lane_hash, content_digest(event.head, event.value)
        )  # any hash costs what the one before would
    for tree in trees:
        root(tree)


def _pack(entries: Sequence[Entry]) -> None:
    for entry in entries:
        encode(entry)


def _insert(folder: Path, logs: Sequence[Sequence[Row]]) -> float:
    """Seconds of CPU for each log in a new ledger that has no other table."""
    folder.mkdir()
    ledgers = [Ledger(f"sqlite:///{folder / f'{number}.db'}") for number in range(len(logs))]
    for ledger in ledgers:
        log.create(ledger.engine)
    batches = [_batches(rows) for rows in logs]
    begun = thread_time()
    for ledger, parts in zip(ledgers, batches, strict=True):
        with closing(ledger.engine.raw_connection()) as connection:
            cursor = connection.cursor()
            for part in parts:
                cursor.executemany(_INSERT, part)
                connection.commit()
        ledger.close()  # no connection is left, so SQLite moves all pages from its log to the file
    return thread_time() - begun


def _batches(rows: Sequence[Row]) -> list[Sequence[Row]]:
    return [rows[first : first + _BATCH] for first in range(0, len(rows), _BATCH)]
