"""The independent checker: silent about sound ledgers, and each damage is found, named and placed."""

import json
from pathlib import Path
from random import Random

import msgspec
import pytest
from sqlalchemy import Connection, delete, insert, select, update
from typer.testing import CliRunner

import consumers.tables
from bus import Entry
from bus.ledger import Kind as RowKind
from bus.ledger import tables
from bus.ledger.entry import decode, encode
from bus.transport import MemoryBroker, MemoryTransport
from kuayu.audit import Kind
from kuayu.cli import app
from tests.chaos.wire import Forger
from tests.integration.ledgers_to_audit import CODES, Damage, Found, Ledgers, Nodes, nothing, rewrite
from tests.running import PATIENCE

CASES = 120


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Ledgers:
    """Instant cases through three nodes, and one event that is parked."""
    folder = tmp_path_factory.mktemp("ledgers")
    with Nodes(folder, MemoryTransport(MemoryBroker())) as nodes:
        nodes.hand_in(nodes.new_cases(CASES))
        forger = Forger(nodes.topology, Random(1))
        body, schema = forger.good_body()
        producer = nodes.transport.producer("stranger")
        producer.send(forger.taken("430100", body[:5] + b"no Avro", schema.digest), lambda _: None)
        producer.flush(PATIENCE)
        nodes.until(lambda: nodes.nodes["430100"].engine.books.held)
        nodes.settle()
    return Ledgers(folder, list(nodes.cases.values()))


@pytest.fixture
def ledgers(filled: Ledgers, tmp_path: Path) -> Ledgers:
    """A copy to be damaged."""
    return filled.copy(tmp_path)


def test_nothing_is_said_of_sound_ledgers(ledgers: Ledgers) -> None:
    report = ledgers.report()
    assert report.problems == []
    assert report.counts["cases"] == CASES
    assert report.counts["events_sent"] > CASES
    assert report.counts["events_applied"] + report.counts["events_refused"] == report.counts["events_sent"]
    assert report.counts["events_from_ledgers_not_audited"] == 1


# Damages: each changes a ledger and says what must be found.


def pick(connection: Connection, kind: RowKind, *, last_of_lane: bool = False) -> Entry:
    """An event of a lane with several."""
    query = select(tables.log.c.entry).where(tables.log.c.lane.is_not(None)).order_by(tables.log.c.row)
    entries = [entry for entry in map(decode, connection.execute(query).scalars()) if entry.kind is kind]
    for entry in entries:
        lane = [other for other in entries if other.lane == entry.lane]
        if len(lane) >= 3:
            return lane[-1] if last_of_lane else lane[1]
    raise AssertionError("no lane has three events")


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


def a_table_is_gone(connection: Connection) -> Found:
    consumers.tables.task.drop(connection)
    return Found(Kind.DAMAGED, "there is no table task", {})


def a_held_event_is_forgotten(connection: Connection) -> Found:
    held = connection.execute(select(tables.held)).one()
    connection.execute(delete(tables.held))
    return Found(Kind.LOST, "held no longer", {"row": held.row, "case": held.subject})


DAMAGES: list[tuple[str, Damage]] = [
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
    ("430100", a_table_is_gone),
    ("430100", a_held_event_is_forgotten),
]


@pytest.mark.parametrize(("code", "damage"), DAMAGES, ids=[damage.__name__ for _, damage in DAMAGES])
def test_each_damage_is_found_and_named(ledgers: Ledgers, code: str, damage: Damage) -> None:
    found = ledgers.damage(code, damage)
    problems = ledgers.problems()
    assert found.is_in(problems), "\n".join(map(str, problems))


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
