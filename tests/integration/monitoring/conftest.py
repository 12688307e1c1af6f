"""Three nodes with the real stages over the broker in memory: Zhuzhou takes in, Changsha decides, Xiangtan hands over.

Engines are stepped by the test until it starts them; the clock runs from a working day's noon and can be moved.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry

import monitoring
import web
from bus import Answer, Command, Engine, Ledger
from bus.transport import MemoryBroker, MemoryTransport, Outbound
from cases import AcceptanceStage, PickupStage, ReviewStage, commands, hash_code
from jurisdictions import CHINA_TIME, Directory, Item, Required, load_directory
from kuayu.topology import DirectoryTopology
from schemas import Catalogue, Schemas, load_catalogue, load_schemas, models
from tests.running import PATIENCE, eventually, serving
from web import Caller, Callers, Context, Role

ZHUZHOU, CHANGSHA, XIANGTAN = "430200", "430100", "430300"
NOON = datetime(2026, 3, 2, 12, tzinfo=CHINA_TIME).astimezone(UTC)
OPERATOR_KEY, OPERATOR_DIGEST = web.new_key()
CLERK_KEY, CLERK_DIGEST = web.new_key()
NUMBER = "43020219850312031"
SALT = b"0123456789abcdef"


class Clock:
    """Runs with the machine's, from NOON on, and further when it is moved."""

    def __init__(self) -> None:
        self._base = NOON - timedelta(seconds=time.monotonic())

    def now(self) -> datetime:
        instant = self._base + timedelta(seconds=time.monotonic())
        return instant - timedelta(microseconds=instant.microsecond % 1000)

    def move(self, **spans: float) -> None:
        self._base += timedelta(**spans)


class Shared:
    """What costs time to load, and never changes."""

    def __init__(self) -> None:
        self.directory: Directory = load_directory()
        self.catalogue: Catalogue = load_catalogue()
        self.schemas: Schemas = load_schemas()
        self.topology = DirectoryTopology(self.directory, self.catalogue)


class Node:
    """One jurisdiction's engine, metrics and web application."""

    def __init__(self, code: str, shared: Shared, broker: MemoryBroker, clock: Clock, url: str) -> None:
        self.code = code
        self.ledger = Ledger(url, synchronous="OFF")
        self.ledger.create()
        self.metrics = monitoring.Metrics(
            CollectorRegistry(), code, directory=shared.directory, catalogue=shared.catalogue
        )
        self.engine = Engine(
            self.ledger,
            MemoryTransport(broker),
            [kind(code, shared.directory) for kind in (AcceptanceStage, ReviewStage, PickupStage)],
            schemas=shared.schemas,
            topology=shared.topology,
            observer=self.metrics,
            clock=clock,
            client=f"test.{code}",
        )
        callers = [
            Caller(
                caller=f"clerk:{name}@{code}",
                name=name,
                jurisdiction=code,
                roles=frozenset([role]),
                sha256=sha,
            )
            for name, role, sha in (
                ("operator", Role.OPERATE, OPERATOR_DIGEST),
                ("reviewer", Role.REVIEW, CLERK_DIGEST),
            )
        ]
        context = Context(
            code=code,
            stages=("acceptance", "review", "pickup"),
            engine=self.engine,
            directory=shared.directory,
            schemas=shared.schemas,
            catalogue=shared.catalogue,
            callers=Callers(callers),
        )
        tasks = [monitoring.TaskCount("review", 3, 1)]
        routes = monitoring.router(context, self.metrics, tasks=lambda: tasks, clock=clock)
        self.app = web.create_app(context, [routes])
        self.app.add_middleware(monitoring.HttpMetrics, metrics=self.metrics)

    def step(self) -> bool:
        worked = self.engine.relay.step(0)
        worked |= self.engine.inbox.step(0)
        return self.engine.writer.step(0) or worked


class Town:
    """The three nodes and the way of a case through them."""

    def __init__(self, shared: Shared, url: Callable[[str], str]) -> None:
        """`url` gives the address of a node's empty ledger."""
        self.clock = Clock()
        self.broker = MemoryBroker()
        self.shared = shared
        MemoryTransport(self.broker).ensure_topics(shared.topology.topics())
        self.nodes = {
            code: Node(code, shared, self.broker, self.clock, url(code))
            for code in (ZHUZHOU, CHANGSHA, XIANGTAN)
        }
        self.zhuzhou, self.changsha, self.xiangtan = self.nodes.values()
        self._numbers = count()
        self.running = False

    def start(self) -> None:
        self.running = True
        for node in self.nodes.values():
            node.engine.start()

    def settle(self) -> None:
        """Until nothing moves any more."""
        if self.running:
            engines = [node.engine for node in self.nodes.values()]
            eventually(
                lambda: (
                    not any(monitoring.tally(n.engine, n.code).open_handovers for n in self.nodes.values())
                ),
                *engines,
            )
            return
        for _ in range(200):
            moved = [node.step() for node in self.nodes.values()]
            if not any(moved):
                return

    def act(self, code: str, stage: str, case: str, data: Any, trace: str = "") -> Answer:
        command = Command(
            stream=f"{code}/{stage}",
            case=case,
            data=data,
            actor="system:test",
            acted_at=self.clock.now(),
            trace=trace,
        )
        engine = self.nodes[code].engine
        future = engine.writer.submit(command)
        if not self.running:
            engine.writer.step(0)
        return future.result(PATIENCE)

    def hand_in(self, trace: str = "") -> str:
        """A food licence of Changsha, accepted at Zhuzhou, to be fetched at Xiangtan."""
        number = next(self._numbers)
        case = f"{ZHUZHOU}-{number:06}"
        [item] = [
            item
            for item in self.shared.directory.items
            if item.owner == CHANGSHA and item.name_zh == "食品经营许可"
        ]
        self.act(
            ZHUZHOU,
            "acceptance",
            case,
            commands.SubmitCase(submission=submission(item), serial=number),
            trace,
        )
        return case

    def approve(self, case: str) -> None:
        self.act(CHANGSHA, "review", case, commands.Approve())

    def refuse(self, case: str) -> None:
        remedy = models.Remedy(body="长沙市人民政府", period_days=60)
        ground = models.Ground(source="食品经营许可管理办法", article="12")
        self.act(
            CHANGSHA, "review", case, commands.Refuse(reason="选址不符", grounds=(ground,), remedy=remedy)
        )

    def withdraw(self, case: str) -> None:
        self.act(ZHUZHOU, "acceptance", case, commands.Withdraw())

    def hand_over(self, case: str) -> None:
        code = "AB23CD45"
        ready = commands.MakeReady(
            place="湘潭市民之家", code=code, salt=SALT, code_hash=hash_code(code, SALT)
        )
        self.act(XIANGTAN, "pickup", case, ready)
        self.settle()
        self.clock.move(hours=2)
        collect = commands.HandOver(code=code, document_number=NUMBER + check(NUMBER))
        self.act(XIANGTAN, "pickup", case, collect)

    def garbage(self, topic: str) -> None:
        """Something that is no event of ours, written straight into an inbox."""
        producer = MemoryTransport(self.broker).producer("garbage")
        producer.send(Outbound(topic, 0, b"key", b"\x00rubbish", []), lambda _error: None)
        producer.poll(0)
        producer.close()

    def stop(self) -> None:
        for node in self.nodes.values():
            node.engine.stop()
            node.ledger.close()


def check(numbers: str) -> str:
    """The check character of a citizen number."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    return "10X98765432"[sum(int(n) * weight for n, weight in zip(numbers, weights, strict=True)) % 11]


def submission(item: Item) -> models.CaseSubmitted:
    person = models.Person(
        name="张伟明",
        document_kind=models.DocumentKind.IDENTITY_CARD,
        document_number=NUMBER + check(NUMBER),
    )
    materials = tuple(
        models.Material(
            code=material.code,
            name=material.name_zh,
            form=models.MaterialForm.COPY,
            may_follow=False,
            digest="ab" * 32,
        )
        for material in item.materials
        if material.required is not Required.NO
    )
    return models.CaseSubmitted(
        item_code=item.code,
        belonging=item.owner,
        channel=models.Channel.COUNTER,
        applicant=models.Applicant(person=person),
        materials=materials,
        delivery=models.Delivery(kind=models.DeliveryKind.COUNTER, jurisdiction=XIANGTAN),
    )


@pytest.fixture(scope="session")
def shared() -> Shared:
    return Shared()


@pytest.fixture
def town(shared: Shared, tmp_path: Path) -> Iterator[Town]:
    made = Town(shared, lambda code: f"sqlite:///{tmp_path}/{code}.db")
    yield made
    made.stop()


@pytest.fixture
def town_on_postgresql(shared: Shared, new_database: Callable[[str], str]) -> Iterator[Town]:
    """The same with ledgers in PostgreSQL."""
    made = Town(shared, new_database)
    yield made
    made.stop()


@pytest.fixture
def serve() -> Iterator[Callable[[Node], str]]:
    """Serves nodes until the test ends; gives their host:port."""
    with ExitStack() as stack:
        yield lambda node: stack.enter_context(serving(node.app)).removeprefix("http://")


@pytest.fixture
def client(town: Town, serve: Callable[[Node], str]) -> Iterator[httpx.Client]:
    """Asks Zhuzhou's node."""
    with httpx.Client(base_url=f"http://{serve(town.zhuzhou)}", timeout=PATIENCE) as made:
        yield made


@pytest.fixture
def keys() -> dict[str, str]:
    return {"operator": OPERATOR_KEY, "reviewer": CLERK_KEY}
