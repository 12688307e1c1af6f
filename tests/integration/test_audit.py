"""The independent checker: silent about sound ledgers, and each damage is found, named and placed."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
import structlog
from sqlalchemy import Connection, delete, insert, select, update
from typer.testing import CliRunner

import consumers.tables
from bus import Engine, Entry, Ledger
from bus.ledger import Kind as RowKind
from bus.ledger import merkle, tables
from bus.ledger.entry import decode, encode
from bus.transport import MemoryBroker, MemoryTransport
from jurisdictions import CHINA_TIME, load_directory
from kuayu.audit import Kind, Problem, audit
from kuayu.cli import app
from kuayu.demo.mixes import MIXES
from kuayu.demo.simulator import Simulator
from kuayu.node import Node
from kuayu.settings import Settings
from kuayu.topology import DirectoryTopology
from producers import Submissions
from schemas import load_catalogue
from tests.chaos.wire import Forger
from tests.running import PATIENCE, eventually

CODES = ("430100", "430200", "430300")
CASES = 120


class Ledgers(NamedTuple):
    """Three ledgers that were filled by nodes and are left by them, and the ids of all cases."""

    folder: Path
    cases: list[str]

    def urls(self) -> dict[str, str]:
        return {code: f"sqlite:///{self.folder / code}.db" for code in CODES}

    def problems(self, accepted: list[str] | None = None) -> list[Problem]:
        return audit(self.urls(), accepted=accepted or self.cases).problems

    def ledger(self, code: str) -> Ledger:
        return Ledger(self.urls()[code])


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Ledgers:
    """Instant cases through three nodes over a broker in memory, and one event that is parked."""
    folder = tmp_path_factory.mktemp("ledgers")
    directory = load_directory()
    topology = DirectoryTopology(directory, load_catalogue())
    transport = MemoryTransport(MemoryBroker())
    transport.ensure_topics(topology.topics(frozenset({*CODES, "440100"})))
    with ExitStack() as stack:
        nodes = {}
        for code in CODES:
            nodes[code] = Node(code, Settings(data=folder), transport=transport)
            stack.callback(nodes[code].ledger.close)
            nodes[code].start()
            stack.callback(nodes[code].engine.stop)
        cases = _hand_in(nodes)
        forger = Forger(topology, Random(1))
        body, schema = forger.good_body()
        producer = transport.producer("stranger")
        producer.send(forger.taken("430100", body[:5] + b"no Avro", schema.digest), lambda _: None)
        producer.flush(PATIENCE)
        engines = [node.engine for node in nodes.values()]
        eventually(lambda: nodes["430100"].engine.books.held, *engines)
        eventually(lambda: _at_rest(engines), *engines)
    structlog.reset_defaults()
    return Ledgers(folder, cases)


def _hand_in(nodes: dict[str, Node]) -> list[str]:
    simulator = Simulator(load_directory(), CODES, MIXES["stress"], 7, datetime.now(CHINA_TIME).date())
    submissions = {code: Submissions(code, node.ledger) for code, node in nodes.items()}
    answers = []
    for number in range(CASES):
        case = simulator.case(online=True)
        command = submissions[case.node].command(
            case.submission, caller="hall", key=str(number), acted_at=datetime.now(UTC), trace=""
        )
        answers.append(nodes[case.node].engine.writer.submit(command))
    return [answer.result(PATIENCE).case for answer in answers]


def _at_rest(engines: Sequence[Engine]) -> bool:
    """Whether no hand-over is open anywhere: nor was one begun by a node while the others were looked at."""
    before = [engine.books.head.next_row for engine in engines]
    if any(any(rows) for engine in engines for rows in engine.relay.backlog().values()):
        return False
    return before == [engine.books.head.next_row for engine in engines]


@pytest.fixture
def ledgers(filled: Ledgers, tmp_path: Path) -> Ledgers:
    """A copy to be damaged."""
    for file in filled.folder.glob("*.db*"):
        shutil.copy(file, tmp_path)
    return filled._replace(folder=tmp_path)


def test_nothing_is_said_of_sound_ledgers(ledgers: Ledgers) -> None:
    report = audit(ledgers.urls(), accepted=ledgers.cases)
    assert report.problems == []
    assert report.counts["cases"] == CASES
    assert report.counts["events_sent"] > CASES
    assert report.counts["events_applied"] + report.counts["events_refused"] == report.counts["events_sent"]
    assert report.counts["events_from_ledgers_not_audited"] == 1


# Damages: each changes a ledger and says what must be found.


class Found(NamedTuple):
    kind: Kind
    what: str
    place: dict[str, Any]


def pick(connection: Connection, kind: RowKind, *, last_of_lane: bool = False) -> Entry:
    """An event of a lane with several."""
    query = select(tables.log.c.entry).where(tables.log.c.lane.is_not(None)).order_by(tables.log.c.row)
    entries = [entry for entry in map(decode, connection.execute(query).scalars()) if entry.kind is kind]
    for entry in entries:
        lane = [other for other in entries if other.lane == entry.lane]
        if len(lane) >= 3:
            return lane[-1] if last_of_lane else lane[1]
    raise AssertionError("no lane has three events")


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


def a_row_is_flipped(connection: Connection) -> Found:
    entry = pick(connection, RowKind.OUT)
    blob = bytearray(encode(entry))
    at = bytes(blob).index(entry.value) + len(entry.value) // 2
    blob[at] ^= 1
    connection.execute(update(tables.log).where(tables.log.c.row == entry.row).values(entry=bytes(blob)))
    return Found(Kind.DAMAGED, "lane's hash", {"row": entry.row, "lane": entry.lane, "case": entry.subject})


def a_row_is_flipped_in_its_batch(connection: Connection) -> Found:
    entry = pick(connection, RowKind.IN)
    blob = bytes(encode(msgspec.structs.replace(entry, recorded_ms=entry.recorded_ms + 1)))
    connection.execute(update(tables.log).where(tables.log.c.row == entry.row).values(entry=blob))
    batch = connection.execute(
        select(tables.batch).where(
            tables.batch.c.first_row <= entry.row, tables.batch.c.last_row >= entry.row
        )
    ).one()
    return Found(Kind.DAMAGED, f"root batch {batch.batch} has", {"row": batch.first_row})


def a_row_is_deleted(connection: Connection) -> Found:
    entry = pick(connection, RowKind.IN)
    connection.execute(delete(tables.log).where(tables.log.c.row == entry.row))
    return Found(Kind.LOST, "missing from batch", {"row": entry.row})


def the_last_batch_is_cut_off(connection: Connection) -> Found:
    last = connection.execute(select(tables.batch).order_by(tables.batch.c.batch.desc()).limit(1)).one()
    connection.execute(delete(tables.log).where(tables.log.c.row >= last.first_row))
    connection.execute(delete(tables.batch).where(tables.batch.c.batch == last.batch))
    return Found(Kind.DAMAGED, "the log ends at", {})


def a_lane_number_is_missing(connection: Connection) -> Found:
    entry = pick(connection, RowKind.OUT)
    rewrite(connection, {entry.row: nothing(entry)})
    return Found(Kind.LOST, f"numbers {entry.number} to {entry.number} of the lane", {"lane": entry.lane})


def an_effect_is_applied_twice(connection: Connection) -> Found:
    entry = pick(connection, RowKind.IN)
    local = connection.execute(
        select(tables.log.c.entry).where(tables.log.c.lane.is_(None)).order_by(tables.log.c.row.desc())
    ).scalars()
    free = decode(next(iter(local)))
    again = msgspec.structs.replace(
        nothing(entry), outcome="applied", facts=entry.facts, cause=entry.row, type=entry.type
    )
    rewrite(connection, {free.row: again})
    place = {"row": entry.row, "lane": entry.lane, "number": entry.number, "case": entry.subject}
    return Found(Kind.DOUBLED, f"row {free.row}", place)


def an_event_is_removed_at_its_receiver(connection: Connection) -> Found:
    entry = pick(connection, RowKind.IN, last_of_lane=True)
    rewrite(connection, {entry.row: nothing(entry)})
    lane = tables.lane
    before = connection.execute(
        select(tables.log.c.entry)
        .join(lane, lane.c.id == tables.log.c.lane)
        .where(lane.c.name == entry.lane, ~lane.c.outward, tables.log.c.number == entry.number - 1)
    ).scalar_one()
    connection.execute(
        update(lane)
        .where(lane.c.name == entry.lane, ~lane.c.outward)
        .values(number=entry.number - 1, hash=decode(before).lane_hash)
    )
    place = {"lane": entry.lane, "number": entry.number, "case": entry.subject}
    return Found(Kind.LOST, "is not in the log of its receiver", place)


def two_events_change_places(connection: Connection) -> Found:
    entry = pick(connection, RowKind.IN)
    following = next(
        other
        for other in map(decode, connection.execute(select(tables.log.c.entry)).scalars())
        if (other.kind, other.lane, other.number) == (RowKind.IN, entry.lane, entry.number + 1)
    )
    rewrite(connection, {entry.row: following, following.row: entry})
    return Found(Kind.OUT_OF_ORDER, "before an earlier number", {"lane": entry.lane})


def a_mark_is_too_high(connection: Connection) -> Found:
    entry = pick(connection, RowKind.OUT)
    mine = (tables.lane.c.name == entry.lane) & tables.lane.c.outward
    connection.execute(update(tables.lane).where(mine).values(mark=tables.lane.c.number + 5))
    return Found(Kind.DAMAGED, "beyond the last number", {"lane": entry.lane})


def a_mark_is_too_low(connection: Connection) -> Found:
    entry = pick(connection, RowKind.OUT, last_of_lane=True)
    mine = (tables.lane.c.name == entry.lane) & tables.lane.c.outward
    connection.execute(update(tables.lane).where(mine).values(mark=entry.number - 1))
    place = {"row": entry.row, "lane": entry.lane, "number": entry.number, "case": entry.subject}
    return Found(Kind.WITHOUT_RECEIPT, "unreceipted", place)


def an_exception_is_invented(connection: Connection) -> Found:
    entry = pick(connection, RowKind.OUT)
    mine = (tables.lane.c.name == entry.lane) & tables.lane.c.outward
    lane = connection.execute(select(tables.lane.c.id).where(mine)).scalar_one()
    row = {"lane": lane, "number": entry.number, "status": "refused", "code": "x", "reason": "x", "row": 1}
    connection.execute(insert(tables.exception), [row])
    return Found(Kind.CONTRADICTION, "told it is refused", {"lane": entry.lane, "number": entry.number})


def the_head_is_altered(connection: Connection) -> Found:
    connection.execute(update(tables.head).values(chain=b"\1" * 32))
    return Found(Kind.DAMAGED, "with another chain", {})


def a_batch_is_altered(connection: Connection) -> Found:
    connection.execute(update(tables.batch).where(tables.batch.c.batch == 2).values(chain=b"\1" * 32))
    return Found(Kind.DAMAGED, "batch 2 does not continue the chain", {})


def a_case_is_altered(connection: Connection) -> Found:
    case = connection.execute(select(tables.case)).first()
    assert case is not None
    connection.execute(
        update(tables.case)
        .where(tables.case.c.stream == case.stream, tables.case.c.subject == case.subject)
        .values(status="collected")
    )
    return Found(Kind.DAMAGED, "status differ", {"case": case.subject})


def a_case_is_gone(connection: Connection) -> Found:
    case = connection.execute(select(tables.case)).first()
    assert case is not None
    connection.execute(
        delete(tables.case).where(tables.case.c.stream == case.stream, tables.case.c.subject == case.subject)
    )
    return Found(Kind.DAMAGED, "case_state lacks", {"case": case.subject})


def a_task_is_altered(connection: Connection) -> Found:
    task = consumers.tables.task
    found = connection.execute(select(task)).first()
    assert found is not None
    connection.execute(
        update(task).where(task.c.stream == found.stream, task.c.subject == found.subject).values(due=1)
    )
    return Found(Kind.DAMAGED, "due differ", {"case": found.subject})


def a_held_event_is_forgotten(connection: Connection) -> Found:
    held = connection.execute(select(tables.held)).one()
    connection.execute(delete(tables.held))
    return Found(Kind.LOST, "held no longer", {"row": held.row, "case": held.subject})


DAMAGES: list[tuple[str, Callable[[Connection], Found]]] = [
    ("430200", a_row_is_flipped),
    ("430100", a_row_is_flipped_in_its_batch),
    ("430100", a_row_is_deleted),
    ("430300", the_last_batch_is_cut_off),
    ("430200", a_lane_number_is_missing),
    ("430100", an_effect_is_applied_twice),
    ("430100", an_event_is_removed_at_its_receiver),
    ("430100", two_events_change_places),
    ("430200", a_mark_is_too_high),
    ("430200", a_mark_is_too_low),
    ("430200", an_exception_is_invented),
    ("430300", the_head_is_altered),
    ("430200", a_batch_is_altered),
    ("430100", a_case_is_altered),
    ("430100", a_case_is_gone),
    ("430100", a_task_is_altered),
    ("430100", a_held_event_is_forgotten),
]


@pytest.mark.parametrize(("code", "damage"), DAMAGES, ids=[damage.__name__ for _, damage in DAMAGES])
def test_each_damage_is_found_and_named(
    ledgers: Ledgers, code: str, damage: Callable[[Connection], Found]
) -> None:
    ledger = ledgers.ledger(code)
    with ledger.engine.begin() as connection:
        found = damage(connection)
    ledger.close()
    problems = ledgers.problems()
    assert any(
        problem.kind is found.kind
        and found.what in problem.what
        and all(getattr(problem, name) == value for name, value in found.place.items())
        for problem in problems
    ), "\n".join(map(str, problems))


def test_a_case_that_was_promised_and_is_nowhere_is_named(ledgers: Ledgers) -> None:
    lost = "430200-01KAUDIT00000000000000000A"
    [problem] = ledgers.problems([*ledgers.cases, lost])
    assert (problem.kind, problem.case) == (Kind.LOST, lost)


def test_a_case_that_nobody_was_told_of_is_named(ledgers: Ledgers) -> None:
    [problem] = ledgers.problems(ledgers.cases[1:])
    assert (problem.kind, problem.case) == (Kind.DOUBLED, ledgers.cases[0])


def test_the_command_proves_and_says_what_is_wrong(ledgers: Ledgers, tmp_path: Path) -> None:
    files = [str(ledgers.folder / f"{code}.db") for code in CODES]
    good = CliRunner().invoke(app, ["audit", *files])
    assert good.exit_code == 0
    assert "0 problems" in good.output
    ledger = ledgers.ledger("430100")
    with ledger.engine.begin() as connection:
        the_head_is_altered(connection)
    ledger.close()
    out = tmp_path / "audit.json"
    bad = CliRunner().invoke(app, ["audit", *files, "--out", str(out)])
    assert bad.exit_code == 1
    assert "ledger 430100: the head says" in bad.output
    [problem] = json.loads(out.read_text(encoding="utf-8"))["problems"]
    assert (problem["kind"], problem["ledger"]) == ("damaged", "430100")


def test_what_is_no_ledger_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for given, named in ((str(tmp_path / "none.db"), "none.db"), (str(tmp_path / "empty.db"), "empty")):
        shown = CliRunner().invoke(app, ["audit", given])
        assert shown.exit_code == 2
        assert named in shown.stderr
        assert shown.stderr.strip().count("\n") == 0
