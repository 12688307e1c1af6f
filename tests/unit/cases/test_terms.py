"""Law 7: one holder, whose term rises with each transfer."""

from typing import Any

import msgspec
import pytest

from cases import Outcome, View, commands
from schemas import models

FIRST = ("review", "430100")
SECOND = ("review", "430300")
THIRD = ("review", "430200")
COUNTER = ("acceptance", "430200")


def to(code: str):
    return commands.Transfer(to=code, kind=models.TransferReason.WRONG_OFFICE, reason="属地不符")


def test_a_transfer_moves_the_case_whole_and_tells_acceptance(bench: Any, accepted: Any, ask: Any):
    accepted()
    decision = bench.act(FIRST, to("430300"))
    assert [sent.term for sent in decision.out] == [2, 2]
    assert [sent.data.file is None for sent in decision.out] == [False, True]
    bench.deliver()
    assert bench.view(FIRST) == View("transferred", False, ())
    moved = bench.states[SECOND]
    assert (moved.term, moved.former, moved.file) == (2, "430100", bench.states[FIRST].file)
    assert moved.times == bench.states[FIRST].times
    assert (bench.states[COUNTER].holder, bench.states[COUNTER].term) == ("430300", 2)
    bench.act(SECOND, ask.approve)
    bench.deliver()
    assert bench.status(COUNTER) == "approved"
    assert not bench.refusals


def test_the_duty_and_the_one_request_go_along(bench: Any, collected: Any, ask: Any):
    collected()
    bench.act(FIRST, ask.supplement)
    bench.deliver()
    bench.act(("acceptance", "440100"), ask.provide)
    bench.deliver()
    bench.act(FIRST, to("430300"))
    bench.deliver()
    assert bench.status(SECOND) == "received"
    assert bench.view(SECOND).timers[0][1] == bench.states[FIRST].duty_due
    assert bench.act(SECOND, ask.supplement).code == "already_requested"


def test_suspension_and_extension_go_along(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(FIRST, ask.extend)
    bench.act(FIRST, ask.suspend)
    bench.later(days=2)
    bench.act(FIRST, ask.resume)
    times = bench.states[FIRST].times
    bench.act(FIRST, to("430300"))
    bench.deliver()
    assert bench.states[SECOND].times == times
    assert bench.act(SECOND, ask.extend).code == "already_extended"
    bench.act(SECOND, ask.suspend)
    bench.act(SECOND, ask.resume)
    assert bench.states[SECOND].times == times


def test_a_former_holder_forwards_what_was_meant_for_the_next(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(FIRST, to("430300"))
    bench.act(COUNTER, ask.provide)
    forwarded = [answer for answer in bench.deliver() if answer.out and answer.out[0].to == SECOND]
    assert forwarded[0].out[0].term == 2
    (plan,) = (m for m in bench.states[SECOND].file.materials if m.code == "layout_plan")
    assert plan.digest == "cd" * 32
    bench.act(COUNTER, ask.withdraw)
    bench.deliver()
    assert bench.status(SECOND) == bench.status(COUNTER) == "withdrawn"
    assert bench.status(FIRST) == "transferred"
    assert not bench.refusals


def test_what_is_ahead_of_the_transfer_waits_for_it(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(FIRST, to("430300"))
    news = [entry for entry in bench.wire if entry[0] == COUNTER]
    bench.wire = type(bench.wire)(entry for entry in bench.wire if entry[0] == SECOND)
    bench.deliver()
    bench.act(SECOND, ask.refuse)
    (answer,) = bench.deliver()
    assert (answer.outcome, answer.awaits) == (Outcome.WAITING, "term:2")
    bench.wire.extend(news)
    bench.deliver()
    assert bench.status(COUNTER) == "refused"


def test_what_reaches_the_next_holder_before_the_case_waits_too(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(FIRST, to("430300"))
    case = [entry for entry in bench.wire if entry[0] == SECOND]
    bench.wire = type(bench.wire)(entry for entry in bench.wire if entry[0] == COUNTER)
    bench.deliver()
    bench.act(COUNTER, ask.withdraw)
    (answer,) = bench.deliver()
    assert (answer.outcome, answer.awaits) == (Outcome.WAITING, "term:2")
    bench.wire.extend(case)
    bench.deliver()
    assert bench.status(SECOND) == "withdrawn"


def test_a_case_may_come_back_and_go_on(bench: Any, accepted: Any, ask: Any):
    accepted()
    for here, code in ((FIRST, "430300"), (SECOND, "430100"), (FIRST, "430200")):
        assert bench.act(here, to(code)).outcome is Outcome.APPLIED
        bench.deliver()
    assert bench.states[THIRD].term == 4
    assert bench.status(FIRST) == bench.status(SECOND) == "transferred"
    bench.act(THIRD, ask.approve)
    bench.deliver()
    assert bench.status(COUNTER) == "approved"


def test_a_stale_holder_is_not_heard(bench: Any, accepted: Any, ask: Any):
    accepted()
    decision = bench.act(FIRST, ask.refuse)
    event = bench.message("event", "CaseDecided", decision.out[0].data, "430100/review", 1)
    bench.wire.clear()
    bench.states[FIRST] = msgspec.structs.replace(bench.states[FIRST], phase="in_review")
    bench.act(FIRST, to("430300"))
    bench.deliver()
    assert bench.take(COUNTER, event).code == "stale_term"


@pytest.mark.parametrize(
    ("code", "refusal"),
    [("430100", "already_held"), ("430102", "already_held"), ("999999", "no_review_there")],
)
def test_a_transfer_goes_to_another_review_stage(bench: Any, accepted: Any, code: str, refusal: str):
    accepted()
    assert bench.act(FIRST, to(code)).code == refusal


def test_a_transfer_needs_a_reason(bench: Any, accepted: Any):
    accepted()
    assert bench.act(FIRST, msgspec.structs.replace(to("430300"), reason=" ")).field == "reason"


def test_a_transfer_that_lacks_something_or_is_not_for_us_is_refused(bench: Any, collected: Any):
    collected()
    (sent, _) = bench.act(FIRST, to("430300")).out
    good = sent.data
    replace = msgspec.structs.replace
    for data, term, code in (
        (replace(good, file=None), 2, "missing"),
        (replace(good, to_jurisdiction="430200"), 2, "wrong_inbox"),
        (good, 1, "stale_term"),
        (replace(good, duty_due=None), 2, "missing"),
        (replace(good, accepted_by=models.AcceptedBy.OWNER), 2, "missing"),
        (replace(good, file=replace(good.file, directory_version="2040.1")), 2, "waits"),
    ):
        message = bench.message("event", "CaseTransferred", data, "430100/review", term)
        assert bench.stages[SECOND].decide(None, message).code == code


def test_a_transferred_case_is_decided_in_the_name_of_who_holds_it(bench: Any, accepted: Any, ask: Any):
    accepted()
    bench.act(FIRST, to("430300"))
    bench.deliver()
    decision = bench.act(SECOND, ask.approve)
    assert decision.out[1].data.certificate.issuer.name == "湘潭市市场监督管理局"
