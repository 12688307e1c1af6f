"""Three classes of errors: what is away is waited for, what is an item's own stays with it, all else stops loudly."""

from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InternalError,
    OperationalError,
    ProgrammingError,
)
from structlog.testing import capture_logs

from bus import Change, CommandRefused, Fenced
from bus.envelope import partition_of
from bus.failures import Failure, classify
from bus.transport import MemoryTransport, Outbound, PermanentError, RetriableError
from tests.running import eventually
from tests.unit.bus.toys import Node, Pair, Send, Wake

TOPIC = "kuayu.answer.2"
OTHER_LANE = next(
    case for case in map("1-{}".format, range(99)) if partition_of(case, 2) != partition_of("1-a", 2)
)


class Broken:
    """A projection that can't write what comes of a case until it is mended."""

    def __init__(self, case: str, fail: Callable[[Connection], None]) -> None:
        self.case: str | None = case
        self.fail = fail

    def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        if any(change.message.case == self.case for change in changes):
            self.fail(connection)

    def clear(self, connection: Connection) -> None: ...


def violate(connection: Connection) -> None:
    """What the database itself refuses."""
    connection.execute(text("INSERT INTO head SELECT * FROM head"))


def stumble(_connection: Connection) -> None:
    raise ValueError("cannot be")


def execute(node: Node, statement: str) -> None:
    with closing(node.reach_ledger()) as ledger, ledger.engine.begin() as connection:
        connection.execute(text(statement))


def told(node: Node, case: str) -> list[tuple[str, str]]:
    """What the sender was told of what it handed over."""
    lane = node.lane(outward=True, case=case)
    return [(row.status, row.code) for row in node.engine.books.exceptions(lane, 1, lane.number).values()]


def failed(node: Node) -> bool:
    """Whether the engine stopped by itself, within a while."""
    eventually(lambda: not node.engine.alive, node.engine)
    return node.engine.failure is not None


@pytest.mark.parametrize("fail", [violate, stumble])
def test_an_event_that_the_ledger_does_not_take_is_parked_alone(
    pair: Pair, fail: Callable[[Connection], None]
) -> None:
    broken = Broken("1-a", fail)
    pair.answer.projections.append(broken)
    pair.answer.restart()
    for case in ("1-a", "1-b", "1-a", "1-c"):
        pair.ask.act(case)
    pair.settle()
    assert (pair.answer.notes("1-a"), pair.answer.notes("1-b"), pair.answer.notes("1-c")) == (
        (),
        ("0",),
        ("0",),
    )
    assert sorted(pair.answer.observed.outcomes) == ["applied", "applied", "parked", "waiting"]
    [(status, code), (behind, _)] = [why for why in told(pair.ask, "1-a") if why]
    assert (status, code, behind) == ("parked", "not_storable", "waiting")
    assert pair.answer.engine.books.held["2/answer", "1-a"][0].reason  # names the place of the error
    broken.case = None
    released = pair.answer.engine.mending.release("2/answer", "1-a")
    pair.settle()
    assert [tried.outcome for tried in released.result(0)] == ["applied", "applied"]
    assert pair.answer.notes("1-a") == ("0", "0")
    assert told(pair.ask, "1-a") == []


def test_a_release_that_the_ledger_does_not_take_changes_nothing(pair: Pair) -> None:
    pair.answer.projections.append(Broken("1-a", violate))
    pair.answer.restart()
    pair.ask.act("1-a")
    pair.settle()
    released = pair.answer.engine.mending.release("2/answer", "1-a")
    pair.settle()
    with pytest.raises(CommandRefused, match="not_storable"):
        released.result(0)
    assert told(pair.ask, "1-a") == [("parked", "not_storable")]


def test_a_case_that_can_not_be_read_is_parked_and_not_taken_for_a_new_one(pair: Pair) -> None:
    pair.answer.tampered = True
    pair.ask.act("1-a")
    pair.settle()
    pair.answer.kill()
    execute(pair.answer, "UPDATE log SET entry = x'c1' WHERE subject = '1-a'")
    pair.answer.open()
    pair.ask.act("1-a")
    pair.ask.act("1-b")
    pair.settle()
    assert pair.answer.notes("1-b") == ("0",)
    assert told(pair.ask, "1-a") == [("parked", "not_storable")]


def test_what_can_not_even_be_parked_is_quarantined_and_comes_again(pair: Pair) -> None:
    execute(
        pair.answer,
        "CREATE TRIGGER no BEFORE INSERT ON log WHEN new.subject = '1-a' BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    pair.ask.act("1-a")
    pair.ask.act(OTHER_LANE)
    pair.settle()
    assert pair.answer.notes(OTHER_LANE) == ("0",)
    assert sorted(pair.answer.observed.outcomes) == ["applied", "quarantined"]
    assert pair.ask.lane(outward=True, case="1-a").mark == 0
    execute(pair.answer, "DROP TRIGGER no")
    pair.clock.move(seconds=25)  # the sender, which heard nothing, probes
    pair.settle()
    assert pair.answer.notes("1-a") == ("0",)
    assert pair.ask.lane(outward=True, case="1-a").mark == 1


def test_a_timer_that_the_ledger_does_not_take_rings_again(pair: Pair) -> None:
    broken = Broken("", violate)
    pair.ask.projections.append(broken)
    pair.ask.restart()
    for case in ("1-a", "1-b"):
        pair.ask.act(case, Wake(at=pair.clock.now() + timedelta(hours=1)))
    broken.case = "1-a"
    pair.clock.move(hours=2)
    pair.settle()
    assert "timer_failed" in pair.ask.observed.kinds()
    assert (pair.ask.notes("1-a"), pair.ask.notes("1-b")) == (("wake",), ("wake", "timer:wake"))
    broken.case = None
    pair.clock.move(seconds=30)
    pair.settle()
    assert pair.ask.notes("1-a") == ("wake", "timer:wake")


def test_an_act_that_a_projection_stumbles_over_fails_alone(pair: Pair) -> None:
    pair.ask.projections.append(Broken("1-b", stumble))
    pair.ask.restart()
    futures = [
        pair.ask.engine.writer.submit(pair.ask.command(case, Send())) for case in ("1-a", "1-b", "1-c")
    ]
    pair.ask.engine.writer.step(0)
    assert [type(future.exception(0)) for future in futures] == [type(None), ValueError, type(None)]
    assert (pair.ask.notes("1-a"), pair.ask.notes("1-b"), pair.ask.notes("1-c")) == (("send",), (), ("send",))


def test_a_record_that_the_reader_stumbles_over_is_quarantined(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_send = pair.answer.engine.topology.may_send

    def stumbles(event: str, stage: str, to: str) -> bool | None:
        if pair.answer.observed.outcomes:
            return may_send(event, stage, to)
        pair.answer.observed.outcomes.append("stumbled")
        raise ZeroDivisionError

    pair.ask.act("1-a")
    pair.ask.engine.relay.step(0)
    monkeypatch.setattr(pair.answer.engine.topology, "may_send", stumbles)
    pair.settle()
    assert pair.answer.observed.outcomes == ["stumbled", "quarantined"]
    pair.clock.move(seconds=25)
    pair.settle()
    assert pair.answer.notes("1-a") == ("0",)


def test_a_case_id_longer_than_any_index_takes_is_quarantined(pair: Pair) -> None:
    pair.ask.act("1-a")
    pair.settle()
    [record] = [record for p in (0, 1) for record in pair.broker.records(TOPIC, p)]
    subject = b"1-" + b"a" * 5_000
    headers = [(name, subject if name == "ce_subject" else value or b"") for name, value in record.headers]
    MemoryTransport(pair.broker).producer("forger").send(
        Outbound(TOPIC, record.partition, subject, record.value, headers), lambda _: None
    )
    pair.settle()
    assert pair.answer.observed.outcomes == ["applied", "quarantined"]


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE timer",
        "CREATE TRIGGER no BEFORE UPDATE ON head BEGIN SELECT RAISE(ABORT, 'no'); END",
    ],
)
def test_what_no_waiting_mends_stops_the_engine_with_one_clear_line(pair: Pair, damage: str) -> None:
    pair.ask.tampered = True
    pair.ask.act("1-a", Wake(at=pair.clock.now()))
    execute(pair.ask, damage)
    with capture_logs() as logs:
        pair.ask.engine.start()
        pair.answer.engine.start()
        pair.answer.engine.writer.submit(pair.answer.command("1-a", Send()))
        assert failed(pair.ask)
        pair.answer.engine.stop()
        pair.ask.engine.stop()
    [line] = [line for line in logs if line["log_level"] == "critical"]
    assert line["event"] == "engine_stopped"
    assert line["thread"] == "writer"
    assert "Error at " in line["error"]


def database(kind: type[DBAPIError], **said: Any) -> DBAPIError:
    return kind("statement", {}, SimpleNamespace(**said))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RetriableError("no broker"), Failure.AWAY),
        (PermanentError("too large"), Failure.AWAY),  # met by a thread as a whole, it is no row's
        (database(OperationalError, sqlstate="57P01"), Failure.AWAY),
        (database(OperationalError, sqlstate="40P01"), Failure.AWAY),
        (database(OperationalError, sqlite_errorname="SQLITE_BUSY"), Failure.AWAY),
        (database(OperationalError, sqlite_errorname="SQLITE_FULL"), Failure.AWAY),
        (database(OperationalError, sqlite_errorname="SQLITE_IOERR_WRITE"), Failure.AWAY),
        (
            database(InternalError, sqlstate="25006"),
            Failure.AWAY,
        ),  # a standby: read-only until it is promoted
        (database(IntegrityError, sqlite_errorname="SQLITE_CONSTRAINT_UNIQUE"), Failure.OWN),
        (database(DataError, sqlstate="22021"), Failure.OWN),
        (database(OperationalError, sqlstate="54000"), Failure.OWN),
        (OverflowError("Python int too large"), Failure.OWN),
        (database(DBAPIError, sqlite_errorname="SQLITE_CORRUPT_INDEX"), Failure.FATAL),
        (database(OperationalError, sqlite_errorname="SQLITE_ERROR"), Failure.FATAL),
        (database(ProgrammingError, sqlstate="42P01"), Failure.FATAL),
        (database(InternalError, sqlstate="XX001"), Failure.FATAL),
        (Fenced("another process"), Failure.FATAL),
        (SystemExit(), Failure.FATAL),
    ],
)
def test_each_error_has_a_class(error: BaseException, expected: Failure) -> None:
    assert classify(error) is expected
