"""A region of four nodes on a real broker under steady load and steady nonsense: memory and handles must stay flat.

    python -m tests.soak.soak --minutes 20 --out build/soak.json

Every few seconds memory, open files and threads of each node are measured, and what ledgers and broker take. In the end
the numbers must add up, every ledger must prove itself, and no node may have answered nonsense with an error of its own.
Exit code 0 if all that holds, else 1.
"""

import argparse
import asyncio
import itertools
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import psutil
from rich.console import Console

from bus.committing import CASES_CACHED, HASHES_CACHED
from jurisdictions import CHINA_TIME, load_directory
from kuayu.demo import sources, summary
from kuayu.demo.applicants import Applicants, Arrival
from kuayu.demo.book import Book
from kuayu.demo.intake import IntakeSystem
from kuayu.demo.offices import Offices
from kuayu.demo.readings import Readings, read
from kuayu.demo.region import CODES, Region
from schemas.models import SubmissionAnswered
from tests.soak.flat import Judgement, judge
from tests.soak.vandals import Vandals

MEMORY_MB: Final = 8.0
"""Growth of a node's own memory allowed in the second half, beside what its caches take in then."""
CASE_MB: Final = 0.01
"""What a cached case may take: its state, its timers, its lane's hashes."""
HASH_MB: Final = 0.0003
"""What a cached hash of an event that was sent takes."""
FILES: Final = 12.0
"""Growth of open files allowed in the second half: callers' connections, and three files for each to the ledger."""
THREADS: Final = 4.0
"""Growth of threads allowed in the second half: a pool opens one more now and then."""
SETTLE_SECONDS: Final = 60.0


class Sample(msgspec.Struct, frozen=True):
    """One measurement of one process. Memory in MB: `own` is what nobody shares (USS)."""

    at: float
    rss: float
    pss: float
    own: float
    files: int
    threads: int


class Meter:
    """Measures the nodes (children of this process) and the broker.

    Attributes:
        samples: by jurisdiction code; "broker" for the broker, where it is ours.
        ledgers: bytes of all ledgers together, at the same times.
        cases: cases that each node's stages know, at the same times.
        sent: events that each node has handed over, likewise.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._begun = time.monotonic()
        self.samples: dict[str, list[Sample]] = {}
        self.ledgers: list[tuple[float, int]] = []
        self.cases: dict[str, list[int]] = {}
        self.sent: dict[str, list[int]] = {}
        self._processes: dict[str, psutil.Process] = {}
        for child in psutil.Process().children():
            words = child.cmdline()
            if words[-2:-1] == ["node"]:
                self._processes[words[-1]] = child
            elif "kafka.Kafka" in words:
                self._processes["broker"] = child

    async def measure(self, every: float, stop: asyncio.Event) -> None:
        """Until `stop` is set, once in so many seconds."""
        while not stop.is_set():
            await asyncio.to_thread(self._look)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), every)

    def _look(self) -> None:
        at = round(time.monotonic() - self._begun, 1)
        for name, process in self._processes.items():
            memory = process.memory_full_info()
            own, shared = (round(size / 2**20, 2) for size in (memory.uss, memory.pss))
            sample = Sample(
                at, round(memory.rss / 2**20, 2), shared, own, process.num_fds(), process.num_threads()
            )
            self.samples.setdefault(name, []).append(sample)
            if name != "broker":
                cases, sent = _known(self._folder / f"{name}.db")
                self.cases.setdefault(name, []).append(cases)
                self.sent.setdefault(name, []).append(sent)
        size = sum(file.stat().st_size for file in self._folder.glob("*.db*"))
        self.ledgers.append((at, size))


def _known(file: Path) -> tuple[int, int]:
    """How many cases a ledger has, and how many events it has sent, read beside its node."""
    count = "SELECT (SELECT count(*) FROM case_state), (SELECT total(number) FROM lane WHERE outward)"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as ledger:
        cases, sent = ledger.execute(count).fetchone()
    return int(cases), int(sent)


def cached(known: Sequence[int], most: int) -> int:
    """How much came into a cache of at most so many in the second half: nothing where it was full by then."""
    middle, last = known[len(known) // 2], known[-1]
    return min(last, most) - min(middle, most)


def steady(rate: float, seed: int) -> Iterator[Arrival]:
    """Cases that show every path, `rate` arrivals a second, for ever; some of them have to be refused."""
    today = datetime.now(CHINA_TIME).date()
    arrivals = sources.simulated(load_directory(), CODES, "stress", seed, today, None)
    for number, arrival in zip(itertools.count(), arrivals, strict=False):
        yield arrival._replace(at=number / rate)


class Soak:
    """One run over a region that is up."""

    def __init__(self, region: Region, minutes: float, rate: float, seed: int) -> None:
        self._region = region
        self._seconds = minutes * 60
        self._rate = rate
        self._seed = seed
        self.book = Book()
        self.meter = Meter(region.folder)
        self.vandals = Vandals(region.nodes, seed)
        self.garbage = 0

    async def run(self) -> Readings:
        """Load and nonsense for the time asked for; then what is under way may arrive. The last reading of all nodes."""
        loop = asyncio.get_running_loop()
        stop, closing = asyncio.Event(), asyncio.Event()

        def replied(answer: SubmissionAnswered) -> None:
            loop.call_soon_threadsafe(applicants.answered, answer)

        intake = IntakeSystem(self._region.driver, self._region.bootstrap, CODES, replied)
        applicants = Applicants(self._region.nodes, self.book, intake)
        offices = Offices(self._region.nodes, self.book)
        every = min(5.0, self._seconds / 40)
        intake.start()
        try:
            async with (
                httpx.AsyncClient(timeout=20.0, trust_env=False) as client,
                asyncio.TaskGroup() as group,
            ):
                group.create_task(applicants.hand_in(steady(self._rate, self._seed), stop))
                working = group.create_task(offices.work(closing))
                group.create_task(self.vandals.rage(stop))
                group.create_task(self.meter.measure(every, stop))
                until = time.monotonic() + self._seconds
                while time.monotonic() < until:
                    for node in self._region.nodes.values():
                        node.check()
                    await applicants.withdraw_due()
                    await asyncio.sleep(1.0)
                stop.set()
                closing.set()
                await working
                readings = await self._let_arrive(client, intake)
            await applicants.close()
        finally:
            await asyncio.to_thread(intake.stop)
        self.garbage = intake.garbage
        return readings

    async def _let_arrive(self, client: httpx.AsyncClient, intake: IntakeSystem) -> Readings:
        until = time.monotonic() + SETTLE_SECONDS
        last = None
        while True:
            readings = await read(client, self._region.nodes)
            open_ones = len(self.book.awaited) + readings.total("open_handovers")
            arrived = not open_ones and readings.total("quarantined") == intake.garbage
            if (arrived and readings.tallies == last) or time.monotonic() > until:
                return readings
            last = readings.tallies
            await asyncio.sleep(0.5)

    def judgements(self) -> list[Judgement]:
        """Of each node's memory, files and threads."""
        found = []
        for name, samples in sorted(self.meter.samples.items()):
            if name == "broker":
                continue  # the JVM's heap is its own affair, and bounded
            times = [sample.at for sample in samples]
            cases = cached(self.meter.cases[name], CASES_CACHED)
            hashes = cached(self.meter.sent[name], HASHES_CACHED)
            memory = MEMORY_MB + CASE_MB * cases + HASH_MB * hashes
            found += [
                judge(f"{name} own memory, MB", times, [sample.own for sample in samples], memory),
                judge(f"{name} open files", times, [sample.files for sample in samples], FILES),
                judge(f"{name} threads", times, [sample.threads for sample in samples], THREADS),
            ]
        return found


def soak(minutes: float, rate: float, seed: int, out: Path, console: Console) -> int:
    """Run it, write the report, print the summary; 0 if everything held, else 1."""
    begun = time.monotonic()
    with Region(console.print) as region:
        run = Soak(region, minutes, rate, seed)
        readings = asyncio.run(run.run())
        seconds = time.monotonic() - begun
        region.stop_nodes()
        verdict = summary.ledgers(region.folder, CODES, run.book, readings)
    judgements = run.judgements()
    differences = [
        *run.book.failures,
        *run.vandals.failures,
        *summary.sums(readings, run.book, run.garbage),
        *verdict.differences,
        *(str(judgement) for judgement in judgements if not judgement.flat),
    ]
    report: dict[str, Any] = {
        "minutes": minutes,
        "rate": rate,
        "seed": seed,
        "cases": len(run.book.cases),
        "rows": verdict.rows,
        "ledger_bytes_a_case": round(run.meter.ledgers[-1][1] / max(1, len(run.book.cases))),
        "nonsense": run.vandals.counts,
        "garbage": run.garbage,
        "series": [{**judgement._asdict(), "flat": judgement.flat} for judgement in judgements],
        "differences": differences,
        "samples": run.meter.samples,
        "ledgers": run.meter.ledgers,
        "cases_known": run.meter.cases,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    summary.tell(console, readings, run.book, verdict._replace(differences=differences), run.garbage, seconds)
    for judgement in judgements:
        console.print(str(judgement), style=None if judgement.flat else "red", soft_wrap=True)
    console.print(
        f"nonsense answered: {dict(sorted(run.vandals.counts.items()))}; report: {out}", soft_wrap=True
    )
    return 1 if differences else 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument(
        "--rate", type=float, default=12.0, help="arrivals a second: caches are full by half of 20 minutes"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("build/soak.json"))
    given = parser.parse_args()
    return soak(given.minutes, given.rate, given.seed, given.out, Console(highlight=False))


if __name__ == "__main__":
    sys.exit(main())
