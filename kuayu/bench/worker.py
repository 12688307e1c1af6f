"""One stage of one jurisdiction in a process of its own: ledger and engine as a node has them, told what to do by pipe."""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import psutil
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from bus import Answer, Busy, Change, Engine, Ledger, SystemClock
from bus.ledger import tables
from bus.ledger.entry import decode
from bus.transport import open_transport
from bus.verification import verify
from cases import ENDS, AcceptanceStage, Phase, PickupStage, ReviewStage
from consumers import projections
from jurisdictions import load_directory
from kuayu.bench.load import Load
from kuayu.bench.speed import PATIENCE, Usage
from kuayu.process import tune
from kuayu.topology import DirectoryTopology
from monitoring import Metrics
from producers import Producers
from schemas import load_catalogue, load_schemas

STAGES: dict[str, type[AcceptanceStage | ReviewStage | PickupStage]] = {
    "acceptance": AcceptanceStage,
    "review": ReviewStage,
    "pickup": PickupStage,
}
_LOOK_EVERY = 0.01


class Job(NamedTuple):
    """What a worker is."""

    stage: str
    code: str
    driver: str
    bootstrap: str
    ledger: Path
    directory: Path | None
    """Folder of the directory's data files; None for the packaged ones."""


class Audit(NamedTuple):
    """What the ledger says after the run."""

    cases: int
    delivered: int
    doubled: int
    """Cases for which an event or a command took effect twice."""
    problems: list[str]
    """What `bus.verification` finds wrong."""
    bytes: int
    """Of the ledger's file."""


class Stopwatch(Metrics):
    """The node's own observer, which notes besides when a case first came and when it ended here."""

    def begin(self) -> None:
        """Forget what was noted, before the next run."""
        self.first: dict[str, float] = {}
        self.ended: dict[str, float] = {}

    def changed(self, changes: Sequence[Change]) -> None:
        """Called when the changes are durable."""
        super().changed(changes)
        now = time.time()
        for change in changes:
            case = change.message.case
            self.first.setdefault(case, now)
            if change.state.phase in ENDS:
                self.ended[case] = now


class Answers:
    """Counts answers. Futures that were kept until the end would be what Python's garbage collector looks through while we measure."""

    def __init__(self) -> None:
        self.expected = self.given = 0
        self.failure: BaseException | None = None

    def expect(self, answer: "Future[Answer]") -> None:
        self.expected += 1
        answer.add_done_callback(self._given)

    def _given(self, answer: "Future[Answer]") -> None:
        self.given += 1
        self.failure = self.failure or answer.exception()


class Worker:
    """What the parent can ask for; each method is one question."""

    def __init__(self, job: Job) -> None:
        directory, catalogue = load_directory(job.directory), load_catalogue()
        handler = STAGES[job.stage](job.code, directory)
        self._path = job.ledger
        self._transport = open_transport(job.driver, job.bootstrap)
        self._ledger = Ledger(f"sqlite:///{job.ledger}")
        self._ledger.create()
        self._watch = Stopwatch(CollectorRegistry(), job.code, directory=directory, catalogue=catalogue)
        self._watch.begin()
        self._load = Load(directory)
        self._engine = Engine(
            self._ledger,
            self._transport,
            [handler],
            schemas=load_schemas(),
            topology=DirectoryTopology(directory, catalogue),
            observer=self._watch,
            projections=[*Producers(job.code, self._ledger).projections, *projections([handler])],
            client=f"kuayu.{job.code}-{job.stage}",
        )
        self._engine.start()

    def begin(self) -> None:
        self._watch.begin()

    def closed(self, cases: int, window: int) -> float:
        """Submit so many cases, at most `window` of them under way; seconds since the epoch of the first.

        Returns when all have ended here.
        """
        started = time.time()
        submitted = 0
        answers = Answers()
        while submitted < cases:
            room = min(window - (submitted - len(self._watch.ended)), cases - submitted)
            if room <= 0:
                time.sleep(0.002)
                self._check(started)
                continue
            now = SystemClock().now()
            for command in self._load.commands([now] * min(room, 200)):
                answers.expect(self._engine.writer.submit(command))
            submitted = answers.expected
        self._await_end(answers, started)
        return started

    def take(self, cases: int, window: int) -> float:
        """Submit so many cases, at most `window` of them unanswered; seconds until the ledger has them all."""
        started = time.perf_counter()
        answers: list[Future[Answer]] = []
        for command in self._load.commands([SystemClock().now()] * cases):
            if len(answers) >= window:
                answers[-window].result(PATIENCE)
            answers.append(self._engine.writer.submit(command))
        for answer in answers:
            answer.result(PATIENCE)
        return time.perf_counter() - started

    def open(self, cases: int, rate: float, seed: int) -> dict[str, float]:
        """Submit cases as they arrive by themselves (Poisson); the instants at which they were due, by case."""
        chance = random.Random(seed)
        arrived: dict[str, float] = {}
        answers = Answers()
        started = due = time.time()
        for _ in range(cases):
            due += chance.expovariate(rate)
            pause = due - time.time()
            if pause > 0:
                time.sleep(pause)
            for command in self._load.commands([SystemClock().now()]):
                try:
                    answers.expect(self._engine.writer.submit(command))
                except Busy:
                    self._check(started)
                    raise
                arrived[command.case] = due  # not when we got to it: waiting counts
        self._await_end(answers, started)
        return arrived

    def _await_end(self, answers: Answers, started: float) -> None:
        while min(answers.given, len(self._watch.ended)) < answers.expected:
            time.sleep(_LOOK_EVERY)
            self._check(started)
            if answers.failure is not None:
                raise answers.failure

    def _check(self, started: float) -> None:
        if self._engine.failure is not None:
            raise self._engine.failure
        if time.time() - started > PATIENCE:
            raise TimeoutError(f"{len(self._watch.ended)} cases have ended after {PATIENCE:.0f} s")

    def settled(self) -> bool:
        """Whether every hand-over is receipted by its receiver."""
        if self._engine.failure is not None:
            raise self._engine.failure
        return not any(sent or receipted for sent, receipted in self._engine.relay.backlog().values())

    def noted(self) -> tuple[dict[str, float], dict[str, float]]:
        """When each case first came and when it ended here, seconds since the epoch."""
        return self._watch.first, self._watch.ended

    def usage(self) -> Usage:
        process = psutil.Process()
        names = {thread.native_id: thread.name for thread in threading.enumerate()}
        threads: dict[str, float] = {}
        for thread in process.threads():
            name = names.get(thread.id, "native")
            threads[name] = threads.get(name, 0.0) + thread.user_time + thread.system_time
        times = process.cpu_times()
        return Usage(times.user + times.system, threads, process.memory_info().rss)

    def audit(self) -> Audit:
        """Stop, and check the ledger."""
        self._engine.stop()
        self._transport.close()
        problems = verify(self._ledger, self._engine.records)
        applied: Counter[tuple[str, str]] = Counter()
        with self._ledger.read() as connection:
            for blob in connection.execute(select(tables.log.c.entry)).scalars():
                entry = decode(blob)
                if entry.outcome == "applied":
                    applied[entry.subject, entry.type] += 1
            states = connection.execute(select(tables.case.c.status)).scalars().all()
        self._ledger.close()
        doubled = len({case for (case, _), times in applied.items() if times > 1})
        return Audit(len(states), states.count(Phase.DELIVERED), doubled, problems, self._path.stat().st_size)


def work(job: Job, pipe: Connection) -> None:
    """The process: answer questions until there are no more."""
    worker = Worker(job)
    tune()
    pipe.send((None, ""))
    while True:
        try:
            name, arguments = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send((getattr(worker, name)(*arguments), ""))
        except Exception as error:  # noqa: BLE001 - it belongs to the parent
            pipe.send((None, f"{type(error).__name__}: {error}"))
