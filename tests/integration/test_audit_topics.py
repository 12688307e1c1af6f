"""The checker on topics of a real broker: silent about sound ones, and what they have too much or too little is named."""

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from random import Random

import msgspec
import pytest
from sqlalchemy import Connection, select, update
from typer.testing import CliRunner

from bus import Entry
from bus.envelope import topic_of
from bus.ledger import tables
from bus.ledger.entry import decode
from bus.transport import Outbound, Record, TopicPartition, Transport, open_transport
from jurisdictions import CHINA_TIME, load_directory
from kuayu.audit import Kind, Problem, Report, audit
from kuayu.broker import LocalBroker
from kuayu.cli import app
from kuayu.demo.intake import IntakeSystem
from kuayu.demo.mixes import MIXES
from kuayu.demo.simulator import Simulator
from schemas import Codec, load_schemas
from schemas.models import Receipt, SubmissionAnswered
from tests.chaos.region import free_port
from tests.chaos.wire import Forger, again
from tests.integration.ledgers_to_audit import CODES, Damage, Found, Ledgers, Nodes, rewrite
from tests.running import PATIENCE, eventually

CASES = 30
RECEIVER, SENDER = "430100", "430200"

pytestmark = pytest.mark.broker


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker for these tests alone: the checker reads all topics of the jurisdictions that it knows."""
    broker = LocalBroker(tmp_path_factory.mktemp("broker"))
    try:
        yield broker.start().bootstrap
    finally:
        broker.kill()


@pytest.fixture(scope="module")
def transport(address: str) -> Iterator[Transport]:
    transport = open_transport("confluent", address)
    yield transport
    transport.close()


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, transport: Transport, address: str) -> Ledgers:
    """Instant cases through three nodes, one of them by an intake topic.

    One event is parked, one forgery put aside, one event lies in its topic twice.
    """
    folder = tmp_path_factory.mktemp("ledgers")
    with Nodes(folder, transport) as nodes:
        nodes.hand_in(nodes.new_cases(CASES))
        by_topic = handed_in_by_topic(nodes, address)
        nodes.settle()
        forger = Forger(nodes.topology, Random(1))
        body, schema = forger.good_body()
        parked = forger.taken(RECEIVER, body[:5] + b"no Avro", schema.digest)
        event = again(events(transport)[0])
        write(transport, parked, msgspec.structs.replace(event, key=b"another case"), event)
        books = nodes.nodes[RECEIVER].engine.books
        nodes.until(
            lambda: books.held and sum(p.quarantined for p in books.positions.values())
            and sum(p.duplicate for p in books.positions.values())
        )  # fmt: skip
        nodes.settle()
    return Ledgers(folder, [*nodes.cases.values(), by_topic])


def handed_in_by_topic(nodes: Nodes, address: str) -> str:
    """The id of a case of which an intake topic's reply told."""
    answers: list[SubmissionAnswered] = []
    intake = IntakeSystem("confluent", address, CODES, answers.append)
    simulator = Simulator(load_directory(), CODES, MIXES["stress"], 8, datetime.now(CHINA_TIME).date())
    case = simulator.case(online=True)
    while case.node != RECEIVER:
        case = simulator.case(online=True)
    intake.start()
    intake.hand_in(case)
    [answer] = nodes.until(lambda: answers)
    intake.stop()
    assert answer.case_id is not None
    return answer.case_id


@pytest.fixture
def ledgers(filled: Ledgers, tmp_path: Path) -> Ledgers:
    """A copy to be damaged."""
    return filled.copy(tmp_path)


def write(transport: Transport, *records: Outbound) -> None:
    producer = transport.producer("stranger")
    for record in records:
        producer.send(record, lambda _: None)
    assert producer.flush(PATIENCE)
    producer.close()


def events(transport: Transport, topic: str = topic_of("review", RECEIVER)) -> list[Record]:
    """All records of a topic."""
    consumer = transport.consumer("reader")
    places = [TopicPartition(topic, number) for number in range(transport.topics()[topic])]
    consumer.assign(dict.fromkeys(places, 0))
    found: list[Record] = []
    ends = sum(eventually(lambda: consumer.ends(PATIENCE)).values())
    while len(found) < ends:
        found += consumer.poll(PATIENCE, ends)
    consumer.close()
    return found


def report(ledgers: Ledgers, address: str) -> Report:
    return audit(ledgers.urls(), bootstrap=address, accepted=ledgers.cases)


def about_topics(ledgers: Ledgers, address: str) -> list[Problem]:
    """What the topics add to what the ledgers say alone."""
    before = ledgers.problems()
    return [problem for problem in report(ledgers, address).problems if problem not in before]


def test_nothing_is_said_of_sound_topics(ledgers: Ledgers, address: str) -> None:
    found = report(ledgers, address)
    assert found.problems == []
    assert found.counts["receipts_read"] > 0
    assert found.counts["records_sent_again"] >= 1
    assert found.counts["records_read"] > found.counts["events_sent"]
    assert found.counts["records_of_ledgers_not_audited"] == 1
    assert found.counts["records_of_garbage"] == 1


# Damages in ledgers that only the topics show.


def told_only(connection: Connection) -> Entry:
    """An event that the broker acknowledged, on a lane without receipts."""
    lane = tables.lane
    query = (
        select(tables.log.c.entry)
        .join(lane, lane.c.id == tables.log.c.lane)
        .where(
            lane.c.outward,
            lane.c.name.contains(">kuayu.intake-replies."),
            tables.log.c.number <= lane.c.cursor,
        )
    )
    return decode(connection.execute(query.order_by(tables.log.c.row)).scalars().first() or b"")


def what_was_told_is_another(connection: Connection) -> Found:
    entry = told_only(connection)
    rewrite(connection, {entry.row: msgspec.structs.replace(entry, lane_hash=b"\1" * 32)})
    place = {"row": entry.row, "lane": entry.lane, "number": entry.number, "case": entry.subject}
    return Found(Kind.LOST, "the broker acknowledged it, and it is not in kuayu.intake-replies", place)


def too_much_is_counted_as_taken(connection: Connection) -> Found:
    place = connection.execute(select(tables.position).where(tables.position.c.taken > 0)).first()
    assert place is not None
    mine = (tables.position.c.topic == place.topic) & (tables.position.c.partition == place.partition)
    connection.execute(update(tables.position).where(mine).values(taken=place.taken + 1))
    what = f"{place.topic}/{place.partition}: {place.taken + 1} are counted as taken, {place.taken} are in the log"
    return Found(Kind.CONTRADICTION, what, {})


def a_forgery_was_not_counted(connection: Connection) -> Found:
    connection.execute(update(tables.position).values(quarantined=0))
    return Found(Kind.LOST, "1 records of garbage, 0 are quarantined", {})


@pytest.mark.parametrize(
    "damage", [what_was_told_is_another, too_much_is_counted_as_taken, a_forgery_was_not_counted]
)
def test_what_only_topics_show_is_found(ledgers: Ledgers, address: str, damage: Damage) -> None:
    found = ledgers.damage(RECEIVER, damage)
    problems = about_topics(ledgers, address)
    assert found.is_in(problems), "\n".join(map(str, problems))


# Damages in topics; each stays there, so that what one test adds the next one finds too.


@pytest.mark.parametrize("kind", [Kind.LOST, Kind.CONTRADICTION])
def test_a_receipt_for_what_its_receiver_does_not_have_is_found(
    ledgers: Ledgers, address: str, transport: Transport, kind: Kind
) -> None:
    codec = Codec(load_schemas())
    record, said = next(
        (record, said)
        for record in events(transport, f"kuayu.receipts.{SENDER}")
        if isinstance(said := codec.decode(record.value or b""), Receipt) and RECEIVER in said.lane
    )
    if kind is Kind.LOST:
        told = msgspec.structs.replace(said, to_number=said.to_number + 1_000)
    else:
        told = msgspec.structs.replace(said, hash_at_to=b"\1" * 32)
    write(transport, msgspec.structs.replace(again(record), value=codec.encode(told)[0]))
    place = {"ledger": RECEIVER, "lane": said.lane, "number": told.to_number}
    assert Found(kind, "a receipt tells of it", place).is_in(about_topics(ledgers, address))


def test_a_record_that_no_node_has_read_is_found(
    ledgers: Ledgers, address: str, transport: Transport
) -> None:
    record = next(record for record in events(transport) if record.key)
    write(transport, msgspec.structs.replace(again(record), key=b"another case"))
    what = f"{record.topic}/{record.partition}: "
    assert Found(Kind.LOST, what, {"ledger": RECEIVER}).is_in(about_topics(ledgers, address))


def test_where_no_broker_answers_one_line_says_so(ledgers: Ledgers) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    files = [f"{code}={url}" for code, url in ledgers.urls().items()]
    before = set(threading.enumerate())
    shown = CliRunner().invoke(app, ["audit", *files, "--bootstrap", nowhere])
    assert shown.exit_code == 2
    assert f"{nowhere}: no broker answers" in shown.stderr
    assert shown.stderr.strip().count("\n") == 0
    assert not [
        thread for thread in set(threading.enumerate()) - before if thread.name.startswith("kafka-io")
    ]


@pytest.mark.parametrize("nonsense", ["a:b", "[::1"])
def test_what_is_no_address_is_told_so(ledgers: Ledgers, nonsense: str) -> None:
    files = [f"{code}={url}" for code, url in ledgers.urls().items()]
    shown = CliRunner().invoke(app, ["audit", *files, "--bootstrap", nonsense])
    assert shown.exit_code == 2
    assert shown.stderr.startswith("kuayu: KUAYU_BOOTSTRAP_SERVERS: host:port would be right")
    assert shown.stderr.strip().count("\n") == 0
