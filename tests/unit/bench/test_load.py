"""The load is what it says: commands that the acceptance stage takes, and that no person has to touch."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from bus import Message
from cases import AcceptanceStage, Outcome
from jurisdictions import Directory, load_directory
from kuayu.bench.load import ACCEPTANCE, PICKUP, REVIEW, Load, instant_item
from schemas.models import CaseAccepted, DeliveryKind

NOON = datetime(2026, 3, 2, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def directory() -> Directory:
    return load_directory()


def test_every_command_is_applied_and_goes_to_the_review(directory: Directory) -> None:
    stage = AcceptanceStage(ACCEPTANCE, directory)
    for number, command in enumerate(Load(directory).commands([NOON] * 100)):
        message = Message(
            kind="command",
            type=type(command.data).__name__,
            data=command.data,
            case=command.case,
            id=str(number),
            source=command.actor,
            term=0,
            acted_at=command.acted_at,
            recorded_at=NOON,
        )
        decision = stage.decide(None, message)
        assert decision.outcome is Outcome.APPLIED, decision
        [sent] = decision.out
        assert sent.to == ("review", REVIEW)
        assert isinstance(sent.data, CaseAccepted)
        assert sent.data.file is not None
        assert sent.data.file.pickup == PICKUP


def test_no_two_cases_share_an_id_a_key_or_a_number(directory: Directory) -> None:
    load = Load(directory)
    made = [*load.commands([NOON] * 150), *load.commands([NOON] * 150)]
    assert len({command.case for command in made}) == 300
    assert len({command.key for command in made}) == 300
    assert len({command.data.serial for command in made}) == 300


def test_the_same_seed_makes_the_same_applicants(directory: Directory) -> None:
    def people(seed: int) -> list[str]:
        commands = Load(directory, seed).commands([NOON] * 64)
        return [command.data.submission.applicant.person.document_number for command in commands]

    assert people(1) == people(1)
    assert people(1) != people(2)


def test_the_item_is_decided_by_rule_and_delivered_electronically(directory: Directory) -> None:
    item = instant_item(directory)
    assert item.instant
    assert item.owner == REVIEW
    [command] = islice(Load(directory).commands([NOON]), 1)
    assert command.data.submission.delivery.kind is DeliveryKind.ELECTRONIC
