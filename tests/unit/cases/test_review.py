"""The owner's five-day duty, supplements, the clock, decisions and transfer."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from cases import DEEMED_ACCEPTANCE, Outcome, Phase, ReviewStage, View, commands
from jurisdictions import CHINA_TIME, Directory
from schemas import models

HERE = ("review", "430100")
WINDOW = ("acceptance", "440100")
POWERFUL = ("acceptance", "430200")


def local(instant: datetime):
    return instant.astimezone(CHINA_TIME).strftime("%m-%d %H:%M")


def test_a_collected_case_has_five_working_days_from_the_receipt_that_counts(bench: Any, collected: Any):
    collected()
    assert bench.view(HERE).status == "received"
    ((kind, due),) = bench.view(HERE).timers
    assert kind == DEEMED_ACCEPTANCE
    assert local(due) == "03-10 00:00"
    state = bench.states[HERE]
    assert state.times.collected == bench.now
    assert state.times.received == bench.now
    assert state.times.accepted is None


def test_the_agreement_says_whether_the_windows_or_the_owners_receipt_counts(
    bench: Any, make: Any, directory: Directory
):
    delivery = models.Delivery(kind=models.DeliveryKind.COUNTER, jurisdiction="440100")
    bench.act(WINDOW, commands.SubmitCase(submission=make(delivery=delivery), serial=0))
    (_, message) = bench.wire[0]
    bench.later(days=3)
    for start, due in ((models.DutyStart.OWNER, "03-13 00:00"), (models.DutyStart.WINDOW, "03-10 00:00")):
        data = msgspec.structs.replace(message.data, duty_start=start)
        event = message._replace(data=data, recorded_at=bench.now)
        (fact,) = ReviewStage("430100", directory).decide(None, event).facts
        assert local(fact.duty_due) == due


def test_the_owner_accepts_and_the_clock_begins_then(bench: Any, collected: Any, ask: Any):
    collected()
    bench.later(days=2)
    decision = bench.act(HERE, commands.Accept(notice_number="受2026-7"))
    assert decision.outcome is Outcome.APPLIED
    bench.deliver()
    for where in (HERE, WINDOW):
        state = bench.states[where]
        assert state.phase is Phase.IN_REVIEW
        assert state.times.accepted == bench.now
        assert local(state.times.promised) == "03-12 00:00"
        assert (state.accepted_by, state.notice_number) == (models.AcceptedBy.OWNER, "受2026-7")
    assert bench.view(HERE).timers == ()
    assert bench.act(HERE, ask.accept).code == "not_applicable"


def test_lapse_accepts_as_of_the_day_of_receipt(bench: Any, collected: Any):
    collected()
    received = bench.now
    bench.at(2026, 3, 20, 9)  # an outage: the timer is noticed ten days late
    assert bench.ring(HERE).outcome is Outcome.APPLIED
    bench.deliver()
    for where in (HERE, WINDOW):
        state = bench.states[where]
        assert state.phase is Phase.IN_REVIEW
        assert state.accepted_by is models.AcceptedBy.LAPSE
        assert state.times.accepted == received
        assert local(state.times.promised) == "03-10 00:00"
    assert local(bench.history[HERE][-1].at) == "03-10 00:00"
    assert bench.view(HERE).timers == ()


def test_an_act_after_the_five_days_is_refused_even_before_the_timer_is_noticed(
    bench: Any, collected: Any, ask: Any
):
    collected()
    bench.at(2026, 3, 10, 0, 1)
    for command in (ask.accept, ask.not_accept, ask.supplement, ask.transfer):
        assert bench.act(HERE, command).code == "duty_lapsed"


def test_the_last_minute_of_the_fifth_day_is_in_time(bench: Any, collected: Any, ask: Any):
    collected()
    bench.at(2026, 3, 9, 23, 59)
    assert bench.act(HERE, ask.accept).outcome is Outcome.APPLIED


def test_an_act_in_time_recorded_after_the_timer_counts(bench: Any, collected: Any, ask: Any):
    collected()
    acted = bench.now + timedelta(days=1)
    bench.at(2026, 3, 12, 9)
    bench.ring(HERE)
    assert bench.act(HERE, ask.accept, acted_at=acted).outcome is Outcome.APPLIED
    bench.deliver()
    for where in (HERE, WINDOW):
        assert bench.states[where].accepted_by is models.AcceptedBy.OWNER
        assert bench.states[where].times.accepted == acted


def test_a_refusal_to_accept_in_time_undoes_the_lapse(bench: Any, collected: Any, ask: Any):
    collected()
    acted = bench.now + timedelta(days=1)
    bench.at(2026, 3, 12, 9)
    bench.ring(HERE)
    assert bench.act(HERE, ask.not_accept).code == "not_applicable"
    bench.act(HERE, ask.not_accept, acted_at=acted)
    bench.deliver()
    assert bench.view(HERE) == bench.view(WINDOW) == View("not_accepted", False, ())
    assert bench.states[WINDOW].not_accepted.right_body.jurisdiction == "430000"


def test_a_request_in_time_undoes_the_lapse_and_a_later_one_stops_no_clock(
    bench: Any, collected: Any, ask: Any
):
    collected()
    acted = bench.now + timedelta(days=1)
    bench.at(2026, 3, 12, 9)
    bench.ring(HERE)
    promised = bench.states[HERE].times.promised
    before = bench.states[HERE]
    late = bench.act(HERE, ask.supplement)
    assert late.out[0].data.clock_runs
    assert bench.states[HERE].phase is Phase.IN_REVIEW
    assert bench.states[HERE].times.promised == promised
    bench.states[HERE] = before
    bench.act(HERE, ask.supplement, acted_at=acted)
    assert bench.states[HERE].phase is Phase.SUPPLEMENTING
    assert bench.states[HERE].times.accepted is None
    assert bench.states[HERE].accepted_by is None


def test_supplements_are_asked_for_once_and_start_a_new_duty_when_they_come(
    bench: Any, collected: Any, ask: Any
):
    collected()
    bench.later(days=1)
    assert bench.act(HERE, commands.RequestSupplement(materials=())).field == "materials"
    bench.act(HERE, ask.supplement)
    bench.deliver()
    assert bench.view(HERE) == bench.view(WINDOW) == View("supplementing", True, ())
    assert bench.act(HERE, ask.accept).code == "not_applicable"
    bench.later(days=7)
    bench.act(WINDOW, ask.provide)
    bench.deliver()
    assert bench.status(WINDOW) == "forwarded"
    assert bench.status(HERE) == "received"
    ((_, due),) = bench.view(HERE).timers
    assert local(due) == "03-18 00:00"
    (plan,) = (m for m in bench.states[HERE].file.materials if m.code == "layout_plan")
    assert plan.digest == "cd" * 32
    assert bench.act(HERE, ask.supplement).code == "already_requested"
    bench.at(2026, 3, 18, 0)
    bench.ring(HERE)
    assert local(bench.states[HERE].times.accepted) == "03-10 12:00"


def test_who_does_not_supplement_in_time_may_be_turned_away(bench: Any, collected: Any, ask: Any):
    collected()
    request = msgspec.structs.replace(ask.supplement, due=bench.now + timedelta(days=10))
    bench.act(HERE, request)
    command = commands.NotAccept(kind=models.NotAcceptedKind.NOT_SUPPLEMENTED, reason="逾期未补正")
    assert bench.act(HERE, command).code == "not_yet_due"
    bench.later(days=11)
    assert bench.act(HERE, command).outcome is Outcome.APPLIED


def test_a_due_date_of_a_request_lies_ahead(bench: Any, collected: Any, ask: Any):
    collected()
    assert bench.act(HERE, msgspec.structs.replace(ask.supplement, due=bench.now)).field == "due"


def test_not_accepting_names_reason_and_right_body(bench: Any, collected: Any, ask: Any):
    collected()
    assert bench.act(HERE, msgspec.structs.replace(ask.not_accept, reason="")).field == "reason"
    assert bench.act(HERE, msgspec.structs.replace(ask.not_accept, right_body=None)).field == "right_body"


def test_a_request_after_acceptance_lets_the_clock_run(bench: Any, accepted: Any, ask: Any):
    accepted()
    times = bench.states[HERE].times
    bench.act(HERE, ask.supplement)
    bench.deliver()
    assert bench.status(HERE) == bench.status(POWERFUL) == "in_review"
    assert bench.states[HERE].times == times
    assert bench.states[POWERFUL].supplement is not None
    bench.act(POWERFUL, ask.provide)
    bench.deliver()
    assert bench.states[POWERFUL].supplement is None
    assert bench.act(HERE, ask.supplement).code == "already_requested"


def test_suspension_needs_a_notice_and_moves_what_is_due(bench: Any, accepted: Any, ask: Any):
    accepted()
    for field in ("notice_number", "reason"):
        assert bench.act(HERE, msgspec.structs.replace(ask.suspend, **{field: " "})).field == field
    assert (
        bench.act(HERE, msgspec.structs.replace(ask.suspend, expected_end=bench.now)).field == "expected_end"
    )
    bench.later(days=1)
    bench.act(HERE, ask.suspend)
    bench.deliver()
    assert bench.status(HERE) == bench.status(POWERFUL) == "suspended"
    assert bench.act(HERE, ask.approve).code == "not_applicable"
    bench.later(days=7)  # Tuesday to Tuesday: five working days
    assert bench.act(HERE, commands.Resume(result="")).field == "result"
    bench.act(HERE, ask.resume)
    bench.deliver()
    for where in (HERE, POWERFUL):
        assert bench.status(where) == "in_review"
        assert local(bench.states[where].times.promised) == "03-17 00:00"
        assert local(bench.states[where].times.statutory) == "03-24 00:00"


def test_extension_moves_the_limit_once_and_stops_no_clock(bench: Any, accepted: Any, ask: Any):
    accepted()
    for days in (0, 16, -1):
        assert bench.act(HERE, msgspec.structs.replace(ask.extend, days=days)).field == "days"
    for field in ("approved_by", "notice_number", "reason"):
        assert bench.act(HERE, msgspec.structs.replace(ask.extend, **{field: ""})).field == field
    bench.act(HERE, ask.extend)
    bench.deliver()
    for where in (HERE, POWERFUL):
        assert bench.status(where) == "in_review"
        assert local(bench.states[where].times.statutory) == "03-31 00:00"
    assert bench.act(HERE, ask.extend).code == "already_extended"


def test_approval_tells_acceptance_and_sends_the_result_to_pickup(bench: Any, accepted: Any):
    accepted()
    decision = bench.act(HERE, commands.Approve(certificate_number="JY1430", document_number="准1"))
    assert [(sent.to, type(sent.data).__name__) for sent in decision.out] == [
        (("acceptance", "430200"), "CaseDecided"),
        (("pickup", "430300"), "CertificateIssued"),
    ]
    issued = decision.out[1].data
    assert issued.certificate.number == "JY1430"
    assert issued.certificate.issuer.name == "长沙市市场监督管理局"
    assert local(issued.serve_by) == "03-17 00:00"
    bench.deliver()
    assert bench.status(HERE) == bench.status(POWERFUL) == "approved"
    assert bench.status(("pickup", "430300")) == "issued"


def test_an_electronic_file_is_named_by_its_digest(bench: Any, accepted: Any):
    accepted()
    assert bench.act(HERE, commands.Approve(digest="nonsense")).field == "digest"


def test_refusal_needs_reason_grounds_and_remedy(bench: Any, accepted: Any, ask: Any):
    accepted()
    assert bench.act(HERE, msgspec.structs.replace(ask.refuse, reason=" ")).field == "reason"
    assert bench.act(HERE, msgspec.structs.replace(ask.refuse, grounds=())).field == "grounds"
    for remedy in (models.Remedy(body="", period_days=60), models.Remedy(body="法院", period_days=0)):
        assert bench.act(HERE, msgspec.structs.replace(ask.refuse, remedy=remedy)).field == "remedy"
    bench.act(HERE, ask.refuse)
    bench.deliver()
    assert bench.view(HERE) == bench.view(POWERFUL) == View("refused", False, ())
    assert bench.states[POWERFUL].decision.remedy.period_days == 60


def test_only_who_holds_the_task_acts_on_it(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(HERE, commands.Claim(), by="clerk:li")
    assert bench.act(HERE, commands.Claim(), by="clerk:wang").code == "claimed"
    assert bench.act(HERE, ask.approve, by="clerk:wang").code == "claimed"
    assert bench.act(HERE, commands.Release(), by="clerk:wang").field == "reason"
    assert bench.act(HERE, commands.Release(reason="休假"), by="clerk:wang").outcome is Outcome.APPLIED
    assert bench.act(HERE, commands.Release(), by="clerk:wang").code == "not_claimed"
    bench.act(HERE, commands.Claim(), by="clerk:wang")
    assert bench.act(HERE, ask.approve, by="clerk:wang").outcome is Outcome.APPLIED
    assert bench.states[HERE].claimed_by is None


@pytest.mark.parametrize("window", ["accepted", "collected"])
def test_an_instant_case_runs_through_with_no_person(bench: Any, request: pytest.FixtureRequest, window: str):
    place = {"accepted": "430300", "collected": "440100"}[window]
    wish = models.Delivery(kind=models.DeliveryKind.ELECTRONIC, jurisdiction=place)
    request.getfixturevalue(window)("医保参保凭证", delivery=wish)
    counter = POWERFUL if window == "accepted" else WINDOW
    for where in (counter, HERE, ("pickup", place)):
        assert bench.view(where) == View("delivered", False, ())
    assert bench.states[counter].times.accepted is not None
    assert not bench.refusals


def test_an_instant_case_with_a_material_to_follow_goes_to_a_person(bench: Any, make: Any, accepted: Any):
    materials = tuple(
        msgspec.structs.replace(m, may_follow=m.code == "referral_record")
        for m in make("异地就医备案").materials
    )
    accepted("异地就医备案", materials=materials)
    assert bench.status(HERE) == "in_review"


def taken(bench: Any, make: Any, **changes: Any):
    """The case at the counter with power, and its message to the owner with some of the file changed."""
    bench.act(POWERFUL, commands.SubmitCase(submission=make(), serial=0))
    (_, message) = bench.wire.pop()
    file = msgspec.structs.replace(message.data.file, **changes)
    return message._replace(data=msgspec.structs.replace(message.data, file=file))


def test_a_newer_directory_is_waited_for_and_an_older_one_is_known(bench: Any, make: Any):
    newer = bench.stages[HERE].decide(None, taken(bench, make, directory_version="2031.4"))
    assert (newer.outcome, newer.awaits) == (Outcome.WAITING, "directory:2031.4")


def test_an_older_directory_version_is_judged_by_the_items_version(bench: Any, make: Any):
    assert (
        bench.stages[HERE].decide(None, taken(bench, make, directory_version="2020.1")).outcome
        is Outcome.APPLIED
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"directory_version": "newest"}, "invalid"),
        ({"item": models.ItemRef(code="0" * 31, version=1, name="?")}, "invalid"),
        ({"accepting_office": models.Office(jurisdiction="440100", name="广州")}, "not_a_party"),
    ],
)
def test_what_cannot_be_judged_here_is_refused(bench: Any, make: Any, changes: dict[str, Any], code: str):
    assert bench.stages[HERE].decide(None, taken(bench, make, **changes)).code == code


def test_a_case_of_another_owner_is_refused(bench: Any, make: Any, directory: Directory):
    message = taken(bench, make)
    assert ReviewStage("430300", directory).decide(None, message).code == "wrong_inbox"


def test_a_window_that_may_only_collect_cannot_accept(bench: Any, make: Any):
    message = taken(bench, make)
    file = msgspec.structs.replace(
        message.data.file, accepting_office=models.Office(jurisdiction="440100", name="广州市")
    )
    claim = message._replace(
        source="440100/acceptance", data=msgspec.structs.replace(message.data, file=file)
    )
    assert bench.stages[HERE].decide(None, claim).code == "no_route"


def test_an_acceptance_without_its_file_or_time_is_refused(bench: Any, make: Any):
    message = taken(bench, make)
    bare = msgspec.structs.replace(message.data, file=None)
    assert bench.stages[HERE].decide(None, message._replace(data=bare)).field == "file"
    timeless = msgspec.structs.replace(
        message.data, times=msgspec.structs.replace(message.data.times, accepted=None)
    )
    assert bench.stages[HERE].decide(None, message._replace(data=timeless)).field == "times.accepted"


def test_a_timer_of_another_time_is_moot(bench: Any, collected: Any):
    collected()
    early = bench.message("timer", DEEMED_ACCEPTANCE, None, "timer", 0)
    assert bench.take(HERE, early).code == "timer_moot"
    bench.act(HERE, commands.Accept())
    assert bench.take(HERE, early._replace(acted_at=bench.now + timedelta(days=30))).code == "timer_moot"


def test_an_instant_outside_of_all_calendars_is_refused(bench: Any, collected: Any):
    collected()
    far = bench.now.replace(year=9999, month=12, day=31)
    bench.states[HERE] = msgspec.structs.replace(bench.states[HERE], duty_due=far)
    assert bench.act(HERE, commands.Accept(), acted_at=far).code == "invalid"


def test_what_crosses_the_request_does_not_answer_it(bench: Any, collected: Any, ask: Any):
    collected()
    bench.act(HERE, ask.supplement)
    bench.act(WINDOW, ask.provide)
    bench.deliver()
    assert bench.status(HERE) == bench.status(WINDOW) == "supplementing"
    assert any(m.digest == "cd" * 32 for m in bench.states[HERE].file.materials)
    bench.act(WINDOW, ask.provide)
    bench.deliver()
    assert bench.status(HERE) == "received"


def test_the_clock_does_not_resume_before_it_stopped(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(HERE, ask.suspend)
    assert bench.act(HERE, ask.resume, acted_at=bench.now - timedelta(hours=1)).code == "wrong_order"
