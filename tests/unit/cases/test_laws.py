"""Laws 6 and 8 over random walks: totality, rebuilding, agreement of the stages, and nothing personal in refusals."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import DEEMED_ACCEPTANCE, ENDS, Decision, Outcome, commands, journey
from schemas import models

SECRETS = ("张伟明", "43020219850312031", "天元区某路")


def command_list(ask: Any) -> list[Any]:
    return [
        ask.provide,
        ask.withdraw,
        commands.Attend(note="已处理"),
        commands.Claim(),
        commands.Release(),
        commands.Release(reason="换人"),
        ask.accept,
        ask.not_accept,
        ask.supplement,
        ask.approve,
        ask.refuse,
        ask.transfer,
        msgspec.structs.replace(ask.transfer, to="430100"),
        ask.suspend,
        ask.resume,
        ask.extend,
        ask.ready(),
        ask.mail,
        ask.confirm,
        ask.send_back,
        ask.hand_over(),
        ask.hand_over("ZZZZ"),
    ]


@st.composite
def walks(draw: Any):
    """How the case begins, and what is tried next: an act, a timer, a delivery, a refusal that is told."""
    step = st.tuples(
        st.sampled_from(["act", "act", "act", "ring", "deliver", "deliver", "one", "told", "late"]),
        st.integers(0, 30),
        st.integers(0, 8),
        st.integers(0, 40),
        st.sampled_from(["clerk:li", "clerk:li", "clerk:wang"]),
    )
    return (
        draw(st.booleans()),
        draw(st.sampled_from(list(models.DeliveryKind))),
        draw(st.lists(step, max_size=25)),
    )


def run(bench: Any, make: Any, ask: Any, walk: Any):
    """Walks and yields after each step."""
    powerful, kind, steps = walk
    window, place = (("acceptance", "430200"), "430300") if powerful else (("acceptance", "440100"), "440100")
    wish = models.Delivery(kind=kind, jurisdiction=place, address="株洲市天元区某路1号")
    bench.act(window, commands.SubmitCase(submission=make(delivery=wish), serial=0))
    yield
    acts = command_list(ask)
    for what, which, where, hours, who in steps:
        bench.later(hours=hours)
        places = sorted(bench.states)
        place = places[where % len(places)]
        match what:
            case "act" | "late":
                rows = bench.stages[place].rows  # mostly what may apply, or walks would be short
                likely = [a for a in acts if (bench.states[place].phase, type(a).__name__) in rows] or acts
                if which % 5:  # withdrawals end most walks too soon
                    likely = [a for a in likely if a is not ask.withdraw] or acts
                acted = bench.now.replace(year=2026, month=3, day=2, hour=13) if what == "late" else bench.now
                bench.act(place, likely[which % len(likely)], by=who, acted_at=acted)
            case "ring" if bench.view(place).timers:
                bench.now = max(bench.now, bench.view(place).timers[0][1])
                bench.ring(place)
            case "deliver":
                bench.deliver(lambda lanes, which=which: which % lanes)
            case "one" if bench.wire:
                destination, message = bench.wire.popleft()
                bench.arrive(destination, message)
            case "told":
                bench.tell(
                    place, type="CaseWithdrawn", to="430100/review", code="not_applicable", reason="- / -"
                )
        yield


def every_message(bench: Any, make: Any, ask: Any):
    """One message of every type, from here and there, in every term."""
    now = bench.now
    times = models.Times(provisional=False, calendar_version="x", accepted=now)
    event_data = {type(m.data).__name__: m.data for _, m in bench.seen}
    event_data |= {
        "CaseNotAccepted": models.CaseNotAccepted(kind=models.NotAcceptedKind.OTHER, reason="-", times=times),
        "CaseDeemedAccepted": models.CaseDeemedAccepted(
            times=times, duty_due=now, notice_number="1", directory_version="2026.1"
        ),
        "ClockResumed": models.ClockResumed(result="-", at=now, times=times),
        "CaseWithdrawn": models.CaseWithdrawn(withdrawn_at=now),
        "CertificateReady": models.CertificateReady(place="-", ready_at=now),
        "CertificateMailed": models.CertificateMailed(carrier="-", tracking_number="-", mailed_at=now),
        "CertificateDelivered": models.CertificateDelivered(
            kind=models.DeliveryKind.POST, proof="-", delivered_at=now
        ),
        "CertificateReturned": models.CertificateReturned(
            reason=models.ReturnReason.UNCLAIMED, returned_at=now
        ),
        "CertificateCollected": models.CertificateCollected(
            collector=models.CollectorKind.HOLDER, collected_at=now
        ),
    }
    sources = ["430200/acceptance", "440100/acceptance", "430100/review", "430300/pickup", "nonsense", ""]
    for model in models.EVENTS.values():
        for source in sources:
            for term in (0, 1, 2, 9):
                data = event_data.get(model.__name__)
                yield bench.message("event", model.__name__, data, source, term)
    for command in [*command_list(ask), commands.SubmitCase(submission=make(), serial=1)]:
        yield bench.message("command", type(command).__name__, command, "clerk:li", 0)
    yield bench.message("timer", DEEMED_ACCEPTANCE, None, "timer", 0)
    yield bench.message("timer", "unheard_of", None, "timer", 0)
    yield bench.message("event", "Approve", ask.approve, "430100/review", 1)
    yield bench.message("command", "Approve", None, "clerk:li", 0)
    yield bench.message("command", "", object(), "", -1)


HOUSE = settings(deadline=None, max_examples=60, derandomize=True)


@HOUSE
@given(walk=walks())
def test_every_message_has_an_answer_in_every_state(fresh: Any, make: Any, ask: Any, walk: Any):
    bench = fresh()
    for _ in run(bench, make, ask, walk):
        pass
    messages = list(every_message(bench, make, ask))
    for where, stage in bench.stages.items():
        for state in {id(s): s for s in (None, bench.states.get(where))}.values():
            before = msgspec.msgpack.encode(state)
            for message in messages:
                answer = stage.decide(state, message)
                assert isinstance(answer, Decision)
                if answer.outcome is not Outcome.APPLIED:
                    assert not answer.facts
                    assert not answer.out
                    assert answer.code
                    assert " / " in answer.reason
                    assert not any(secret in answer.reason for secret in SECRETS)
                else:
                    assert answer.facts
                for fact in answer.facts:
                    assert isinstance(fact, stage.fact_type)
            assert msgspec.msgpack.encode(state) == before


@HOUSE
@given(walk=walks())
def test_folding_the_stored_facts_gives_the_state(fresh: Any, make: Any, ask: Any, walk: Any):
    bench = fresh()
    for _ in run(bench, make, ask, walk):
        pass
    for where, history in bench.history.items():
        stage = bench.stages[where]
        stored = msgspec.msgpack.encode(history)
        state = None
        for fact in msgspec.msgpack.decode(stored, type=list.__class_getitem__(stage.fact_type)):
            state = stage.evolve(state, fact)
        assert state == bench.states[where]


@HOUSE
@given(walk=walks())
def test_whatever_happened_the_stages_agree_once_all_is_delivered(fresh: Any, make: Any, ask: Any, walk: Any):
    bench = fresh()
    for _ in run(bench, make, ask, walk):
        pass
    bench.deliver()
    assert not bench.held
    (window,) = (where for where in bench.states if where[0] == "acceptance")
    holders = [
        where for where in bench.states if where[0] == "review" and bench.status(where) != "transferred"
    ]
    assert len(holders) == 1
    told = {"forwarded": "received"}.get(bench.status(window), bench.status(window))
    assert told == bench.status(holders[0])
    for where in bench.states:
        if where[0] == "pickup":
            assert {"issued": "approved"}.get(bench.status(where), bench.status(where)) == told


@HOUSE
@given(walk=walks())
def test_tasks_and_journeys_can_always_be_shown(fresh: Any, make: Any, ask: Any, walk: Any):
    bench = fresh()
    for _ in run(bench, make, ask, walk):
        for where, state in bench.states.items():
            stage = bench.stages[where]
            task = stage.task(state)
            if task is not None and state.phase in ENDS:
                assert task.kind == "attention"
            shown = msgspec.json.encode([task, journey(bench.history[where])]).decode()
            assert not any(secret in shown for secret in SECRETS)


@pytest.mark.parametrize("where", [("acceptance", "430200"), ("review", "430100"), ("pickup", "430300")])
def test_commands_travel_and_come_back(bench: Any, make: Any, ask: Any, where: tuple[str, str]):
    stage = bench.stages[where]
    known = {kind.__name__ for kind in stage.command_type.__args__}
    for command in [*command_list(ask), commands.SubmitCase(submission=make(), serial=1)]:
        if type(command).__name__ in known:
            stored = msgspec.msgpack.encode(command)
            assert msgspec.msgpack.decode(stored, type=stage.command_type) == command
