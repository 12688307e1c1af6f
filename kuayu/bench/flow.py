"""The whole flow: three processes, three ledgers, one broker; rate, latency, cost and the proof that nothing was lost."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bus.transport import open_transport
from jurisdictions import Stage, load_directory
from kuayu.bench.load import ACCEPTANCE, PICKUP, REVIEW
from kuayu.bench.worker import PATIENCE, Audit, Job, Usage, work
from kuayu.broker import LocalBroker
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue

WINDOW = 4_000
"""Cases under way at a time when the most is asked for."""
PLACES = ((Stage.ACCEPTANCE, ACCEPTANCE), (Stage.REVIEW, REVIEW), (Stage.PICKUP, PICKUP))


class BenchError(Exception):
    """Cases were lost or doubled, or a ledger is not sound: figures would mean nothing."""


class Percentiles(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float


class Process(NamedTuple):
    """What one process used for each case at the highest rate, and its memory after it."""

    cpu_us: float
    threads_us: dict[str, float]
    rss_mb: float


class Flow(NamedTuple):
    cases: int
    cases_per_s: float
    python_us_per_case: float
    """CPU of the three processes' Python threads for each case, microseconds."""
    cpu_us_per_case: float
    """CPU of the three processes and the broker for each case."""
    broker_us_per_case: float
    offered_per_s: float
    """The rate at which latency was measured."""
    answered_ms: Percentiles
    """Arrival to durable at acceptance."""
    review_ms: Percentiles
    """Arrival to visible in the review's work list."""
    latency_ms: Percentiles
    """Arrival to delivered, told back to acceptance."""
    ledger_bytes_per_case: float
    topic_bytes_per_case: float
    processes: dict[str, Process]
    broker_rss_mb: float


class _Remote:
    """A worker, asked over its pipe."""

    def __init__(self, job: Job) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(job, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.stage = job.stage

    def ask(self, name: str, *arguments: Any) -> None:
        self._pipe.send((name, arguments))

    def answer(self) -> Any:
        if not self._pipe.poll(2 * PATIENCE):
            raise TimeoutError(f"{self.stage}: no answer")
        try:
            answer, error = self._pipe.recv()
        except EOFError:
            raise BenchError(f"the process of {self.stage} ended") from None
        if error:
            raise BenchError(f"{self.stage}: {error}")
        return answer

    def call(self, name: str, *arguments: Any) -> Any:
        self.ask(name, *arguments)
        return self.answer()

    def end(self) -> None:
        self._pipe.close()
        self._process.join(10)
        self._process.kill()
        self._process.join()


@contextmanager
def _workers(driver: str, broker: LocalBroker, folder: Path) -> Iterator[list[_Remote]]:
    with ExitStack() as stack:
        workers = []
        for stage, code in PLACES:
            job = Job(stage.value, code, driver, broker.bootstrap, folder / f"{code}-{stage}.db")
            workers.append(_Remote(job))
            stack.callback(workers[-1].end)
        for worker in workers:
            worker.answer()  # ready
        yield workers


def measure(driver: str, broker: LocalBroker, folder: Path, cases: int, *, warm_up: int = 500) -> Flow:
    """Run so many cases as fast as they go, and as many again at half that rate.

    Raises:
        BenchError: a case was lost or doubled, or a ledger is not sound.
        TimeoutError: a run did not end.
    """
    transport = open_transport(driver, broker.bootstrap)
    topology = DirectoryTopology(load_directory(), load_catalogue())
    transport.ensure_topics(topology.topics(frozenset(code for _, code in PLACES)))
    transport.close()
    broker_process = psutil.Process(broker.pid)
    before = _topic_bytes(broker)
    with _workers(driver, broker, folder) as workers:
        _run(workers, "closed", warm_up, WINDOW)
        used, broker_used = _ask_all(workers, "usage"), _cpu(broker_process)
        started, _, settled = _run(workers, "closed", cases, WINDOW)
        rate = cases / (settled - started)
        usages, broker_cpu = _ask_all(workers, "usage"), _cpu(broker_process) - broker_used
        processes = {
            worker.stage: _process(old, new, cases)
            for worker, old, new in zip(workers, used, usages, strict=True)
        }
        arrived, noted, _ = _run(workers, "open", cases, rate / 2, 1)
        broker_rss = broker_process.memory_info().rss / 1e6
        audits = _ask_all(workers, "audit")
    total = warm_up + 2 * cases
    check(audits, total)
    broker_us = broker_cpu / cases * 1e6
    return Flow(
        cases=cases,
        cases_per_s=rate,
        python_us_per_case=sum(
            us for each in processes.values() for name, us in each.threads_us.items() if name != "native"
        ),
        cpu_us_per_case=sum(each.cpu_us for each in processes.values()) + broker_us,
        broker_us_per_case=broker_us,
        offered_per_s=rate / 2,
        answered_ms=percentiles(arrived, noted[0][0]),
        review_ms=percentiles(arrived, noted[1][0]),
        latency_ms=percentiles(arrived, noted[0][1]),
        ledger_bytes_per_case=sum(audit.bytes for audit in audits) / total,
        topic_bytes_per_case=(_topic_bytes(broker) - before) / total,
        processes=processes,
        broker_rss_mb=broker_rss,
    )


def _run(workers: Sequence[_Remote], how: str, *arguments: Any) -> tuple[Any, list[Any], float]:
    """One run at acceptance, until every hand-over is receipted: its answer, what all noted, and when it was settled."""
    _ask_all(workers, "begin")
    answer = workers[0].call(how, *arguments)
    until = time.monotonic() + PATIENCE
    while not all(_ask_all(workers, "settled")):
        if time.monotonic() > until:
            raise TimeoutError("hand-overs are still open")
        time.sleep(0.02)
    settled = time.time()
    return answer, _ask_all(workers, "noted"), settled


def _ask_all(workers: Iterable[_Remote], name: str) -> list[Any]:
    workers = list(workers)
    for worker in workers:
        worker.ask(name)
    return [worker.answer() for worker in workers]


def _process(old: Usage, new: Usage, cases: int) -> Process:
    threads = {
        name: (seconds - old.threads.get(name, 0.0)) / cases * 1e6 for name, seconds in new.threads.items()
    }
    return Process((new.cpu - old.cpu) / cases * 1e6, threads, new.rss / 1e6)


def percentiles(begun: dict[str, float], done: dict[str, float]) -> Percentiles:
    """Of the spans from `begun` to `done` (seconds), by case."""
    spans = sorted((done[case] - at) * 1e3 for case, at in begun.items())
    return Percentiles(spans[len(spans) // 2], spans[len(spans) * 99 // 100])


def check(audits: Sequence[Audit], expected: int) -> None:
    """Compare what the three ledgers say, in the order of `PLACES`, with the number of cases handed in.

    Raises:
        BenchError: a case was lost or doubled, or a ledger is not sound.
    """
    for (stage, code), audit in zip(PLACES, audits, strict=True):
        wrong = [f"{code}/{stage}: {problem}" for problem in audit.problems[:5]]
        if audit.delivered != expected or audit.cases != expected:
            wrong.append(
                f"{code}/{stage}: {expected} cases handed in, {audit.delivered} delivered, {audit.cases} known"
            )
        if audit.doubled:
            wrong.append(f"{code}/{stage}: {audit.doubled} cases in which something took effect twice")
        if wrong:
            raise BenchError("; ".join(wrong))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _topic_bytes(broker: LocalBroker) -> int:
    segments = (broker.directory / "data").glob("kuayu.*/*.log")
    return sum(segment.stat().st_size for segment in segments)
