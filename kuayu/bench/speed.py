"""How fast three processes take cases through three stages: rate, CPU, and latency at half that rate.

The same for ours and for its peers: they are asked the same questions.
"""

import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import psutil

WINDOW = 4_000
"""Cases under way at a time when the most is asked for."""
PATIENCE = 180.0
"""Seconds after which a run that does not end is given up."""


class BenchError(Exception):
    """Cases were lost or doubled, a ledger is not sound or a process ended: figures would mean nothing."""


class Percentiles(NamedTuple):
    """Milliseconds."""

    p50: float
    p99: float


class Usage(NamedTuple):
    """CPU seconds since the process began, and memory."""

    cpu: float
    threads: dict[str, float]
    """By name; "native" is everything that Python did not start (librdkafka)."""
    rss: int
    """Bytes."""


class Process(NamedTuple):
    """What one process used for each case at the highest rate, and its memory after it."""

    cpu_us: float
    threads_us: dict[str, float]
    rss_mb: float


class Speed(NamedTuple):
    """What was measured."""

    cases: int
    """Of each round."""
    handed_in: int
    """Of all runs, those of the warm-up too."""
    cases_per_s: float
    """The median of all rounds."""
    rounds_per_s: list[float]
    python_us_per_case: float
    """CPU of the three processes' Python threads for each case, microseconds."""
    cpu_us_per_case: float
    """CPU of the three processes and the broker for each case."""
    broker_us_per_case: float
    offered_per_s: float
    """The rate at which latency was measured."""
    review_ms: Percentiles
    """Arrival to visible in the review's work list."""
    collected_ms: Percentiles
    """Arrival to handed over at the pickup."""
    latency_ms: Percentiles
    """Arrival to delivered, told back to acceptance."""
    processes: dict[str, Process]
    broker_rss_mb: float


Noted = tuple[dict[str, float], dict[str, float]]
"""When each case first came to a process and when it ended there, seconds since the epoch."""


class Remote(Protocol):
    """A process of one stage, which can be asked: begin, closed, open, settled, noted, usage.

    Answers come in the order of the questions; BenchError and TimeoutError say that there was none.
    """

    @property
    def stage(self) -> str: ...
    def ask(self, name: str, *arguments: Any) -> None: ...
    def answer(self) -> Any: ...


def measure(
    workers: Sequence[Remote],
    broker: psutil.Process,
    cases: int,
    *,
    rounds: int,
    warm_up: int,
    seconds: float,
) -> tuple[Speed, dict[str, float], list[Noted]]:
    """Run so many cases as fast as they go, `rounds` times, and as many again at half that rate.

    Args:
        workers: acceptance, review and pickup.
        broker: the broker's process.
        cases: of each round.
        rounds: at least one.
        warm_up: cases that go before, and are not measured; after them go as many as fit half of `seconds`.
        seconds: fewer cases where the second warm-up promises that a round would take longer than this.

    Returns:
        The figures; and of the run at half the rate when each case arrived, and what each process noted.

    Raises:
        BenchError: cases were lost, or a process ended.
        TimeoutError: a run did not end.
    """
    rate = warm_up / took(workers, warm_up)  # everything begins: it says little
    again = min(cases, max(warm_up, int(rate * seconds / 2)))
    rate = again / took(workers, again)
    cases = min(cases, max(warm_up, int(rate * seconds)))
    used, broker_used = usages(workers), _cpu(broker)
    rates = [cases / took(workers, cases) for _ in range(rounds)]
    processes = costs(workers, used, rounds * cases)
    broker_us = (_cpu(broker) - broker_used) / (rounds * cases) * 1e6
    rate = statistics.median(rates)
    arrived, noted, _ = run(workers, "open", cases, rate / 2, 1)
    speed = Speed(
        cases=cases,
        handed_in=warm_up + again + (rounds + 1) * cases,
        cases_per_s=rate,
        rounds_per_s=rates,
        python_us_per_case=python_us(processes),
        cpu_us_per_case=sum(each.cpu_us for each in processes.values()) + broker_us,
        broker_us_per_case=broker_us,
        offered_per_s=rate / 2,
        review_ms=percentiles(arrived, noted[1][0]),
        collected_ms=percentiles(arrived, noted[2][1]),
        latency_ms=percentiles(arrived, noted[0][1]),
        processes=processes,
        broker_rss_mb=broker.memory_info().rss / 1e6,
    )
    return speed, arrived, noted


def took(workers: Sequence[Remote], cases: int) -> float:
    """Seconds that so many cases take as fast as they go, until all hand-overs are settled."""
    started, noted, settled = run(workers, "closed", cases, WINDOW)
    if lost := cases - len(noted[0][1]):
        raise BenchError(f"{lost} of {cases} cases were lost")
    return float(settled - started)


def run(workers: Sequence[Remote], how: str, *arguments: Any) -> tuple[Any, list[Noted], float]:
    """One run at acceptance, until every process has settled: its answer, what all noted, and when that was."""
    ask_all(workers, "begin")
    workers[0].ask(how, *arguments)
    answer = workers[0].answer()
    until = time.monotonic() + PATIENCE
    while not all(ask_all(workers, "settled")):
        if time.monotonic() > until:
            raise TimeoutError("hand-overs are still open")
        time.sleep(0.02)
    settled = time.time()
    return answer, ask_all(workers, "noted"), settled


def ask_all(workers: Iterable[Remote], name: str) -> list[Any]:
    """Ask all of them, then wait for each."""
    workers = list(workers)
    for worker in workers:
        worker.ask(name)
    return [worker.answer() for worker in workers]


def usages(workers: Iterable[Remote]) -> list[Usage]:
    """What each process has used so far."""
    return [Usage(*answer) for answer in ask_all(workers, "usage")]


def costs(workers: Sequence[Remote], before: Sequence[Usage], cases: int) -> dict[str, Process]:
    """By stage, what each process has used for each of so many cases since `before`."""
    found = {}
    for worker, old, new in zip(workers, before, usages(workers), strict=True):
        threads = {
            name: (seconds - old.threads.get(name, 0.0)) / cases * 1e6
            for name, seconds in new.threads.items()
        }
        found[worker.stage] = Process((new.cpu - old.cpu) / cases * 1e6, threads, new.rss / 1e6)
    return found


def python_us(processes: Mapping[str, Process]) -> float:
    """Microseconds a case of all threads that Python started."""
    return sum(us for each in processes.values() for name, us in each.threads_us.items() if name != "native")


def percentiles(begun: Mapping[str, float], done: Mapping[str, float]) -> Percentiles:
    """Of the spans from `begun` to `done` (seconds), by case.

    Raises:
        BenchError: a case that began is not among those that are done.
    """
    if lost := len(begun.keys() - done.keys()):
        raise BenchError(f"{lost} of {len(begun)} cases were lost")
    spans = sorted((done[case] - at) * 1e3 for case, at in begun.items())
    return Percentiles(spans[len(spans) // 2], spans[len(spans) * 99 // 100])


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
