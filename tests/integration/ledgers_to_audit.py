"""Ledgers that nodes filled in one process, and ways to damage them that the checker must see through."""

import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection, select, update

from bus import Answer, Command, Entry, Ledger, Unavailable
from bus.ledger import Kind as RowKind
from bus.ledger import merkle, tables
from bus.ledger.entry import encode
from bus.transport import Transport
from jurisdictions import CHINA_TIME, load_directory
from kuayu.audit import Kind, Problem, Report, audit
from kuayu.demo.mixes import MIXES
from kuayu.demo.scripts import SimulatedCase
from kuayu.demo.simulator import Simulator
from kuayu.node import Node
from kuayu.settings import Settings
from kuayu.topology import DirectoryTopology
from producers import Submissions
from schemas import load_catalogue
from tests.running import PATIENCE, eventually

CODES = ("430100", "430200", "430300")
Answered = TypeVar("Answered")


class Ledgers(NamedTuple):
    """Three ledgers that were filled by nodes and are left by them, and the ids of all cases."""

    folder: Path
    cases: list[str]

    def urls(self) -> dict[str, str]:
        return {code: f"sqlite:///{self.folder / code}.db" for code in CODES}

    def report(self) -> Report:
        return audit(self.urls(), accepted=self.cases)

    def problems(self, accepted: list[str] | None = None) -> list[Problem]:
        return audit(self.urls(), accepted=accepted or self.cases).problems

    def ledger(self, code: str) -> Ledger:
        return Ledger(self.urls()[code])

    def damage(self, code: str, damage: "Damage") -> "Found":
        ledger = self.ledger(code)
        with ledger.engine.begin() as connection:
            found = damage(connection)
        ledger.close()
        return found

    def copy(self, folder: Path) -> "Ledgers":
        """The same elsewhere, to be damaged."""
        for file in self.folder.glob("*.db*"):
            shutil.copy(file, folder)
        return self._replace(folder=folder)


class Nodes:
    """Three nodes in one process; a context manager that leaves their ledgers behind."""

    def __init__(self, folder: Path, transport: Transport) -> None:
        self.settings = Settings(data=folder)
        self.transport = transport
        self.topology = DirectoryTopology(load_directory(), load_catalogue())
        self.transport.ensure_topics(self.topology.topics(frozenset({*CODES, "440100"})))
        self.nodes: dict[str, Node] = {}
        self.cases: dict[str, str] = {}
        """Ids by idempotency key."""
        self._simulator = Simulator(
            load_directory(), CODES, MIXES["stress"], 7, datetime.now(CHINA_TIME).date()
        )
        self._handed_in: dict[str, SimulatedCase] = {}

    def __enter__(self) -> Self:
        for code in CODES:
            self.start(code)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for code in list(self.nodes):
            self.stop(code)
        structlog.reset_defaults()

    def start(self, code: str) -> None:
        self.nodes[code] = Node(code, self.settings, transport=self.transport)
        self.nodes[code].start()

    def stop(self, code: str) -> None:
        node = self.nodes.pop(code)
        node.webhooks.stop()
        node.engine.stop()
        node.ledger.close()

    def new_cases(self, count: int) -> list[str]:
        """Keys of so many cases that were never handed in."""
        keys = [str(len(self._handed_in) + number) for number in range(count)]
        self._handed_in |= {key: self._simulator.case(online=True) for key in keys}
        return keys

    def hand_in(self, keys: Iterable[str]) -> None:
        """Until they are taken, for the first time or again."""
        answers = {}
        for key in keys:
            case = self._handed_in[key]
            node = self.nodes[case.node]
            command = Submissions(case.node, node.ledger).command(
                case.submission, caller="hall", key=key, acted_at=datetime.now(UTC), trace=""
            )
            answer = self.until(partial(_submitted, node, command))
            assert answer is not None
            answers[key] = answer
        self.cases |= {key: answer.result(PATIENCE).case for key, answer in answers.items()}

    def settle(self) -> None:
        """Until every hand-over has its receipt, and every lane is agreed on."""
        self.until(self._at_rest)

    def _at_rest(self) -> bool:
        """Also none was begun by a node while the others were looked at."""
        engines = [node.engine for node in self.nodes.values()]
        before = [engine.books.head.next_row for engine in engines]
        if any(engine.books.restoring or engine.books.opening for engine in engines):
            return False
        if any(any(rows) for engine in engines for rows in engine.relay.backlog().values()):
            return False
        return before == [engine.books.head.next_row for engine in engines]

    def until(self, done: Callable[[], Answered]) -> Answered:
        """What it gives, once it gives anything."""
        return eventually(done, *(node.engine for node in self.nodes.values()))


def _submitted(node: Node, command: Command) -> Future[Answer] | None:
    try:
        return node.engine.writer.submit(command)
    except Unavailable:
        return None


class Found(NamedTuple):
    """What must be said of a damage."""

    kind: Kind
    what: str
    place: dict[str, Any]

    def is_in(self, problems: list[Problem]) -> bool:
        return any(
            problem.kind is self.kind
            and self.what in problem.what
            and all(getattr(problem, name) == value for name, value in self.place.items())
            for problem in problems
        )


Damage = Callable[[Connection], Found]
"""Changes a ledger, and says what must be found."""


def rewrite(connection: Connection, changed: dict[int, Entry]) -> None:
    """Put other entries in these rows as somebody would who knows how roots and chains are computed."""
    for row, entry in changed.items():
        numbered = msgspec.structs.replace(entry, row=row)
        lane = select(tables.lane.c.id).where(
            tables.lane.c.name == entry.lane, tables.lane.c.outward == (entry.kind is RowKind.OUT)
        )
        connection.execute(
            update(tables.log)
            .where(tables.log.c.row == row)
            .values(
                entry=encode(numbered),
                subject=entry.subject,
                number=entry.number or None,
                lane=connection.execute(lane).scalar() if entry.number else None,
            )
        )
    chain = merkle.NOTHING
    for batch in connection.execute(select(tables.batch).order_by(tables.batch.c.batch)).all():
        within = tables.log.c.row.between(batch.first_row, batch.last_row)
        blobs = connection.execute(
            select(tables.log.c.entry).where(within).order_by(tables.log.c.row)
        ).scalars()
        root = merkle.root(list(blobs))
        chain = merkle.chain(chain, batch.batch, batch.first_row, batch.last_row, root)
        connection.execute(
            update(tables.batch).where(tables.batch.c.batch == batch.batch).values(root=root, chain=chain)
        )
    connection.execute(update(tables.head).values(chain=chain))


def nothing(entry: Entry) -> Entry:
    """A local row of the same case that does nothing."""
    return Entry(
        row=entry.row,
        kind=RowKind.LOCAL,
        stream=entry.stream,
        subject=entry.subject,
        type="Note",
        recorded_ms=entry.recorded_ms,
        outcome="refused",
        code="none",
    )
