"""The intake topic's rules, record by record; with a real broker: tests/integration/test_producers_intake.py."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus import CaseHeld, CommandRefused, Ledger, VersionConflict
from bus.transport import Record
from producers import IntakeTopic, Submissions
from producers.models import EXAMPLE, Submission
from schemas import BadPayload, NewerContract, UnknownSchema

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
