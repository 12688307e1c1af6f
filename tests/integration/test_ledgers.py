"""The three stages with real cases on both databases, over the in-memory broker, stepped by the test."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text

from bus import Answer, Command, Engine, Entry, Fenced, Kind, Ledger, Received, SystemClock
from bus.held import Which, find
from bus.ledger import instant, tables
from bus.ledger.entry import encode
from bus.transport import MemoryBroker, MemoryTransport
from bus.verification import rebuild, verify
from cases import commands
from jurisdictions import Directory, Item, Required, Serves, load_directory
from kuayu import migrations
from kuayu.migrations import upgrade
from kuayu.node import STAGES
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue, load_schemas, models

ZHUZHOU, CHANGSHA, XIANGTAN = "430200", "430100", "430300"


class Watcher:
    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.alarms: list[tuple[str, str]] = []

    def received(self, records: Sequence[Received]) -> None:
        self.outcomes += [record.outcome for record in records]

    def sent(self, *_: Any) -> None: ...
    def committed(self, *_: Any) -> None: ...
    def changed(self, *_: Any) -> None: ...

    def alarm(self, kind: str, detail: str) -> None:
        self.alarms.append((kind, detail))


class Clock:
    """The machine's, further on by as much as it was moved."""

    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return SystemClock().now() + self._ahead

    def move(self, **spans: float) -> None:
        self._ahead += timedelta(**spans)


class Region:
    """Three nodes over one in-memory broker."""

    def __init__(self, urls: dict[str, str]) -> None:
        self.directory: Directory = load_directory()
        self.topology = DirectoryTopology(self.directory, load_catalogue())
        self.broker = MemoryBroker()
        self.clock = Clock()
        MemoryTransport(self.broker).ensure_topics(self.topology.topics(frozenset(urls)))
        self.urls = urls
        self.handed_in: list[Future[Answer]] = []
        self.watchers = {code: Watcher() for code in urls}
        self.engines = {code: self.open(code) for code in urls}

    def open(self, code: str) -> Engine:
        stages = {"acceptance": ZHUZHOU, "review": CHANGSHA, "pickup": XIANGTAN}
        [stage] = [STAGES[name] for name, place in stages.items() if place == code]
        ledger = Ledger(self.urls[code])
        upgrade(ledger.engine)
        return Engine(
            ledger,
            MemoryTransport(self.broker),
            [stage(code, self.directory)],
            schemas=load_schemas(),
            topology=self.topology,
            observer=self.watchers[code],
            client=code,
            clock=self.clock,
        )

    def settle(self) -> None:
        for _ in range(60):
            moved = [
                part.step(0)
                for engine in self.engines.values()
                for part in (engine.relay, engine.inbox, engine.writer)
            ]
            if not any(moved):
                break
        for future in self.handed_in:
            future.result(timeout=0)

    def instant_item(self) -> Item:
        return next(
            item
            for item in self.directory.items
            if item.owner == CHANGSHA and item.instant and Serves.PERSON in item.serves
        )

    def hand_in(self, number: int) -> str:
        item = self.instant_item()
        case = f"{ZHUZHOU}-{number:06}"
        person = models.Person(
            name="张伟明",
            document_kind=models.DocumentKind.IDENTITY_CARD,
            document_number="11010519491231002X",
        )
        materials = tuple(
            models.Material(
                code=m.code, name=m.name_zh, form=models.MaterialForm.COPY, may_follow=False, digest="ab" * 32
            )
            for m in item.materials
            if m.required is not Required.NO
        )
        submission = models.CaseSubmitted(
            item_code=item.code,
            belonging=CHANGSHA,
            channel=models.Channel.COUNTER,
            applicant=models.Applicant(person=person),
            materials=materials,
            delivery=models.Delivery(kind=models.DeliveryKind.ELECTRONIC, jurisdiction=XIANGTAN),
        )
        self.handed_in.append(
            self.engines[ZHUZHOU].writer.submit(
                Command(
                    stream=f"{ZHUZHOU}/acceptance",
                    case=case,
                    data=commands.SubmitCase(submission=submission, serial=number),
                    actor="system:test",
                    acted_at=self.clock.now(),
                    key=case,
                    caller="test",
                )
            )
        )
        return case

    def statuses(self, code: str) -> dict[str, int]:
        table = tables.case
        with self.engines[code].ledger.read() as connection:
            rows = connection.execute(select(table.c.status, func.count()).group_by(table.c.status)).all()
        return dict(rows)

    def problems(self) -> list[str]:
        return [p for engine in self.engines.values() for p in verify(engine.ledger, engine.records)]

    def close(self) -> None:
        for engine in self.engines.values():
            engine.ledger.close()


@pytest.fixture
def region(new_ledger: Callable[[str], str]) -> Iterator[Region]:
    made = Region({code: new_ledger(code) for code in (ZHUZHOU, CHANGSHA, XIANGTAN)})
    yield made
    made.close()


def test_cases_run_through_all_stages_and_every_hand_over_is_receipted(region: Region) -> None:
    for number in range(20):
        region.hand_in(number)
    region.settle()
    assert region.statuses(ZHUZHOU) == {"delivered": 20}
    assert region.problems() == []
    for engine in region.engines.values():
        assert all(not_receipted == 0 for _, not_receipted in engine.relay.backlog().values())


def test_a_restart_goes_on_where_it_was(region: Region) -> None:
    for number in range(5):
        region.hand_in(number)
    region.engines[ZHUZHOU].writer.step(0)
    region.engines[ZHUZHOU].relay.step(0)
    for code in region.urls:
        region.engines[code].ledger.close()
        region.engines[code] = region.open(code)
        region.settle()
    assert region.statuses(ZHUZHOU) == {"delivered": 5}
    assert region.problems() == []


def test_a_former_owner_is_fenced(region: Region) -> None:
    old = region.engines[ZHUZHOU]
    region.hand_in(1)
    region.engines[ZHUZHOU] = region.open(ZHUZHOU)
    with pytest.raises(Fenced):
        old.writer.step(0)
    assert region.statuses(ZHUZHOU) == {}
    old.ledger.close()


def test_projections_equal_a_rebuild(region: Region) -> None:
    for number in range(5):
        region.hand_in(number)
    region.settle()
    for engine in region.engines.values():
        with engine.ledger.read() as connection:
            before = connection.execute(select(tables.case).order_by(tables.case.c.subject)).all()
        assert rebuild(engine.ledger, engine.records, []) > 0
        with engine.ledger.read() as connection:
            after = connection.execute(select(tables.case).order_by(tables.case.c.subject)).all()
        assert [tuple(row) for row in before] == [tuple(row) for row in after]


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE log SET entry = (SELECT entry FROM log WHERE row = 2) WHERE row = 1",
        "DELETE FROM log WHERE row = 2",
        "UPDATE case_state SET status = 'collected' WHERE status = 'delivered'",
        "UPDATE lane SET number = number + 1",
        "UPDATE batch SET first_row = first_row + 1 WHERE batch = 2",
        "DELETE FROM case_state",
    ],
)
def test_verification_finds_damage(region: Region, damage: str) -> None:
    region.hand_in(1)
    region.settle()
    region.hand_in(2)
    region.settle()
    assert region.problems() == []
    with region.engines[ZHUZHOU].ledger.engine.begin() as connection:
        connection.execute(text(damage))
    assert region.problems() != []


def scripts() -> Any:
    """Alembic's configuration with our migrations; it is slow to load, so not with the module."""
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def test_migrations_make_the_tables_that_the_program_uses(new_ledger: Callable[[str], str]) -> None:
    """Of a new ledger, and of one that any older program has made."""
    from alembic import command  # noqa: PLC0415 - slow to load, used here and below
    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    import consumers  # noqa: F401, PLC0415 - they bring tables of their own
    import producers  # noqa: F401, PLC0415

    config = scripts()
    revisions = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert revisions[0] == migrations.NEWEST
    for older in ("base", *reversed(revisions)):
        ledger = Ledger(new_ledger(f"made_by_{older}"))
        with ledger.engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, older)
        upgrade(ledger.engine)
        with ledger.engine.connect() as connection:
            assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
        ledger.close()


def test_cases_are_known_as_well_after_their_states_are_gone(new_ledger: Callable[[str], str]) -> None:
    from alembic import command  # noqa: PLC0415 - slow to load, used above and below

    ledger = Ledger(new_ledger("with_states"))
    config = scripts()
    with ledger.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        connection.execute(
            text(
                "INSERT INTO case_state VALUES ('430100/review', '430200-1', 7, 'in_review', :open, :state)"
            ),
            {"open": True, "state": b"x"},
        )
    upgrade(ledger.engine)
    assert ledger.case("430100/review", "430200-1") == ("430100/review", "430200-1", 7, "in_review", True)
    ledger.close()


def test_what_was_held_before_is_known_as_well_after_the_migration(new_ledger: Callable[[str], str]) -> None:
    from alembic import command  # noqa: PLC0415 - slow to load, used here and above

    ledger = Ledger(new_ledger("older"))
    config = scripts()
    lane = "kuayu.acceptance.430200/0>kuayu.review.430100/0"
    entry = Entry(
        row=7,
        kind=Kind.IN,
        stream="430100/review",
        subject="430200-1",
        type="CaseAccepted",
        recorded_ms=1_772_424_000_000,
        lane=lane,
        number=3,
    )
    with ledger.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO log (row, subject, number, entry) VALUES (7, '430200-1', 3, :entry)"),
            {"entry": encode(entry)},
        )
        connection.execute(
            text(
                "INSERT INTO held VALUES (7, '430100/review', '430200-1', 'parked', 'handler_error', 'why', '')"
            )
        )
    upgrade(ledger.engine)
    [event] = find(ledger, Which(), 10)
    assert (event.lane, event.type, event.since) == (lane, "CaseAccepted", instant(entry.recorded_ms))
    assert (event.status, event.tries, event.version) == ("parked", 0, "")
    ledger.close()


def test_time_is_whole_milliseconds() -> None:
    assert SystemClock().now().microsecond % 1000 == 0
