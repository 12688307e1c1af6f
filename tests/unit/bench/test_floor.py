"""The floor is measured on the rows of whole cases, as the ledgers have them, and leaves those as they are."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import inspect, select

from bus import Engine, Kind, Ledger
from bus.ledger.entry import decode
from bus.ledger.tables import log
from bus.transport import MemoryBroker, MemoryTransport
from jurisdictions import load_directory
from kuayu.bench import floor, flow
from kuayu.bench.load import Load
from kuayu.bench.raw import Raw
from kuayu.bench.speed import BenchError
from kuayu.bench.worker import STAGES
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue, load_schemas
from tests.running import Watching

CASES = 6
DRIVER = Raw(20_000.0, 20.0, 4.0, 3.0, 40_000.0, 40.0, 7.0, 5.0)


class Region(NamedTuple):
    """Ledgers as the three processes of the bench fill them."""

    folder: Path
    complete: list[str]
    """Ids of the cases that went through all stages, in order."""


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Region:
    """Besides the complete cases there is a later one, which was taken and went no further."""
    folder = tmp_path_factory.mktemp("ledgers")
    directory, broker = load_directory(), MemoryBroker()
    topology = DirectoryTopology(directory, load_catalogue())
    MemoryTransport(broker).ensure_topics(topology.topics(frozenset(code for _, code in flow.PLACES)))
    engines = []
    for stage, code in flow.PLACES:
        ledger = Ledger(f"sqlite:///{flow.ledger_file(folder, stage, code)}")
        ledger.create()
        handler = STAGES[stage.value](code, directory)
        engines.append(
            Engine(
                ledger,
                MemoryTransport(broker),
                [handler],
                schemas=load_schemas(),
                topology=topology,
                observer=Watching(),
                client=code,
            )
        )
    acceptance, load = engines[0].writer, Load(directory)
    commands = list(load.commands([datetime.now(UTC)] * CASES))
    for command in commands:
        acceptance.submit(command)
    while any([step(engine) for engine in engines]):  # noqa: C419 - each is to step
        pass
    [later] = load.commands([datetime.now(UTC)])
    acceptance.submit(later)
    acceptance.step(0)
    for engine in engines:
        engine.ledger.close()
    return Region(folder, sorted(command.case for command in commands))


def step(engine: Engine) -> bool:
    worked = engine.relay.step(0)
    worked |= engine.inbox.step(0)
    return engine.writer.step(0) or worked


def subjects(logs: list[list[floor.Row]]) -> list[set[str]]:
    return [{subject for _, subject, *_ in rows} for rows in logs]


def test_a_case_has_five_events_at_both_ends_and_one_command(region: Region) -> None:
    acceptance, review, pickup = floor.read(region.folder, CASES + 1)
    assert [len(acceptance), len(review), len(pickup)] == [4 * CASES, 4 * CASES, 3 * CASES]
    kinds = Counter(decode(row[-1]).kind for row in [*acceptance, *review, *pickup])
    assert kinds == {Kind.OUT: 5 * CASES, Kind.IN: 5 * CASES, Kind.LOCAL: CASES}


def test_the_last_cases_are_read_in_the_order_of_their_rows(region: Region) -> None:
    logs = floor.read(region.folder, 4)
    assert subjects(logs) == [set(region.complete[-3:])] * 3  # the fourth has gone no further than acceptance
    for rows in logs:
        assert rows == sorted(rows)


def test_fewer_cases_than_asked_for_are_all_read(region: Region) -> None:
    assert subjects(floor.read(region.folder, 1_000)) == [set(region.complete)] * 3


def test_every_part_is_measured_and_no_trace_is_left(region: Region) -> None:
    before = sorted(region.folder.iterdir())
    found = floor.measure(region.folder, 1_000, DRIVER)
    assert found[:2] == (5 * (3.0 + 5.0), 5 * (1.0 + 2.0))
    assert min(found) > 0
    assert found.total_us == pytest.approx(
        40.0 + found.codec_us + found.hashes_us + found.packing_us + found.database_us
    )
    assert sorted(region.folder.iterdir()) == before


def test_the_rows_get_into_the_database_as_they_are(region: Region, tmp_path: Path) -> None:
    logs = floor.read(region.folder, CASES)
    assert floor._insert(tmp_path / "run", logs) > 0
    for number, rows in enumerate(logs):
        ledger = Ledger(f"sqlite:///{tmp_path}/run/{number}.db")
        with ledger.read() as connection:
            assert [tuple(row) for row in connection.execute(select(log).order_by(log.c.row))] == rows
            assert inspect(connection).get_table_names() == ["log"]
            indexes = {index["name"] for index in inspect(connection).get_indexes("log")}
        ledger.close()
        assert indexes == {"log_lane", "log_subject"}


def test_cases_that_went_through_one_stage_only_are_no_measure(region: Region) -> None:
    with pytest.raises(BenchError, match=r"no case .* went through all stages"):
        floor.read(region.folder, 1)


def test_ledgers_without_cases_are_no_measure(tmp_path: Path) -> None:
    for stage, code in flow.PLACES:
        ledger = Ledger(f"sqlite:///{flow.ledger_file(tmp_path, stage, code)}")
        ledger.create()
        ledger.close()
    with pytest.raises(BenchError, match=r"no case .* went through all stages"):
        floor.measure(tmp_path, 10, DRIVER)
