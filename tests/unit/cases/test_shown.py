"""What people see of a case: work lists and journeys."""

from datetime import datetime
from typing import Any

import msgspec
import pytest

from cases import PHASE_NAMES, TASK_NAMES, Phase, TaskKind, commands, journey, masked
from jurisdictions import CHINA_TIME
from schemas import models

REVIEW = ("review", "430100")
PICKUP = ("pickup", "430300")
COUNTER = ("acceptance", "430200")
WINDOW = ("acceptance", "440100")


def task(bench: Any, where: tuple[str, str]):
    return bench.stages[where].task(bench.states[where])


def test_a_line_of_a_work_list_says_what_and_until_when(bench: Any, collected: Any):
    collected()
    line = task(bench, REVIEW)
    assert line.kind is TaskKind.REVIEW_ACCEPT
    assert line.due == bench.states[REVIEW].duty_due
    assert line.urgent_from == datetime(2026, 3, 6, tzinfo=CHINA_TIME)  # due at the end of Monday 9th
    assert (line.item_zh, line.item_en) == ("食品经营许可", "Food business permit")
    assert (line.accepted_by, line.applicant) == ("广州市", "张**")
    assert task(bench, WINDOW) is None


def test_the_nearest_due_instant_counts(bench: Any, accepted: Any, ask: Any):
    accepted()
    assert task(bench, REVIEW).due == bench.states[REVIEW].times.promised
    bench.act(REVIEW, commands.Claim())
    assert task(bench, REVIEW).claimed_by == "clerk:li"
    bench.act(REVIEW, ask.suspend)
    assert task(bench, REVIEW).kind is TaskKind.SUSPENSION_WAIT
    assert task(bench, REVIEW).due == ask.suspend.expected_end


def test_both_sides_of_a_supplement_see_it(bench: Any, collected: Any, ask: Any):
    collected()
    due = datetime(2026, 3, 12, tzinfo=CHINA_TIME)
    bench.act(REVIEW, msgspec.structs.replace(ask.supplement, due=due))
    bench.deliver()
    assert (task(bench, REVIEW).kind, task(bench, REVIEW).due) == (TaskKind.SUPPLEMENT_WAIT, due)
    assert (task(bench, WINDOW).kind, task(bench, WINDOW).due) == (TaskKind.SUPPLEMENT_PROVIDE, due)


@pytest.mark.parametrize(
    ("kind", "first", "command", "second"),
    [
        (models.DeliveryKind.COUNTER, TaskKind.MAKE_READY, "ready", TaskKind.HAND_OVER),
        (models.DeliveryKind.POST, TaskKind.MAIL, "mail", TaskKind.CONFIRM_DELIVERY),
    ],
)
def test_pickup_works_until_the_result_is_served(
    bench: Any,
    accepted: Any,
    ask: Any,
    kind: models.DeliveryKind,
    first: TaskKind,
    command: str,
    second: TaskKind,
):
    accepted(delivery=models.Delivery(kind=kind, jurisdiction="430300", address="某路1号"))
    bench.act(REVIEW, ask.approve)
    bench.deliver()
    assert task(bench, PICKUP).kind is first
    assert task(bench, REVIEW) is None
    made = getattr(ask, command)
    bench.act(PICKUP, made() if callable(made) else made)
    assert task(bench, PICKUP).kind is second
    assert task(bench, PICKUP).due == bench.states[REVIEW].serve_by


def test_a_refused_hand_over_is_seen(bench: Any, accepted: Any):
    accepted()
    bench.tell(COUNTER, type="CaseWithdrawn", to="430100/review", code="stale_term", reason="- / -")
    assert task(bench, COUNTER).kind is TaskKind.ATTENTION
    assert task(bench, COUNTER).attention == "stale_term"
    bench.tell(REVIEW, type="CaseDecided", to="430200/acceptance", code="not_a_party", reason="- / -")
    assert task(bench, REVIEW).kind is TaskKind.REVIEW_DECIDE
    assert task(bench, REVIEW).attention == "not_a_party"


def test_an_item_version_that_is_gone_is_shown_by_its_own_name(bench: Any, accepted: Any):
    accepted()
    state = bench.states[REVIEW]
    item = msgspec.structs.replace(state.file.item, version=99)
    bench.states[REVIEW] = msgspec.structs.replace(state, file=msgspec.structs.replace(state.file, item=item))
    assert task(bench, REVIEW).item_en == "食品经营许可"


def test_people_are_masked_and_organisations_are_not():
    person = models.Person(
        name="欧阳锋", document_kind=models.DocumentKind.IDENTITY_CARD, document_number="1"
    )
    assert masked(models.Applicant(person=person)) == "欧**"
    assert masked(models.Applicant(organisation=models.Organisation(name="某公司", code="1"))) == "某公司"
    assert masked(models.Applicant()) == ""


def test_a_journey_reads_from_window_to_hand_over(bench: Any, collected: Any, ask: Any):
    collected()
    bench.act(REVIEW, ask.supplement)
    bench.deliver()
    bench.act(WINDOW, ask.provide)
    bench.deliver()
    bench.act(REVIEW, ask.accept)
    bench.act(REVIEW, ask.suspend)
    bench.act(REVIEW, ask.resume)
    bench.act(REVIEW, ask.extend)
    bench.act(REVIEW, ask.transfer)
    bench.deliver()
    bench.act(("review", "430300"), ask.approve)
    bench.deliver()
    bench.act(("pickup", "440100"), ask.ready())
    bench.act(("pickup", "440100"), ask.hand_over())
    bench.deliver()
    steps = journey(bench.history[WINDOW])
    assert [step.kind for step in steps] == [
        "Submitted",
        "SupplementAsked",
        "SupplementGiven",
        "Accepted",
        "Suspended",
        "Resumed",
        "Extended",
        "Transferred",
        "Decided",
        "Ready",
        "HandedOver",
    ]
    assert "2026-03-09" in steps[0].en
    assert "经营场所" not in steps[1].en
    assert steps[3].zh.startswith("长沙市市场监督管理局属地受理")
    assert steps[-1].en == "collected by the applicant"
    here = journey(bench.history["review", "430300"])
    assert here[0].en == "transferred here from 430100"


def test_a_journey_tells_of_lapse_refusal_and_the_right_body(bench: Any, collected: Any, ask: Any):
    collected()
    before = dict(bench.states), {where: list(facts) for where, facts in bench.history.items()}
    bench.act(REVIEW, ask.not_accept)
    bench.deliver()
    assert journey(bench.history[WINDOW])[-1].en.endswith("湖南省市场监督管理局")
    bench.states, bench.history = before
    bench.at(2026, 3, 10)
    bench.ring(REVIEW)
    bench.act(REVIEW, ask.refuse)
    bench.deliver()
    lapse, refusal = journey(bench.history[WINDOW])[-2:]
    assert lapse.en == "deemed accepted by lapse of time, as of 2026-03-02"
    assert refusal.kind == "Decided"


def test_everything_has_a_name_in_both_languages():
    assert set(PHASE_NAMES) == set(Phase)
    assert set(TASK_NAMES) == set(TaskKind)
    assert all(zh and en for zh, en in (*PHASE_NAMES.values(), *TASK_NAMES.values()))
