"""Where the cases come from: as many as wanted, in order; and a log's steps become what will happen to its cases."""

from datetime import UTC, date, datetime, timedelta

import pytest

from jurisdictions import Directory, load_directory
from kuayu.demo import sources
from kuayu.demo.applicants import Arrival
from kuayu.demo.mixes import MIXES
from kuayu.demo.scripts import Act
from producers.feeds import CasePlan, CaseStep, LogMapping, PlannedStep, Undecided

CODES = ("430100", "430200", "430300", "440100")
TODAY = date(2026, 3, 2)
START = datetime(2011, 1, 3, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def directory() -> Directory:
    return load_directory()


@pytest.mark.parametrize("mix", MIXES)
def test_as_many_cases_as_wanted_come_in_order(directory: Directory, mix: str) -> None:
    found = list(sources.simulated(directory, CODES, mix, 1, TODAY, 600))
    assert sum(len(arrival.cases) for arrival in found) == 600
    times = [arrival.at for arrival in found]
    assert times == sorted(times)
    assert times[0] == 0.0
    references = [case.reference for arrival in found for case in arrival.cases]
    assert len(set(references)) == 600
    spoiled = sum(arrival.spoiled is not None for arrival in found) / len(found)
    assert MIXES[mix].spoiled / 2 < spoiled < MIXES[mix].spoiled * 2


def plan(case: str, hours: int, *steps: tuple[CaseStep, int]) -> CasePlan:
    at = START + timedelta(hours=hours)
    planned = tuple(PlannedStep(step, at + timedelta(hours=later), step.value) for step, later in steps)
    return CasePlan(case, at, {"channel": "Desk"}, planned, 1)


MAPPING = LogMapping(steps={"in": CaseStep.SUBMIT}, undecided=Undecided.APPROVE)


def logged(directory: Directory, *plans: CasePlan, mapping: LogMapping = MAPPING) -> list[Arrival]:
    return list(sources.logged(plans, mapping, directory, CODES, 1, TODAY))


def test_a_log_keeps_its_order_its_rhythm_and_its_times(directory: Directory) -> None:
    found = logged(directory, plan("late one", 100), plan("a", 0), plan("b", 25))
    assert [arrival.cases[0].reference for arrival in found] == ["a", "b", "log-000002"]
    assert [arrival.at / found[-1].at for arrival in found] == pytest.approx([0.0, 0.25, 1.0])
    form = {field.name: field.value for field in found[2].cases[0].submission.form}
    assert "late one" in form.values()
    assert (START + timedelta(hours=100)).isoformat() in form.values()
    assert form["channel"] == "Desk"


def test_the_steps_of_a_log_become_acts(directory: Directory) -> None:
    steps = [
        (CaseStep.REQUEST_SUPPLEMENT, 1),
        (CaseStep.PROVIDE_SUPPLEMENT, 3),
        (CaseStep.ACCEPT, 4),
        (CaseStep.HOLD, 5),
        (CaseStep.RESUME, 9),
    ]
    [first, _] = logged(directory, plan("a", 0, *steps), plan("b", 100))
    script = first.cases[0].script
    assert [step.act for step in script.review] == [Act.ASK, Act.ACCEPT, Act.SUSPEND, Act.RESUME, Act.APPROVE]
    assert script.supplement_after is not None
    waits = [step.after for step in script.review]
    assert waits[3] == pytest.approx(4 * waits[0])
    assert script.supplement_after == pytest.approx(2 * waits[0])


@pytest.mark.parametrize(
    ("steps", "acts"),
    [
        ([], []),
        ([(CaseStep.NOT_ACCEPT, 1)], [Act.NOT_ACCEPT]),
        ([(CaseStep.ACCEPT, 1), (CaseStep.REFUSE, 2)], [Act.ACCEPT, Act.REFUSE]),
        ([(CaseStep.ACCEPT, 1), (CaseStep.WITHDRAW, 2)], [Act.ACCEPT]),
    ],
)
def test_only_what_was_accepted_and_not_decided_is_decided_for_it(
    directory: Directory, steps: list[tuple[CaseStep, int]], acts: list[Act]
) -> None:
    [found, _] = logged(directory, plan("a", 0, *steps), plan("b", 100))
    assert [step.act for step in found.cases[0].script.review] == acts


def test_a_mapping_may_leave_the_undecided_open(directory: Directory) -> None:
    open_ = LogMapping(steps={"in": CaseStep.SUBMIT})
    [found, _] = logged(directory, plan("a", 0, (CaseStep.ACCEPT, 1)), plan("b", 9), mapping=open_)
    assert [step.act for step in found.cases[0].script.review] == [Act.ACCEPT]
