"""Simulated cases are what a stage takes in, all paths occur, and the same seed makes the same ones."""

from collections import Counter
from datetime import UTC, date, datetime
from itertools import islice
from random import Random
from statistics import fmean, variance

import pytest

from cases import AcceptanceStage, Outcome
from cases.commands import SubmitCase
from jurisdictions import Directory, citizen_number, credit_code, load_directory
from kuayu.demo.arrivals import Arrivals
from kuayu.demo.mixes import MIXES
from kuayu.demo.people import FICTITIOUS_AREA, People
from kuayu.demo.scripts import Act, Script, SimulatedCase
from kuayu.demo.simulator import SIMULATED, Simulator
from schemas.models import CaseSubmitted, DeliveryKind, DocumentKind

CODES = ("430100", "430200", "430300", "440100")
TODAY = date(2026, 3, 2)
NOW = datetime(2026, 3, 2, 2, tzinfo=UTC)


class Handed:
    """A submission as it reaches the acceptance stage."""

    kind = "command"
    type = "SubmitCase"
    case = "430100-1"
    id = "1"
    term = 1
    source = "system:test"
    acted_at = recorded_at = NOW

    def __init__(self, submission: CaseSubmitted) -> None:
        self.data = SubmitCase(submission=submission, serial=0)


@pytest.fixture(scope="module")
def directory() -> Directory:
    return load_directory()


@pytest.mark.parametrize("mix", MIXES)
def test_the_stage_takes_every_simulated_case_and_refuses_every_spoiled_one(
    directory: Directory, mix: str
) -> None:
    simulator = Simulator(directory, CODES, MIXES[mix], 1, TODAY)
    stages = {code: AcceptanceStage(code, directory) for code in CODES}
    for _ in range(300):
        case = simulator.case()
        taken = stages[case.node].decide(None, Handed(case.submission))  # type: ignore[arg-type]
        assert taken.outcome is Outcome.APPLIED, taken
        spoiled = simulator.spoil(case)
        refused = stages[spoiled.node].decide(None, Handed(spoiled.submission))  # type: ignore[arg-type]
        assert refused.outcome is Outcome.REFUSED
        assert refused.field.startswith(spoiled.field)


def test_the_stress_mix_has_every_path(directory: Directory) -> None:
    simulator = Simulator(directory, CODES, MIXES["stress"], 2, TODAY)
    cases = [simulator.case() for _ in range(600)]
    acts = {step.act for case in cases for step in case.script.review}
    assert acts == set(Act)
    assert {case.submission.delivery.kind for case in cases} == set(DeliveryKind)
    assert {case.node for case in cases} == set(CODES)
    assert any(
        case.submission.belonging != case.node != case.submission.delivery.jurisdiction for case in cases
    )
    assert {case.by_topic for case in cases} == {True, False}
    assert any(case.script.withdraw_after is not None for case in cases)
    assert any(case.script.fetch_after is None for case in cases)


def test_the_same_seed_makes_the_same_cases(directory: Directory) -> None:
    def made(seed: int) -> list[SimulatedCase]:
        simulator = Simulator(directory, CODES, MIXES["realistic"], seed, TODAY)
        return [simulator.case() for _ in range(30)] + [*simulator.batch()]

    assert made(7) == made(7)
    assert made(7) != made(8)


def test_a_batch_is_one_employers(directory: Directory) -> None:
    batch = Simulator(directory, CODES, MIXES["stress"], 3, TODAY).batch()
    smallest, largest = MIXES["stress"].batch_size
    assert smallest <= len(batch) <= largest
    assert len({case.submission.item_code for case in batch}) == 1
    assert all(case.submission.applicant == batch[0].submission.applicant for case in batch)
    assert len({case.reference for case in batch}) == len(batch)


def test_a_logged_case_can_be_accepted_or_not(directory: Directory) -> None:
    simulator = Simulator(directory, CODES, MIXES["realistic"], 4, TODAY)
    case = simulator.logged_case("case-1", {"case:channel": "Desk"}, Script(review=()))
    taken = AcceptanceStage(case.node, directory).decide(None, Handed(case.submission))  # type: ignore[arg-type]
    assert [type(out.data).__name__ for out in taken.out] == ["CaseCollected"]
    assert case.submission.reference == "case-1"
    assert {field.name: field.value for field in case.submission.form}["case:channel"] == "Desk"


def test_numbers_are_well_formed_and_nobodys(directory: Directory) -> None:
    people = People(Random(5), TODAY)
    kinds = Counter()  # type: ignore[var-annotated]
    beyond = 0
    for _ in range(500):
        person = people.person(rare=0.2)
        kinds[person.document_kind] += 1
        if person.document_kind is DocumentKind.IDENTITY_CARD:
            assert citizen_number(person.document_number, TODAY).startswith(FICTITIOUS_AREA)
        beyond += person.name.encode("gb2312", "replace").count(b"?") > 0
        assert credit_code(people.organisation().code)[2:8] == FICTITIOUS_AREA
    assert kinds[DocumentKind.IDENTITY_CARD] > 400
    assert len(kinds) > 2
    assert 50 < beyond < 160
    simulator = Simulator(directory, CODES, MIXES["realistic"], 6, TODAY)
    assert SIMULATED in simulator.case().submission.form


def test_arrivals_are_in_order_within_hours_and_over_dispersed(directory: Directory) -> None:
    arrivals = Arrivals(Random(6), directory.calendar, a_day=200, online=0.5)
    found = list(islice(arrivals.since(date(2026, 3, 2)), 30_000))
    times = [at for at, _ in found]
    assert times == sorted(times)
    counter = [at for at, online in found if not online]
    assert {at.hour for at in counter} == {9, 10, 11, 13, 14, 15, 16}
    assert all(directory.calendar.is_working_day(at.date()) for at in counter)
    assert any(not directory.calendar.is_working_day(at.date()) for at, online in found if online)
    tuesdays = Counter(at.date() for at in counter if at.weekday() == 1 and 4 < at.day < 25)
    assert variance(tuesdays.values()) > 1.2 * fmean(tuesdays.values())


def test_the_first_day_after_a_long_holiday_is_busy(directory: Directory) -> None:
    def on(day: date) -> float:
        totals = []
        for seed in range(30):
            arrivals = Arrivals(Random(seed), directory.calendar, a_day=100, online=0.0)
            found = list(islice(arrivals.since(day), 400))
            totals.append(sum(at.date() == day for at, _ in found))
        return fmean(totals)

    assert on(date(2026, 2, 24)) > 1.5 * on(
        date(2026, 3, 17)
    )  # both Tuesdays; the first ends the Spring Festival
