"""Two small stages over the in-memory broker: "ask" sends a case on, "answer" counts what it got.

Everything is stepped by the test, and the clock stands still until it is moved.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bus import Answer, Command, Engine, Ledger, Message, Projection, Received, envelope
from bus.backup import back_up, put_back
from bus.books import Lane
from bus.envelope import partition_of
from bus.transport import MemoryBroker, MemoryTransport, TopicSpec
from bus.verification import verify
from schemas import load_schemas
from schemas.models import CaseWithdrawn

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
PARTITIONS = 2
TOPIC, CONTROL = "kuayu.answer.2", "kuayu.receipts.1"
"""Where the asking stage speaks to the answering one, and hears what became of it."""
ALWAYS = 1_000
"""As a number of faults: more than there are records."""


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time

    def move(self, **values: float) -> None:
        self.time += timedelta(**values)


class Observed:
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.alarms: list[tuple[str, str]] = []
        self.commits = 0

    def received(self, records: Sequence[Received]) -> None:
        self.outcomes += [record.outcome for record in records]

    def sent(self, lane: str, events: Sequence[str]) -> None: ...

    def committed(self, _seconds: float, _items: int, _rows: int) -> None:
        self.commits += 1

    def changed(self, changes: Any) -> None: ...

    def alarm(self, kind: str, detail: str) -> None:
        self.alarms.append((kind, detail))

    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.alarms}


class Send(msgspec.Struct, frozen=True, tag=True):
    """Command: hand a case over, so often."""

    times: int = 1
    size: int = 0
    note: str = ""


class Wake(msgspec.Struct, frozen=True, tag=True):
    """Command: set a timer."""

    at: datetime


class Noted(msgspec.Struct, frozen=True, tag=True):
    what: str
    wake_at: datetime | None = None


class State(msgspec.Struct, frozen=True):
    notes: tuple[str, ...] = ()
    wake_at: datetime | None = None


class Decided(msgspec.Struct, frozen=True):
    outcome: str
    code: str = ""
    reason: str = ""
    field: str = ""
    awaits: str = ""
    facts: tuple[Any, ...] = ()
    out: tuple[Any, ...] = ()


class Out(NamedTuple):
    to: tuple[str, str]
    data: Any
    term: int


class Seen(NamedTuple):
    status: str
    open: bool
    timers: tuple[tuple[str, datetime], ...]


class Stage:
    """Notes down what reaches a case; what it answers can be told beforehand through `rule`."""

    fact_type = Noted
    command_type = Send | Wake

    def __init__(self, stage: str, code: str, to: tuple[str, str]) -> None:
        self.stage = stage
        self.code = code
        self.to = to
        self.rule: Callable[[State | None, Message], Decided | None] = lambda _state, _message: None

    def decide(self, state: State | None, message: Message) -> Decided:
        told = self.rule(state, message)
        if told is not None:
            return told
        data = message.data
        if isinstance(data, Wake):
            return Decided("applied", facts=(Noted("wake", data.at),))
        if isinstance(data, Send):
            out = tuple(
                Out(
                    self.to,
                    CaseWithdrawn(reason=f"{data.note}{i}".ljust(data.size), withdrawn_at=message.acted_at),
                    1,
                )
                for i in range(data.times)
            )
            return Decided("applied", facts=(Noted("send"),), out=out)
        if message.kind == "event":
            return Decided("applied", facts=(Noted((data.reason or "").strip()),))
        if message.kind == "adopted":
            return Decided("applied", facts=(Noted(f"adopted:{data.reason}"),))
        return Decided("applied", facts=(Noted(f"{message.kind}:{message.type}"),))

    def evolve(self, state: State | None, fact: Noted) -> State:
        notes = (*(state.notes if state else ()), fact.what)
        return State(notes, fact.wake_at)

    def view(self, state: State) -> Seen:
        timers = (("wake", state.wake_at),) if state.wake_at else ()
        return Seen("noted", state.wake_at is not None, timers)


class Topology:
    topics = {f"kuayu.{stage}.{code}": PARTITIONS for stage in ("ask", "answer") for code in ("1", "2")} | {
        "kuayu.receipts.1": 1,
        "kuayu.receipts.2": 1,
    }

    def partitions(self, topic: str) -> int:
        return self.topics.get(topic, 0)

    def reachable(self, stage: str) -> dict[str, int]:
        to = "answer" if stage == "ask" else "ask"
        return {topic: n for topic, n in self.topics.items() if topic.split(".")[1] == to}

    def may_send(self, event: str, stage: str, to: str) -> bool | None:
        if event == "Newer":
            return None
        return event == "CaseWithdrawn" and (stage, to) in {("ask", "answer"), ("answer", "ask")}


class Node:
    """A ledger with its engine, which can be stopped at any moment and built anew."""

    def __init__(self, folder: Path, broker: MemoryBroker, stage: Stage, clock: Clock) -> None:
        self.folder = folder
        self.backups = 0
        self.url = f"sqlite:///{folder}/{stage.stage}-{stage.code}.db"
        self.broker = broker
        self.stage = stage
        self.clock = clock
        self.observed = Observed()
        self.projections: list[Projection] = []
        self.version = "1"
        self.tampered = False
        """A test that damages this ledger says so; every other ledger must be sound in the end."""
        with closing(self.reach_ledger()) as new:
            new.create()
        self.engine = self.open()

    def reach_ledger(self) -> Ledger:
        return Ledger(self.url, synchronous="OFF")  # no test here cuts the power

    def reach_broker(self) -> MemoryTransport:
        return MemoryTransport(self.broker)

    def open(self) -> Engine:
        self.ledger = self.reach_ledger()
        self.engine = Engine(
            self.ledger,
            self.reach_broker(),
            [self.stage],
            schemas=load_schemas(),
            topology=Topology(),
            observer=self.observed,
            projections=self.projections,
            clock=self.clock,
            client=f"{self.stage.code}.{self.stage.stage}",
            version=self.version,
        )
        return self.engine

    @property
    def stream(self) -> str:
        return f"{self.stage.code}/{self.stage.stage}"

    def kill(self) -> None:
        """As kill -9 does it: nothing is closed in order."""
        self.ledger.close()

    def restart(self) -> None:
        self.kill()
        self.open()

    def back_up(self) -> Path:
        """A backup of the ledger, taken while the node runs."""
        self.backups += 1
        file = self.folder / f"{self.stage.stage}-{self.stage.code}.{self.backups}.backup"
        back_up(self.ledger, file)
        return file

    def restore(self, file: Path) -> None:
        """Put a backup in the ledger's place, and start again."""
        self.kill()
        put_back(file, self.url, self.clock.now())
        self.open()

    def lane(self, *, outward: bool, case: str) -> Lane:
        """The lane that this case's events take from or to this node."""
        source = partition_of(case, PARTITIONS)
        [lane] = [
            lane
            for lane in self.engine.books.lanes.values()
            if lane.outward is outward and lane.name.split(">")[0].endswith(f"/{source}")
        ]
        return lane

    def problems(self) -> list[str]:
        return [] if self.tampered else verify(self.ledger, self.engine.records)

    def command(self, case: str, data: Any, **values: Any) -> Command:
        values.setdefault("acted_at", self.clock.now())
        return Command(stream=self.stream, case=case, data=data, actor="clerk", **values)

    def act(self, case: str, data: Any = None, **values: Any) -> Answer:
        future = self.engine.writer.submit(self.command(case, data or Send(), **values))
        self.engine.writer.step(0)
        return future.result(timeout=0)

    def step(self) -> bool:
        worked = self.engine.relay.step(0)
        worked |= self.engine.inbox.step(0)
        return self.engine.writer.step(0) or worked

    def notes(self, case: str) -> tuple[str, ...]:
        found = self.engine.case(self.stream, case)
        return () if found is None else found.state.notes


class Pair(NamedTuple):
    broker: MemoryBroker
    clock: Clock
    ask: Node
    answer: Node
    folder: Path
    nodes: list[Node]

    def add(self, stage: str, code: str) -> Node:
        """One more node; it sends to 2/answer."""
        self.nodes.append(Node(self.folder, self.broker, Stage(stage, code, ("answer", "2")), self.clock))
        return self.nodes[-1]

    def settle(self, rounds: int = 50) -> None:
        """Step both until nothing moves any more."""
        for _ in range(rounds):
            moved = [node.step() for node in (self.ask, self.answer)]
            if not any(moved):
                return


@contextmanager
def pair_in(folder: Path, clock: Clock) -> Iterator[Pair]:
    """Two nodes over a broker in memory, whose ledgers lie in a folder, and all that are added: killed in the end."""
    broker = MemoryBroker()
    topics = [TopicSpec(name, partitions, {}) for name, partitions in Topology.topics.items()]
    MemoryTransport(broker).ensure_topics(topics)
    ask = Node(folder, broker, Stage("ask", "1", ("answer", "2")), clock)
    answer = Node(folder, broker, Stage("answer", "2", ("ask", "1")), clock)
    pair = Pair(broker, clock, ask, answer, folder, [ask, answer])
    try:
        yield pair
    finally:
        for node in pair.nodes:
            node.kill()


# Rules of a stage.


def broken(_state: State | None, message: Message) -> Decided | None:
    if message.kind == "event":
        raise ZeroDivisionError
    return None


def well(_state: State | None, _message: Message) -> Decided | None:
    return None


# What is looked at.


def exceptions(node: Node, case: str) -> dict[int, str]:
    lane = node.lane(outward=True, case=case)
    return {n: row.status for n, row in node.engine.books.exceptions(lane, 1, lane.number).items()}


def types(pair: Pair) -> list[tuple[str, bytes]]:
    """Number and type of everything that was sent to the answering stage."""
    records = [record for p in (0, 1) for record in pair.broker.records(TOPIC, p)]
    headers = [dict(record.headers) for record in records]
    return [((h[envelope.SEQUENCE] or b"").decode(), h[envelope.TYPE] or b"") for h in headers]
