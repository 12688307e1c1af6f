"""The peers: other ways to carry the same cases through three stages, measured as ours is.

Each is three processes of a script in `peers/`, which take the same events from topics with as many partitions, with
idempotent producers and acks=all, and keep no ledger.
"""

import json
import select
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bus.transport import TopicSpec, open_transport
from jurisdictions import Directory
from kuayu.bench import environment, samples, speed
from kuayu.bench.environment import NotInstalledError
from kuayu.bench.flow import PLACES
from kuayu.bench.speed import PATIENCE, BenchError, Speed
from kuayu.broker import LocalBroker
from schemas import Schemas

_SCRIPTS = Path(__file__).parent / "peers"
_LOCK = environment.ROOT / "requirements-bench.lock"
_QUIX_LOCK = environment.ROOT / "requirements-bench-quix.lock"
"""Quix Streams asks for an older confluent-kafka than the others have."""
_LOG_TAIL = 300
_WARM_UP = 200


class Guarantees(NamedTuple):
    """What a way of carrying cases promises, in a few words each; empty: nothing."""

    effects: str
    """Whether each event takes effect exactly once."""
    state: str
    """What is kept durably of a case."""
    receipts: str
    """How a sender learns that a hand-over was applied."""
    validated: str
    deadlines: str


OURS = Guarantees(
    effects="exactly once",
    state="ledger, hash-chained, fsync before every answer",
    receipts="each hand-over, by receiver",
    validated="schema, route, order, sender's decision",
    deadlines="timers",
)
_AT_LEAST_ONCE = Guarantees("at least once", "", "", "schema", "")
_AT_MOST_ONCE = Guarantees("at most once", "", "", "schema", "")
_ONCE_WITHIN_KAFKA = Guarantees("exactly once within Kafka", "", "", "schema", "")


class Peer(NamedTuple):
    """One row of the table."""

    name: str
    script: str
    guarantees: Guarantees
    lock: Path | None = None
    """What its environment is made from; None: it needs nothing that ours lacks."""
    mode: str = ""


PEERS = (
    Peer("confluent_kafka", "confluent", _AT_LEAST_ONCE),
    Peer("kafka_python", "kafka_python", _AT_LEAST_ONCE),
    Peer("aiokafka_transactions", "aiokafka_transactions", _ONCE_WITHIN_KAFKA, _LOCK),
    Peer("faststream_confluent", "faststream_confluent", _AT_LEAST_ONCE, _LOCK),
    Peer("faststream_confluent_defaults", "faststream_confluent", _AT_MOST_ONCE, _LOCK, "defaults"),
    Peer("faststream_aiokafka", "faststream_aiokafka", _AT_LEAST_ONCE, _LOCK),
    Peer("faststream_aiokafka_defaults", "faststream_aiokafka", _AT_MOST_ONCE, _LOCK, "defaults"),
    Peer("quixstreams", "quix", _AT_LEAST_ONCE, _QUIX_LOCK),
    Peer("quixstreams_exactly_once", "quix", _ONCE_WITHIN_KAFKA, _QUIX_LOCK, "exactly-once"),
)


class Result(NamedTuple):
    """What became of a peer: its speed, or why there is none."""

    peer: Peer
    speed: Speed | None
    error: str


class _Remote:
    """A peer's process of one stage, asked in lines of JSON."""

    def __init__(self, python: Path, peer: Peer, job: Path, stage: str) -> None:
        self.stage = stage
        self._log = job.with_suffix(".log")
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own script
                [str(python), str(_SCRIPTS / f"{peer.script}.py"), str(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=job.parent,
                text=True,
            )

    def ask(self, name: str, *arguments: Any) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps([name, arguments]) + "\n")
            self._process.stdin.flush()

    def answer(self) -> Any:
        out = self._process.stdout
        if out is None or not select.select([out], [], [], PATIENCE)[0]:
            raise TimeoutError(f"{self.stage}: no answer; {self._tail()}")
        line = out.readline()
        if not line:
            raise BenchError(f"the process of {self.stage} ended: {self._tail()}")
        answer, error = json.loads(line)
        if error:
            raise BenchError(f"{self.stage}: {error}")
        return answer

    def _tail(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1][-_LOG_TAIL:] if lines else ""

    def end(self) -> None:
        self._process.kill()  # nothing of it is to be kept
        self._process.communicate()


@contextmanager
def _workers(
    peer: Peer, broker: LocalBroker, folder: Path, directory: Directory, told: Mapping[str, Any]
) -> Iterator[list[_Remote]]:
    python = environment.python_for(peer.lock) if peer.lock else Path(sys.executable)
    partitions = {stage.value: directory.partitions(stage, code) for stage, code in PLACES}
    topics = {stage: f"{peer.name}.{stage}" for stage in partitions}
    transport = open_transport("confluent", broker.bootstrap)
    transport.ensure_topics([TopicSpec(topics[stage], count) for stage, count in partitions.items()])
    transport.close()
    with ExitStack() as stack:
        begun = []
        for stage in partitions:
            job = folder / f"{peer.name}-{stage}.json"
            said = {"role": stage, "mode": peer.mode, "bootstrap": broker.bootstrap, "topics": topics}
            text = json.dumps(said | {"partitions": partitions, "events": told})
            job.write_text(text, encoding="utf-8")
            begun.append(_Remote(python, peer, job, stage))
            stack.callback(begun[-1].end)
        for worker in begun:
            worker.answer()  # ready
        yield begun


def measure(
    peers: Sequence[Peer],
    broker: LocalBroker,
    folder: Path,
    directory: Directory,
    schemas: Schemas,
    cases: int,
    *,
    rounds: int,
    seconds: float,
) -> Iterator[Result]:
    """Measure one peer after the other; one that can't be installed or fails has an error instead of a speed.

    `cases` a round, or as many as a peer does in `seconds` where that is fewer.
    """
    told = samples.for_peers(directory, schemas)
    process = psutil.Process(broker.pid)
    for peer in peers:
        try:
            with _workers(peer, broker, folder, directory, told) as begun:
                measured, _, _ = speed.measure(
                    begun, process, cases, rounds=rounds, warm_up=_WARM_UP, seconds=seconds
                )
        except (NotInstalledError, BenchError, TimeoutError, OSError) as error:
            yield Result(peer, None, str(error))
        else:
            yield Result(peer, measured, "")
