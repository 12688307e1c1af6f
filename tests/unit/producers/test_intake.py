"""The intake topic's rules, record by record; with a real broker: tests/integration/test_producers_intake.py."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from bus import CaseHeld, Change, CommandRefused, Ledger, VersionConflict
from bus.transport import MemoryBroker, MemoryTransport, Outbound, Record
from cases import AcceptanceStage
from producers import IntakeTopic, Producers, Submissions
from producers.models import EXAMPLE, Submission
from schemas import BadPayload, Codec, NewerContract, UnknownSchema

APPLICATION = Submission.model_validate(EXAMPLE).event()
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Noon:
    def now(self) -> datetime:
        return NOON


def record(key: bytes | None, *headers: tuple[str, bytes | None]) -> Record:
    return Record("kuayu.intake.430200", 3, 17, 0, key, b"", headers)


@pytest.fixture
def intake(ledger: Ledger) -> IntakeTopic:
    return IntakeTopic("430200", Submissions("430200", ledger), Noon())


def test_a_record_becomes_an_act_of_the_system_that_its_header_names(intake: IntakeTopic) -> None:
    command = intake.command(
        record(b"k-1", ("kuayu-caller", b"zz-hall"), ("traceparent", TRACE)), APPLICATION
    )
    assert (command.caller, command.actor, command.key) == ("system:zz-hall", "system:zz-hall", "k-1")
    assert command.trace == TRACE.decode()
    assert command.acted_at == NOON
    assert command.stream == "430200/acceptance"


@pytest.mark.parametrize("header", [b"", b"a b", "大厅".encode(), b"\xff", None])
def test_without_a_usable_name_it_is_the_topics(intake: IntakeTopic, header: bytes | None) -> None:
    assert (
        intake.command(record(b"k", ("kuayu-caller", header)), APPLICATION).caller == "system:intake@430200"
    )


@given(st.none() | st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_key_is_taken_or_refused_and_always_answered(intake: IntakeTopic, key: bytes | None) -> None:
    at = record(key)
    try:
        command = intake.command(at, APPLICATION)
    except CommandRefused as refused:
        reply = intake.answer(at, APPLICATION, refused)
        assert (reply.data.error_code, reply.data.error_field) == ("key_invalid", "key")
        assert reply.data.key == intake.key(at) == "kuayu.intake.430200/3@17"
    else:
        assert command.key.encode() == key
        assert intake.key(at) == command.key


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (CommandRefused("missing", "缺 / gone", "materials"), "missing"),
        (CaseHeld("c", "parked", "secret"), "case_held"),
        (VersionConflict("c", 1, 2), "case_held"),
        (BadPayload("secret"), "undecodable"),
        (UnknownSchema(7, None), "schema_unknown"),
        (NewerContract("kuayu.CaseSubmitted", "secret"), "schema_unknown"),
        (RuntimeError("secret"), "internal"),
        (None, "internal"),
    ],
)
def test_every_error_has_a_name_and_repeats_nothing(intake: IntakeTopic, error: Any, code: str) -> None:
    reply = intake.answer(record(b"k"), None, error)
    assert reply.to == ("intake-replies", "430200")
    assert (reply.data.key, reply.data.outcome, reply.data.error_code) == ("k", "refused", code)
    assert "secret" not in reply.data.error_reason


class Violating:
    """A projection whose rows the database refuses, for one local system's cases."""

    def apply(self, connection: Connection, changes: Sequence[Change]) -> None:
        if any(change.message.source == "system:bad" for change in changes):
            connection.execute(text("INSERT INTO head SELECT * FROM head"))

    def clear(self, connection: Connection) -> None: ...


def test_a_submission_that_the_ledger_does_not_take_is_answered_and_hurts_no_other(
    world: Any, ledger: Ledger
) -> None:
    broker = MemoryBroker()
    made = Producers("430200", ledger)
    engine = world.on(broker).engine(
        ledger,
        [AcceptanceStage("430200", world.directory)],
        (*made.projections, Violating()),
        made.intakes,
    )
    codec = Codec(world.schemas)
    body, _ = codec.encode(APPLICATION)
    for caller in (b"good", b"bad", b"well"):
        sent = Outbound("kuayu.intake.430200", 0, b"key-" + caller, body, [("kuayu-caller", caller)])
        MemoryTransport(broker).producer("hall").send(sent, lambda _error: None)
    for _ in range(10):
        for part in (engine.inbox, engine.writer, engine.relay):
            part.step(0)
    topic = "kuayu.intake-replies.430200"
    replies: list[Any] = [
        codec.decode(record.value or b"")
        for partition in range(broker.topics()[topic])
        for record in broker.records(topic, partition)
    ]
    assert {reply.key: reply.error_code for reply in replies} == {
        "key-good": None,
        "key-bad": "not_storable",
        "key-well": None,
    }
    assert sum(reply.case_id is not None for reply in replies) == 2
    assert sum(at.taken for at in engine.books.positions.values()) == 3
