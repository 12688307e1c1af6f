"""Two nodes in this process over a broker in memory: 430200 takes cases in and is served on a real port, 430100 decides."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from fastapi import FastAPI

import web
from bus import Answer, Command, Engine, Handler, Intake, Ledger, Projection, SystemClock
from bus.transport import MemoryBroker, MemoryTransport
from cases import AcceptanceStage, ReviewStage
from jurisdictions import Directory, load_directory
from kuayu.topology import DirectoryTopology
from producers import Producers
from producers.models import EXAMPLE
from schemas import Catalogue, Schemas, load_catalogue, load_schemas
from tests import running
from tests.running import PATIENCE, Watching, serving
from web import Caller, Callers, Context, Role

Json = dict[str, Any]


class World(NamedTuple):
    """What all nodes know alike."""

    directory: Directory
    schemas: Schemas
    catalogue: Catalogue
    broker: MemoryBroker

    def on(self, broker: MemoryBroker) -> "World":
        """The same over another broker, with its topics made."""
        topics = DirectoryTopology(self.directory, self.catalogue).topics(
            frozenset({"430100", "430200", "430300"})
        )
        MemoryTransport(broker).ensure_topics(topics)
        return self._replace(broker=broker)

    def engine(
        self,
        ledger: Ledger,
        handlers: list[Handler],
        projections: tuple[Projection, ...] = (),
        intakes: tuple[Intake, ...] = (),
    ) -> Engine:
        return Engine(
            ledger,
            MemoryTransport(self.broker),
            handlers,
            schemas=self.schemas,
            topology=DirectoryTopology(self.directory, self.catalogue),
            observer=Watching(),
            projections=projections,
            intakes=intakes,
        )


class Key(NamedTuple):
    """A caller and its key."""

    caller: Caller
    key: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}


def new_caller(name: str, jurisdiction: str, *roles: Role) -> Key:
    key, digest = web.new_key()
    caller = Caller(
        caller=f"system:{name}", name=name, jurisdiction=jurisdiction, roles=frozenset(roles), sha256=digest
    )
    return Key(caller, key)


KEYS = {
    "hall": new_caller("zz-hall", "430200", Role.SUBMIT, Role.READ),
    "bank": new_caller("zz-bank", "430200", Role.SUBMIT),
    "district": new_caller("tianyuan", "430211", Role.SUBMIT),
    "reader": new_caller("zz-archive", "430200", Role.READ),
    "reviewer": new_caller("zz-review", "430200", Role.REVIEW),
}


class Office(NamedTuple):
    """430100 decides: its clerk's acts go straight to its writer."""

    engine: Engine

    def knows(self, case: str) -> bool:
        return self.engine.ledger.case("430100/review", case) is not None

    def act(self, case: str, data: Any) -> Answer:
        command = Command(
            stream="430100/review",
            case=case,
            data=data,
            actor="clerk:li@430100",
            acted_at=SystemClock().now(),
        )
        return self.engine.writer.submit(command).result(PATIENCE)


@pytest.fixture(scope="session")
def world() -> World:
    broker = MemoryBroker()
    return World(load_directory(), load_schemas(), load_catalogue(), broker).on(broker)


class Hall(NamedTuple):
    """The node 430200."""

    address: str
    context: Context
    producers: Producers
    app: FastAPI


@contextmanager
def hall_on(world: World, url: str, port: int = 0) -> Iterator[Hall]:
    """The node with its ledger there, running and served."""
    ledger = Ledger(url)
    ledger.create()
    made = Producers("430200", ledger)
    engine = world.engine(
        ledger, [AcceptanceStage("430200", world.directory)], made.projections, made.intakes
    )
    context = Context(
        code="430200",
        stages=("acceptance",),
        engine=engine,
        directory=world.directory,
        schemas=world.schemas,
        catalogue=world.catalogue,
        callers=Callers([key.caller for key in KEYS.values()]),
    )
    engine.start()
    app = web.create_app(context, [made.router(context)])
    with serving(app, port) as address:
        yield Hall(address, context, made, app)
    engine.stop()
    assert engine.failure is None
    ledger.close()


@pytest.fixture(scope="session")
def hall(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with hall_on(world, f"sqlite:///{tmp_path_factory.mktemp('hall')}/430200.db") as made:
        yield made


@pytest.fixture(scope="session")
def office(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('office')}/430100.db")
    ledger.create()
    engine = world.engine(ledger, [ReviewStage("430100", world.directory)])
    engine.start()
    yield Office(engine)
    engine.stop()
    assert engine.failure is None
    ledger.close()


@pytest.fixture(scope="session")
def keys() -> dict[str, Key]:
    return KEYS


@pytest.fixture
def client(hall: Hall) -> Iterator[httpx.Client]:
    """The hall's own system."""
    with httpx.Client(base_url=hall.address, headers=KEYS["hall"].headers, timeout=PATIENCE) as made:
        yield made


@pytest.fixture
def application() -> Json:
    """A complete application, to be changed at will."""
    copied: Json = msgspec.json.decode(msgspec.json.encode(EXAMPLE))
    return copied


Wait = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def eventually(hall: Hall, office: Office) -> Wait:
    """Ask until the answer is true; hall and office say what they did if it never is."""
    return lambda question: running.eventually(question, hall.context.engine, office.engine)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path}/one.db")
    made.create()
    yield made
    made.close()


@pytest.fixture
def served() -> Iterator[Callable[[FastAPI], str]]:
    """Serves applications on free ports until the test ends."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(serving(app))
