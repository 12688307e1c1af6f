"""Our flow: three processes, three ledgers, one broker; its speed, its bytes, and the proof that nothing was lost."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bus.transport import open_transport
from jurisdictions import Stage, load_directory
from kuayu.bench import speed
from kuayu.bench.load import ACCEPTANCE, PICKUP, REVIEW
from kuayu.bench.speed import PATIENCE, BenchError, Percentiles, Speed, percentiles
from kuayu.bench.worker import Audit, Job, work
from kuayu.broker import LocalBroker
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue

_WARM_UP = 500
PLACES = ((Stage.ACCEPTANCE, ACCEPTANCE), (Stage.REVIEW, REVIEW), (Stage.PICKUP, PICKUP))


class Flow(NamedTuple):
    """What was measured of one driver."""

    speed: Speed
    answered_ms: Percentiles
    """Arrival to durable at acceptance."""
    ledger_bytes_per_case: float
    topic_bytes_per_case: float


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

    def end(self) -> None:
        self._pipe.close()
        self._process.join(10)
        self._process.kill()
        self._process.join()


def create_topics(driver: str, broker: LocalBroker, directory: Path | None = None) -> None:
    """The topics of the three jurisdictions, as the directory in a folder has them, or the packaged one."""
    transport = open_transport(driver, broker.bootstrap)
    topology = DirectoryTopology(load_directory(directory), load_catalogue())
    transport.ensure_topics(topology.topics(frozenset(code for _, code in PLACES)))
    transport.close()


def ledger_file(folder: Path, stage: Stage, code: str) -> Path:
    """Where the ledger of a stage is among those in a folder."""
    return folder / f"{code}-{stage}.db"


@contextmanager
def workers(
    driver: str,
    broker: LocalBroker,
    folder: Path,
    directory: Path | None = None,
    places: Sequence[tuple[Stage, str]] = PLACES,
) -> Iterator[list[_Remote]]:
    """The three processes, or some of them, with new ledgers in `folder`, which is made; the broker must not have seen their topics.

    `directory` is the folder with the directory's data files, if not the packaged one.
    """
    create_topics(driver, broker, directory)
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        begun = []
        for stage, code in places:
            ledger = ledger_file(folder, stage, code)
            begun.append(_Remote(Job(stage.value, code, driver, broker.bootstrap, ledger, directory)))
            stack.callback(begun[-1].end)
        for worker in begun:
            worker.answer()  # ready
        yield begun


def measure(
    driver: str,
    broker: LocalBroker,
    folder: Path,
    cases: int,
    *,
    rounds: int,
    seconds: float,
    warm_up: int = _WARM_UP,
) -> Flow:
    """Run so many cases as fast as they go, `rounds` times, and as many again at half that rate.

    Fewer cases where a round would take longer than `seconds`.

    Raises:
        BenchError: a case was lost or doubled, or a ledger is not sound.
        TimeoutError: a run did not end.
    """
    with workers(driver, broker, folder) as begun:
        before = _topic_bytes(broker)
        measured, arrived, noted = speed.measure(
            begun,
            psutil.Process(broker.pid),
            cases,
            rounds=rounds,
            warm_up=warm_up,
            seconds=seconds,
        )
        audits = speed.ask_all(begun, "audit")
    total = measured.handed_in
    check(audits, total)
    return Flow(
        speed=measured,
        answered_ms=percentiles(arrived, noted[0][0]),
        ledger_bytes_per_case=sum(audit.bytes for audit in audits) / total,
        topic_bytes_per_case=(_topic_bytes(broker) - before) / total,
    )


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


def _topic_bytes(broker: LocalBroker) -> int:
    segments = (broker.directory / "data").glob("kuayu.*/*.log")
    return sum(segment.stat().st_size for segment in segments)
