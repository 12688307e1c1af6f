"""Handing a case in: form check, route, due dates, answers; supplements and withdrawal."""

from typing import Any

import msgspec
import pytest

from cases import Outcome, Phase, View, commands, submission_answer, submission_refusal
from jurisdictions import CHINA_TIME, Required
from schemas import models

HERE = ("acceptance", "430200")
REVIEW = ("review", "430100")
GUANGZHOU = ("acceptance", "440100")


def submit(bench: Any, submission: Any, where: tuple[str, str] = HERE):
    return bench.act(where, commands.SubmitCase(submission=submission, serial=0), by="system:hall")


def test_a_window_with_power_accepts_at_once_with_all_due_dates(bench: Any, make: Any):
    decision = submit(bench, make())
    assert decision.outcome is Outcome.APPLIED
    state = bench.states[HERE]
    assert state.phase is Phase.IN_REVIEW
    assert state.accepted_by is models.AcceptedBy.COUNTER
    assert state.times.accepted == state.times.collected == bench.now
    # 5 and 10 working days after Monday 2026-03-02: to the end of the 9th and of the 16th.
    assert state.times.promised.astimezone(CHINA_TIME).isoformat() == "2026-03-10T00:00:00+08:00"
    assert state.times.statutory.astimezone(CHINA_TIME).isoformat() == "2026-03-17T00:00:00+08:00"
    assert not state.times.provisional
    (sent,) = decision.out
    assert sent.to == ("review", "430100")
    assert sent.term == 1
    assert isinstance(sent.data, models.CaseAccepted)
    assert sent.data.file is not None
    assert sent.data.file.pickup == "430300"
    assert len(sent.data.file.case_number) == 43


def test_a_window_without_power_collects_and_says_until_when_the_owner_answers(bench: Any, make: Any):
    delivery = models.Delivery(kind=models.DeliveryKind.COUNTER, jurisdiction="430100")
    decision = submit(bench, make(delivery=delivery), GUANGZHOU)
    state = bench.states[GUANGZHOU]
    assert bench.view(GUANGZHOU) == View("forwarded", True, ())
    assert state.times.accepted is None
    assert state.times.promised is None
    assert state.duty_due.astimezone(CHINA_TIME).isoformat() == "2026-03-10T00:00:00+08:00"
    assert isinstance(decision.out[0].data, models.CaseCollected)
    assert decision.out[0].data.duty_start is models.DutyStart.OWNER


def test_working_weekends_count_and_holidays_do_not(bench: Any, make: Any):
    bench.at(2026, 2, 12, 10)  # Saturday 02-14 and 02-28 are working days, 02-15 to 02-23 are holidays
    delivery = models.Delivery(kind=models.DeliveryKind.COUNTER, jurisdiction="430100")
    submit(bench, make(delivery=delivery), GUANGZHOU)
    due = bench.states[GUANGZHOU].duty_due
    assert due.astimezone(CHINA_TIME).isoformat() == "2026-02-27T00:00:00+08:00"


def test_due_dates_in_a_year_without_calendar_are_provisional(bench: Any, make: Any):
    bench.at(2026, 12, 29, 10)
    submit(bench, make())
    assert bench.states[HERE].times.provisional


def test_a_limit_that_starts_later_than_acceptance_is_provisional(bench: Any, make: Any):
    item = make("企业简易注销登记")
    submit(bench, item)
    assert bench.states[HERE].times.provisional


def test_case_numbers_of_one_day_differ_by_their_serial(bench: Any, make: Any):
    numbers = []
    for serial in (0, 1):
        command = commands.SubmitCase(submission=make(), serial=serial)
        message = bench.message("command", "SubmitCase", command, "system:hall", 0)
        (fact,) = bench.stages[HERE].decide(None, message).facts
        numbers.append(int(fact.file.case_number[-4:]))
    assert numbers[1] == numbers[0] + 1


def changed(record: Any, path: str, value: Any) -> Any:
    """The record with one value of it, or of a record in it, replaced."""
    head, _, rest = path.partition(".")
    return msgspec.structs.replace(
        record, **{head: changed(getattr(record, head), rest, value) if rest else value}
    )


@pytest.mark.parametrize(
    ("path", "value", "code", "field"),
    [
        ("item_code", "0" * 31, "unknown_item", "item_code"),
        ("belonging", "430200", "belongs_elsewhere", "item_code"),
        ("belonging", "999999", "unknown_jurisdiction", "belonging"),
        ("delivery.jurisdiction", "440100", "pickup_not_covered", "delivery.jurisdiction"),
        ("office", models.Office(jurisdiction="610100", name="西安"), "wrong_inbox", "office.jurisdiction"),
        ("applicant.person", None, "invalid", "applicant"),
        ("applicant.person.name", " ", "missing", "applicant.person.name"),
        ("applicant.person.document_number", "", "missing", "applicant.person.document_number"),
        (
            "applicant.person.document_number",
            "430202198503120310",
            "invalid",
            "applicant.person.document_number",
        ),
        (
            "delivery",
            models.Delivery(kind=models.DeliveryKind.POST, jurisdiction="430300"),
            "missing",
            "delivery.address",
        ),
        ("materials", (), "material_missing", "materials"),
    ],
)
def test_a_bad_application_is_refused_by_field(
    bench: Any, make: Any, path: str, value: Any, code: str, field: str
):
    submission = changed(make(), path, value)
    decision = submit(bench, submission)
    assert (decision.outcome, decision.code, decision.field) == (Outcome.REFUSED, code, field)
    assert " / " in decision.reason
    assert HERE not in bench.states


def test_material_must_be_listed_once_and_well_formed(bench: Any, make: Any):
    good = make()
    first, *others = good.materials
    for material, field in (
        (changed(first, "code", "nonsense"), "materials[0].code"),
        (changed(first, "code", others[0].code), "materials[1].code"),
        (changed(first, "may_follow", True), "materials[0].may_follow"),
        (changed(first, "digest", "xyz"), "materials[0].digest"),
        (changed(first, "size", -1), "materials[0].size"),
    ):
        decision = submit(bench, changed(good, "materials", (material, *others)))
        assert (decision.outcome, decision.field) == (Outcome.REFUSED, field)


def test_only_what_has_force_electronically_is_delivered_so(bench: Any, make: Any):
    wish = models.Delivery(kind=models.DeliveryKind.ELECTRONIC, jurisdiction="430300")
    assert submit(bench, make("学历公证", delivery=wish)).field == "delivery.kind"


def test_what_is_delivered_electronically_still_has_a_pickup_stage(bench: Any, make: Any):
    wish = models.Delivery(kind=models.DeliveryKind.ELECTRONIC, jurisdiction="999999")
    assert submit(bench, make(delivery=wish)).field == "delivery.jurisdiction"


def test_organisations_and_agents_are_checked_too(bench: Any, make: Any):
    company = make("内资企业及分支机构设立登记")
    assert (
        submit(bench, changed(company, "applicant.organisation.code", "123")).field
        == "applicant.organisation.code"
    )
    person = make().applicant.person
    agent = models.Agent(person=person, authority=" ")
    assert submit(bench, changed(company, "applicant.agent", agent)).field == "applicant.agent.authority"
    for_persons = models.Applicant(person=person)
    assert submit(bench, changed(company, "applicant", for_persons)).field == "applicant.person"
    assert submit(bench, company).outcome is Outcome.APPLIED


def test_what_was_collected_later_than_now_is_refused(bench: Any, make: Any):
    submission = changed(make(), "collected_at", bench.now.replace(year=2027))
    assert submit(bench, submission).field == "collected_at"


def test_no_refusal_repeats_what_was_submitted(bench: Any, make: Any):
    secret = "430202198503120310"
    decision = submit(bench, changed(make(), "applicant.person.document_number", secret))
    assert secret not in decision.reason
    assert "张伟明" not in decision.reason


def test_a_submission_is_answered_with_the_case_or_with_the_error(bench: Any, make: Any):
    submit(bench, make())
    answer = submission_answer("k1", "430200-01", bench.states[HERE])
    assert (answer.outcome, answer.case_id) == (models.AnswerOutcome.ACCEPTED, "430200-01")
    assert answer.times == bench.states[HERE].times
    refusal = submission_refusal("k2", "missing", "理由 / reason", "applicant")
    assert (refusal.outcome, refusal.error_field) == (models.AnswerOutcome.REFUSED, "applicant")


def test_materials_that_may_follow_come_later_and_before_approval(
    bench: Any, make: Any, accepted: Any, ask: Any
):
    later = tuple(
        changed(material, "may_follow", material.code == "health_certificate")
        for material in make().materials
    )
    accepted(materials=later)
    assert bench.act(REVIEW, ask.approve).code == "material_missing"
    (missing,) = (material for material in make().materials if material.code == "health_certificate")
    assert bench.act(HERE, commands.ProvideSupplement(materials=(missing,))).outcome is Outcome.APPLIED
    bench.deliver()
    assert bench.act(REVIEW, ask.approve).outcome is Outcome.APPLIED


def test_a_supplement_needs_something_that_the_item_knows(bench: Any, accepted: Any, ask: Any):
    accepted()
    assert bench.act(HERE, commands.ProvideSupplement()).field == "materials"
    unknown = changed(ask.provide.materials[0], "code", "nonsense")
    assert bench.act(HERE, commands.ProvideSupplement(materials=(unknown,))).field == "materials[0].code"


def test_an_applicant_withdraws_before_and_after_approval(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(REVIEW, ask.approve)
    bench.deliver()
    bench.act(HERE, ask.withdraw)
    bench.deliver()
    for where in (HERE, REVIEW, ("pickup", "430300")):
        assert bench.view(where) == View("withdrawn", False, ())
    assert not bench.refusals


def test_what_was_handed_over_cannot_be_withdrawn(bench: Any, accepted: Any, ask: Any):
    accepted(delivery=models.Delivery(kind=models.DeliveryKind.ELECTRONIC, jurisdiction="430300"))
    bench.act(REVIEW, ask.approve)
    bench.deliver()
    decision = bench.act(HERE, ask.withdraw)
    assert (decision.outcome, decision.code) == (Outcome.REFUSED, "not_applicable")


def test_a_withdrawal_that_crosses_a_refusal_gives_way(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(REVIEW, ask.refuse)
    bench.act(HERE, ask.withdraw)
    bench.deliver()
    assert bench.status(HERE) == bench.status(REVIEW) == "refused"
    ((where, message, _),) = bench.refusals
    assert (where, message.type) == (REVIEW, "CaseWithdrawn")
    bench.tell(HERE, type="CaseWithdrawn", to="430100/review", code="not_applicable", reason="-")
    assert bench.status(HERE) == "refused"


def test_a_withdrawal_that_crosses_the_hand_over_gives_way(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(REVIEW, ask.approve)
    bench.deliver()
    bench.act(("pickup", "430300"), ask.ready())
    bench.deliver()
    bench.act(("pickup", "430300"), ask.hand_over())
    bench.act(HERE, ask.withdraw)
    bench.deliver(lambda lanes: lanes - 1)
    assert {bench.status(where) for where in (HERE, REVIEW, ("pickup", "430300"))} == {"collected"}


def test_a_withdrawal_is_local_when_the_owner_never_took_the_case(bench: Any, make: Any, ask: Any):
    submit(bench, make())
    bench.wire.clear()
    bench.tell(HERE, type="CaseAccepted", to="430100/review", code="no_route", reason="- / -")
    assert bench.states[HERE].attention.code == "no_route"
    assert bench.act(HERE, ask.withdraw).out == ()
    assert bench.status(HERE) == "withdrawn"


def test_an_attention_mark_is_cleared_by_somebody_who_says_how(bench: Any, accepted: Any):
    accepted()
    assert bench.act(HERE, commands.Attend(note="已核")).code == "nothing_to_attend"
    bench.tell(HERE, type="SupplementProvided", to="430100/review", code="not_applicable", reason="- / -")
    assert bench.act(HERE, commands.Attend(note=" ")).field == "note"
    bench.act(HERE, commands.Attend(note="已与申请人联系"))
    assert bench.states[HERE].attention is None


def test_events_come_only_from_who_has_a_part_in_the_case(bench: Any, accepted: Any, ask: Any):
    accepted()
    decision = bench.act(REVIEW, ask.approve)
    told = next(sent for sent in decision.out if sent.to[0] == "acceptance")
    stranger = bench.message("event", "CaseDecided", told.data, "610100/review", 1)
    assert bench.take(HERE, stranger).code == "not_a_party"
    bench.deliver()
    assert bench.status(HERE) == "approved"


def test_the_pickup_can_be_faster_than_the_decision(bench: Any, accepted: Any, ask: Any):
    accepted(delivery=models.Delivery(kind=models.DeliveryKind.ELECTRONIC, jurisdiction="430300"))
    bench.act(REVIEW, ask.approve)
    answers = bench.deliver(lambda lanes: lanes - 1)
    assert [answer.awaits for answer in answers if answer.outcome is Outcome.WAITING] == ["event:CaseDecided"]
    assert bench.status(HERE) == bench.status(REVIEW) == "delivered"
    assert not bench.held


def test_required_materials_are_what_the_item_says(bench: Any, make: Any):
    good = make()
    item = bench.directory.item(good.item_code)
    for entry in item.materials:
        left = tuple(material for material in good.materials if material.code != entry.code)
        decision = submit(bench, changed(good, "materials", left))
        expected = Outcome.APPLIED if entry.required is Required.NO else Outcome.REFUSED
        assert decision.outcome is expected
