"""Two nodes on real ports: their engines run in threads over the in-memory broker, their ledgers are SQLite files."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

import consumers
import web
from bus import Command, Engine, Ledger, SystemClock
from bus.transport import MemoryBroker, MemoryTransport
from cases import AcceptanceStage, AcceptanceState, PickupStage, ReviewStage, commands
from jurisdictions import Required, load_directory
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue, load_schemas, models
from tests import running
from tests.running import PATIENCE, Watching, serving
from web import Caller, Callers, Context, Role

GUANGZHOU, CHANGSHA = "440100", "430100"
_directory = cache(load_directory)
_schemas = cache(load_schemas)

PEOPLE = {
    "li": ("clerk:li@430100", [Role.REVIEW]),
    "zhao": ("clerk:zhao@430100", [Role.REVIEW]),
    "wang": ("clerk:wang@440100", [Role.PICKUP, Role.SUBMIT]),
    "sun": ("system:sun@430200", [Role.SUBMIT]),
    "wu": ("operator:wu", [Role.OPERATE]),
    "ma": ("system:ma", [Role.READ]),
}
KEYS = {name: web.new_key() for name in PEOPLE}


class Node(NamedTuple):
    engine: Engine
    app: FastAPI
    url: str


@contextmanager
def node(folder: Path, broker: MemoryBroker, stages: list[Any]) -> Iterator[Node]:
    code = stages[0].code
    ledger = Ledger(f"sqlite:///{folder}/{code}.db")
    ledger.create()
    catalogue = load_catalogue()
    engine = Engine(
        ledger,
        MemoryTransport(broker),
        stages,
        schemas=_schemas(),
        topology=DirectoryTopology(_directory(), catalogue),
        observer=Watching(),
        projections=consumers.projections(stages),
        client=code,
    )
    callers = [
        Caller(
            caller=caller,
            name=name,
            jurisdiction=caller.partition("@")[2] or code,
            roles=frozenset(roles),
            sha256=KEYS[name][1],
        )
        for name, (caller, roles) in PEOPLE.items()
    ]
    context = Context(
        code=code,
        stages=tuple(stage.stage for stage in stages),
        engine=engine,
        directory=_directory(),
        schemas=_schemas(),
        catalogue=catalogue,
        callers=Callers(callers),
    )
    app = web.create_app(context, [consumers.router(context)])
    engine.start()
    try:
        with serving(app) as url:
            yield Node(engine, app, url)
    finally:
        engine.stop()
        ledger.close()
    assert engine.failure is None


class Region:
    """Collected and fetched in Guangzhou, reviewed in Changsha."""

    def __init__(self, here: Node, there: Node) -> None:
        self.here = here
        self.there = there
        self.item = _directory().implement("000131001001", CHANGSHA)  # 食品经营许可
        self._serials = 0
        self._clients: list[httpx.Client] = []

    def key(self, name: str) -> str:
        return KEYS[name][0]

    def client(self, name: str, at: Node) -> httpx.Client:
        """Calls with somebody's key."""
        made = httpx.Client(
            base_url=at.url, headers={"Authorization": f"Bearer {KEYS[name][0]}"}, timeout=PATIENCE
        )
        self._clients.append(made)
        return made

    def browser(self, name: str, at: Node) -> httpx.Client:
        """A browser in which somebody signed in."""
        made = httpx.Client(
            base_url=at.url, headers={"Origin": at.url}, follow_redirects=True, timeout=PATIENCE
        )
        self._clients.append(made)
        assert made.post("/login", data={"key": KEYS[name][0]}).status_code == 200
        return made

    def close(self) -> None:
        for client in self._clients:
            client.close()

    def hand_in(self, name: str = "张伟明", kind: models.DeliveryKind = models.DeliveryKind.COUNTER) -> str:
        """A case on its way from Guangzhou's window; gives its id."""
        clock = SystemClock()
        self._serials += 1
        case = f"{GUANGZHOU}-{self._serials:06}"
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
        address = "广州市天河区某路1号" if kind is models.DeliveryKind.POST else None
        submission = models.CaseSubmitted(
            item_code=self.item.code,
            belonging=CHANGSHA,
            channel=models.Channel.COUNTER,
            applicant=models.Applicant(person=person, contact=models.Contact(mobile="13800000000")),
            materials=materials,
            delivery=models.Delivery(kind=kind, jurisdiction=GUANGZHOU, address=address),
        )
        command = Command(
            stream=f"{GUANGZHOU}/acceptance",
            case=case,
            data=commands.SubmitCase(submission=submission, serial=self._serials),
            actor="system:gz-hall",
            acted_at=clock.now(),
        )
        self.here.engine.writer.submit(command).result(timeout=PATIENCE)
        return case

    def code_sent(self, case: str) -> str | None:
        """The collection code that the accepting office has for the applicant."""

        found = self.here.engine.case(f"{GUANGZHOU}/acceptance", case)
        assert found is not None
        state: AcceptanceState = found.state
        return state.collection_code


@pytest.fixture
def eventually(region: Region) -> Callable[[Callable[[], Any]], Any]:
    """What is looked for, once it is there; the nodes say what they did if it never is."""
    return lambda look: running.eventually(look, region.here.engine, region.there.engine)


@pytest.fixture(scope="session")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Region]:
    """One for all tests of this folder; each has cases of its own."""
    folder = tmp_path_factory.mktemp("consumers")
    directory = _directory()
    broker = MemoryBroker()
    topology = DirectoryTopology(directory, load_catalogue())
    MemoryTransport(broker).ensure_topics(topology.topics(frozenset({GUANGZHOU, CHANGSHA})))
    here = [AcceptanceStage(GUANGZHOU, directory), PickupStage(GUANGZHOU, directory)]
    with ExitStack() as stack:
        made = Region(
            stack.enter_context(node(folder, broker, here)),
            stack.enter_context(node(folder, broker, [ReviewStage(CHANGSHA, directory)])),
        )
        stack.callback(made.close)
        yield made
