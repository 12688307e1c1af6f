"""Two nodes over the in-memory broker, stepped by the test: collected and fetched in Guangzhou, reviewed in Changsha."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import consumers
from bus import Answer, Command, CommandRefused, Engine, Ledger
from bus.backup import put_back
from bus.transport import MemoryBroker, MemoryTransport
from cases import AcceptanceStage, PickupStage, ReviewStage, commands, new_collection_code
from jurisdictions import Required, load_directory
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue, load_schemas, models

NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
GUANGZHOU, CHANGSHA = "440100", "430100"
_directory = cache(load_directory)
_schemas = cache(load_schemas)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOON

    def now(self) -> datetime:
        return self.time

    def move(self, **values: float) -> None:
        self.time += timedelta(**values)


class Deaf:
    """Watches nothing, but for what should not happen."""

    def __init__(self) -> None:
        self.alarms: list[tuple[str, str]] = []

    def received(self, *_: Any) -> None: ...
    def sent(self, *_: Any) -> None: ...
    def committed(self, *_: Any) -> None: ...
    def changed(self, *_: Any) -> None: ...
    def alarm(self, kind: str, detail: str) -> None:
        self.alarms.append((kind, detail))


class Node:
    def __init__(self, url: str, broker: MemoryBroker, stages: Sequence[Any], clock: Clock) -> None:
        self.observer = Deaf()
        self.url, self.broker, self.stages, self.clock = url, broker, stages, clock
        self.ledger = Ledger(url)
        self.ledger.create()
        self.projections = consumers.projections(stages, clock)
        self.engine = Engine(
            self.ledger,
            MemoryTransport(broker),
            stages,
            schemas=_schemas(),
            topology=DirectoryTopology(_directory(), load_catalogue()),
            observer=self.observer,
            projections=self.projections,
            clock=clock,
            client=stages[0].code,
        )

    def step(self) -> bool:
        worked = self.engine.relay.step(0)
        worked |= self.engine.inbox.step(0)
        return self.engine.writer.step(0) or worked

    def restored(self, backup: Path) -> "Node":
        """The same node, started on a backup in the place of its ledger."""
        self.ledger.close()
        put_back(backup, self.url, self.clock.now())
        return Node(self.url, self.broker, self.stages, self.clock)


class Desk:
    """A stage of a node."""

    def __init__(self, node: Node, stage: Any, clock: Clock) -> None:
        self.node = node
        self.ledger = node.ledger
        self.stage = stage
        self.stream = f"{stage.code}/{stage.stage}"
        self.clock = clock

    def act(self, case: str, data: Any, actor: str = "clerk:li@430100") -> Answer:
        command = Command(stream=self.stream, case=case, data=data, actor=actor, acted_at=self.clock.now())
        future = self.node.engine.writer.submit(command)
        self.node.engine.writer.step(0)
        return future.result(timeout=0)


class Region:
    """What a test acts upon."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self.clock = clock
        self.directory = _directory()
        self.item = self.directory.implement("000131001001", CHANGSHA)  # 食品经营许可
        broker = MemoryBroker()
        topology = DirectoryTopology(self.directory, load_catalogue())
        MemoryTransport(broker).ensure_topics(topology.topics())
        acceptance = AcceptanceStage(GUANGZHOU, self.directory)
        review = ReviewStage(CHANGSHA, self.directory)
        pickup = PickupStage(GUANGZHOU, self.directory)
        here = Node(f"sqlite:///{folder}/here.db", broker, [acceptance, pickup], clock)
        there = Node(f"sqlite:///{folder}/there.db", broker, [review], clock)
        self.nodes = [here, there]
        self.acceptance = Desk(here, acceptance, clock)
        self.review = Desk(there, review, clock)
        self.pickup = Desk(here, pickup, clock)
        self.desks = [self.acceptance, self.review, self.pickup]
        self._serials = 0

    def settle(self) -> None:
        """Step all nodes until nothing moves any more."""
        for _ in range(50):
            if not any([node.step() for node in self.nodes]):  # noqa: C419 - each is to step
                return
        raise AssertionError("does not come to rest")

    def restore(self, node: Node, backup: Path) -> None:
        """Put a backup in the place of a node's ledger, and let all agree on what was said since."""
        fresh = node.restored(backup)
        self.nodes[self.nodes.index(node)] = fresh
        for desk in self.desks:
            if desk.node is node:
                desk.node, desk.ledger = fresh, fresh.ledger
        for _ in range(3):
            self.settle()
            self.clock.move(seconds=6)
        self.settle()

    def expire(self, topic: str) -> None:
        """Delete all that lies in a topic, as retention does."""
        broker = self.nodes[0].broker
        for partition in range(broker.topics()[topic]):
            broker.delete_records(topic, partition, len(broker.records(topic, partition)))

    def hand_in(self, name: str = "张伟明", delivery: models.Delivery | None = None) -> str:
        """A case on its way: collected in Guangzhou; gives its id."""
        self._serials += 1
        case = f"{GUANGZHOU}-{self._serials:04}"
        materials = tuple(
            models.Material(
                code=material.code,
                name=material.name_zh,
                form=models.MaterialForm.COPY,
                may_follow=False,
                digest="ab" * 32,
            )
            for material in self.item.materials
            if material.required is not Required.NO
        )
        person = models.Person(
            name=name, document_kind=models.DocumentKind.PASSPORT, document_number="E12345678"
        )
        submission = models.CaseSubmitted(
            item_code=self.item.code,
            belonging=CHANGSHA,
            channel=models.Channel.COUNTER,
            applicant=models.Applicant(person=person),
            materials=materials,
            delivery=delivery or models.Delivery(kind=models.DeliveryKind.COUNTER, jurisdiction=GUANGZHOU),
        )
        self.acceptance.act(
            case, commands.SubmitCase(submission=submission, serial=self._serials), "system:zz"
        )
        return case

    def attempt(self, case: str, what: Any) -> None:
        """An act where it may apply; most do not."""
        if what is commands.MakeReady:
            code = new_collection_code()
            what = commands.MakeReady(place="一楼", code=code.code, salt=code.salt, code_hash=code.code_hash)
        for desk in (self.review, self.pickup):
            if isinstance(what, desk.stage.command_type):
                with suppress(CommandRefused):
                    desk.act(case, what)

    def arrived(self, *names: str) -> list[str]:
        """Cases that have come to review."""
        cases = [self.hand_in(name) for name in names or ("张伟明",)]
        self.settle()
        return cases


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def region(tmp_path: Path, clock: Clock) -> Iterator[Region]:
    made = Region(tmp_path, clock)
    yield made
    alarms = [alarm for node in made.nodes for alarm in node.observer.alarms]
    for node in made.nodes:
        node.ledger.close()
    assert alarms == []


@pytest.fixture
def region_at() -> Callable[[Path], Region]:
    """A region of its own for each example of a property."""
    return lambda folder: Region(folder, Clock())


@pytest.fixture
def until() -> Callable[..., Sequence[Any]]:
    """Steps something until it has done what is asked."""

    def wait(step: Callable[[], Any], done: Callable[[], Any], rounds: int = 100) -> Any:
        for _ in range(rounds):
            if done():
                return done()
            step()
        raise AssertionError("never done")

    return wait
