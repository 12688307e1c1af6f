"""Law 11 in the cases: events of our own, given back after a restore, make of a case what it was."""

from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cases import DEEMED_ACCEPTANCE, Decision, Outcome, Phase
from schemas import models
from tests.unit.cases.conftest import CHANGSHA, GUANGZHOU, XIANGTAN, ZHUZHOU, Bench, Message
from tests.unit.cases.test_laws import HOUSE, every_message, run, walks

Place = tuple[str, str]


class Step(NamedTuple):
    """One message that a stage applied."""

    before: Any
    message: Message
    decision: Decision


def recorded(bench: Bench) -> dict[Place, list[Step]]:
    """What each stage applies from now on."""
    steps: dict[Place, list[Step]] = {}
    take = bench.take

    def taking(where: Place, message: Message) -> Decision:
        before = bench.states.get(where)
        decision = take(where, message)
        if decision.outcome is Outcome.APPLIED:
            steps.setdefault(where, []).append(Step(before, message, decision))
        return decision

    bench.take = taking  # type: ignore[method-assign]
    return steps


def given_back(step: Step) -> list[Message]:
    """The events of an act or a timer, as their receivers give them back."""
    return [
        step.message._replace(
            kind="adopted",
            type=type(sent.data).__name__,
            data=sent.data,
            source=f"{sent.to[1]}/{sent.to[0]}",
            term=sent.term,
        )
        for sent in step.decision.out
    ]


class Restored:
    """A stage from a backup: it takes messages in their order, and again those that waited."""

    def __init__(self, bench: Bench, where: Place, state: Any) -> None:
        self._stage = bench.stages[where]
        self.state = state
        self._waiting: list[Message] = []

    def take(self, message: Message) -> Decision:
        decision = self._stage.decide(self.state, message)
        for fact in decision.facts:
            self.state = self._stage.evolve(self.state, fact)
        if decision.outcome is Outcome.WAITING:
            self._waiting.append(message)
        elif decision.facts:
            again, self._waiting = self._waiting, []
            for waiting in again:
                self.take(waiting)
        return decision


def known(state: Any) -> tuple[str, int]:
    return str(state.phase), state.term


@HOUSE
@given(walk=walks(), source=st.sampled_from(["430100/review", "430200/acceptance", "430300/pickup", "?", ""]))
def test_every_event_given_back_has_an_answer_in_every_state(
    fresh: Any, make: Any, ask: Any, walk: Any, source: str
) -> None:
    bench = fresh()
    for _ in run(bench, make, ask, walk):
        pass
    messages = [message._replace(kind="adopted") for message in every_message(bench, make, ask)]
    messages += [message._replace(source=source) for message in messages]
    for where, stage in bench.stages.items():
        for state in (None, bench.states[where]) if where in bench.states else (None,):
            before = msgspec.msgpack.encode(state)
            for message in messages:
                decision = stage.decide(state, message)
                assert decision.outcome is Outcome.APPLIED or not (decision.facts or decision.out)
                assert decision.outcome is not Outcome.WAITING or decision.awaits
                after = state
                for fact in decision.facts:
                    after = stage.evolve(after, fact)
                assert after is None or stage.view(after).status
                assert msgspec.msgpack.encode(state) == before


@settings(HOUSE, max_examples=400)
@given(walk=walks(), lost=st.integers(0, 40))
def test_what_was_told_and_lost_brings_the_case_to_where_it_was(
    fresh: Any, make: Any, ask: Any, walk: Any, lost: int
) -> None:
    bench = fresh()
    steps = recorded(bench)
    for _ in run(bench, make, ask, walk):
        pass
    for where, taken in steps.items():
        since = taken[-1 - lost % len(taken) :]
        restored = Restored(bench, where, since[0].before)
        for step in since:
            if step.message.kind == "event":  # its sender sends it again
                restored.take(step.message)
            for message in given_back(step) if step.message.kind in ("command", "timer") else ():
                restored.take(message)
        if restored.state is not None:
            assert known(restored.state) == known(bench.states[where])


WINDOW, REVIEW = ("acceptance", ZHUZHOU), ("review", CHANGSHA)
ONLY_COLLECTS, PICKUP = ("acceptance", GUANGZHOU), ("pickup", XIANGTAN)
APPROVED = ["approve"]
READY = [*APPROVED, "ready"]

ACTS: list[tuple[Place, str, list[str], str]] = [
    (REVIEW, "accepted", [], "supplement"),
    (REVIEW, "accepted", [], "suspend"),
    (REVIEW, "accepted", ["suspend"], "resume"),
    (REVIEW, "accepted", [], "extend"),
    (REVIEW, "accepted", [], "approve"),
    (REVIEW, "accepted", [], "refuse"),
    (REVIEW, "accepted", [], "transfer"),
    (REVIEW, "collected", [], "accept"),
    (REVIEW, "collected", [], "not_accept"),
    (REVIEW, "collected", [], "supplement"),
    (WINDOW, "accepted", [], "withdraw"),
    (ONLY_COLLECTS, "collected", ["supplement"], "provide"),
    (PICKUP, "accepted", APPROVED, "ready"),
    (PICKUP, "accepted", READY, "hand_over"),
    (PICKUP, "accepted", APPROVED, "mail"),
    (PICKUP, "accepted", [*APPROVED, "mail"], "confirm"),
    (PICKUP, "accepted", [*APPROVED, "mail"], "send_back"),
]


def command_of(ask: Any, name: str) -> Any:
    found = getattr(ask, name)
    return found() if callable(found) and name in ("ready", "hand_over") else found


def perform(bench: Bench, ask: Any, name: str) -> Step:
    """The act, where it may be done; its step."""
    command = command_of(ask, name)
    for where in sorted(bench.states):
        before = bench.states[where]
        if type(command) not in bench.stages[where].command_type.__args__:
            continue
        decision = bench.act(where, command)
        if decision.outcome is Outcome.APPLIED:
            message = bench.message("command", type(command).__name__, command, "clerk:li", 0)
            return Step(before, message, decision)
    pytest.fail(f"{name} applies nowhere")


@pytest.mark.parametrize(("where", "begun", "earlier", "act"), ACTS, ids=str)
def test_an_act_is_known_again_from_any_one_of_its_events(
    bench: Bench,
    accepted: Any,
    collected: Any,
    ask: Any,
    where: Place,
    begun: str,
    earlier: list[str],
    act: str,
) -> None:
    by_post = models.Delivery(kind=models.DeliveryKind.POST, jurisdiction=XIANGTAN, address="某路1号")
    begin = {"accepted": accepted, "collected": collected}[begun]
    begin(**({"delivery": by_post} if act in ("mail", "confirm", "send_back") else {}))
    for name in earlier:
        perform(bench, ask, name)
        bench.deliver()
    step = perform(bench, ask, act)
    sent = {outgoing.to: outgoing for outgoing in step.decision.out}
    assert sent
    for message in given_back(step):
        restored = Restored(bench, where, step.before)
        decision = restored.take(message)
        assert decision.outcome is Outcome.APPLIED, decision
        assert known(restored.state) == known(bench.states[where])
        told = {outgoing.to: outgoing for outgoing in decision.out}
        giver = tuple(reversed(message.source.split("/")))
        assert told.keys() <= sent.keys() - {giver}  # the bus leaves out who gave it back
        for to, outgoing in told.items():
            assert type(outgoing.data) is type(sent[to].data)
            assert outgoing.term == sent[to].term


def test_a_case_is_opened_again_from_what_its_office_was_sent(bench: Bench, accepted: Any) -> None:
    steps = recorded(bench)
    accepted()
    [step, *_] = steps[WINDOW]
    [message] = given_back(step)
    restored = Restored(bench, WINDOW, None)
    assert restored.take(message).outcome is Outcome.APPLIED
    state, lost = restored.state, bench.states[WINDOW]
    assert (state.phase, state.file, state.times) == (lost.phase, lost.file, lost.times)


def test_what_came_before_it_is_waited_for(bench: Bench, accepted: Any, ask: Any) -> None:
    steps = recorded(bench)
    accepted()
    perform(bench, ask, "approve")
    bench.deliver()
    perform(bench, ask, "ready")
    bench.deliver()
    perform(bench, ask, "hand_over")
    ready, collected = (
        next(message for message in given_back(step) if message.source.endswith("acceptance"))
        for step in steps[PICKUP][-2:]
    )
    restored = Restored(bench, PICKUP, steps[PICKUP][1].before)
    waiting = restored.take(collected)
    assert (waiting.outcome, waiting.awaits) == (Outcome.WAITING, "event:")
    restored.take(ready)
    assert known(restored.state) == known(bench.states[PICKUP])


@pytest.mark.parametrize(
    ("begun", "earlier", "lost", "needed"),
    [
        ("collected", [], ["accept"], 1),
        ("collected", [], ["accept", "suspend", "resume"], 1),  # what need not be, the certificate tells
        ("accepted", ["suspend"], ["resume"], 1),
        ("accepted", ["suspend"], ["resume", "extend"], 1),
        ("accepted", [], ["extend"], 0),
        ("accepted", [], [], 0),
    ],
    ids=str,
)
def test_acts_that_acceptance_was_told_and_lost_too_are_done_again_and_the_rest_follows(
    bench: Bench,
    accepted: Any,
    collected: Any,
    ask: Any,
    begun: str,
    earlier: list[str],
    lost: list[str],
    needed: int,
) -> None:
    """Pickup knows the certificate, and has told the review what it did with it."""
    {"accepted": accepted, "collected": collected}[begun]()
    for name in earlier:
        perform(bench, ask, name)
    bench.deliver()
    again = [perform(bench, ask, name) for name in lost]
    approved = perform(bench, ask, "approve")
    bench.deliver()
    served = []
    for name in ("ready", "hand_over"):
        step = perform(bench, ask, name)
        served += [outgoing for outgoing in step.decision.out if outgoing.to == REVIEW]
        bench.deliver()
    [certificate] = [message for message in given_back(approved) if message.source.endswith("pickup")]
    restored = Restored(bench, REVIEW, (again or [approved])[0].before)
    news = [
        bench.message("event", type(sent.data).__name__, sent.data, certificate.source, sent.term)
        for sent in served
    ]
    assert {restored.take(message).outcome for message in news} == {Outcome.WAITING}
    assert restored.take(certificate).outcome is (Outcome.WAITING if needed else Outcome.APPLIED)
    for step in again[:needed]:
        assert restored.take(step.message).outcome is Outcome.APPLIED
    assert known(restored.state) == known(bench.states[REVIEW])
    assert restored.state.phase is Phase.COLLECTED


def ready(bench: Bench, accepted: Any, ask: Any) -> Step:
    """A certificate is there, and pickup says that it can be collected."""
    accepted()
    perform(bench, ask, "approve")
    bench.deliver()
    return perform(bench, ask, "ready")


def test_what_pickup_did_with_a_case_that_the_review_has_lost_is_waited_with(
    bench: Bench, accepted: Any, ask: Any
) -> None:
    step = ready(bench, accepted, ask)
    [told] = [outgoing for outgoing in step.decision.out if outgoing.to == REVIEW]
    message = bench.message("event", "CertificateReady", told.data, "430300/pickup", told.term)
    assert bench.stages[REVIEW].decide(None, message).outcome is Outcome.WAITING


def test_a_collection_code_that_was_told_still_opens_the_locker(
    bench: Bench, accepted: Any, ask: Any
) -> None:
    step = ready(bench, accepted, ask)
    for message in given_back(step):
        restored = Restored(bench, PICKUP, step.before)
        restored.take(message)
        opened = restored.take(bench.message("command", "HandOver", ask.hand_over(), "clerk:li", 0))
        assert (opened.outcome is Outcome.APPLIED) is (message.data.collection_code is not None)


@pytest.mark.parametrize("kind", [DEEMED_ACCEPTANCE, "CaseRated", "nonsense", ""])
def test_what_a_stage_never_says_is_not_taken_for_its_own(bench: Bench, accepted: Any, kind: str) -> None:
    accepted()
    for where, state in bench.states.items():
        message = bench.message("adopted", kind, None, "430100/review", 0)
        assert bench.stages[where].decide(state, message).outcome is Outcome.REFUSED


def overtaken(bench: Bench, accepted: Any, ask: Any, decided: str) -> tuple[Restored, list[Message]]:
    """A review that forgot that it resumed and decided, and has taken the withdrawal that came after it; what is given back.

    Resuming was lost for good, so what was decided can't come before the withdrawal, as it did.
    """
    accepted()
    perform(bench, ask, "suspend")
    bench.deliver()
    backup = bench.states[REVIEW]
    perform(bench, ask, "resume")
    bench.deliver()
    given = given_back(perform(bench, ask, decided))
    [withdrawal] = perform(bench, ask, "withdraw").decision.out
    for message in given:
        assert Restored(bench, REVIEW, backup).take(message).outcome is Outcome.WAITING
    restored = Restored(bench, REVIEW, backup)
    restored.take(bench.message("event", "CaseWithdrawn", withdrawal.data, f"{ZHUZHOU}/acceptance", 1))
    return restored, given


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["acceptance first", "pickup first"])
def test_an_approval_counts_that_a_withdrawal_overtook_after_a_restore(
    bench: Bench, accepted: Any, ask: Any, order: tuple[int, int]
) -> None:
    restored, given = overtaken(bench, accepted, ask, "approve")
    first, second = (restored.take(given[place]) for place in order)
    assert first.outcome is second.outcome is Outcome.APPLIED
    assert restored.state.phase is Phase.WITHDRAWN
    assert restored.state.decision.outcome is models.DecisionOutcome.APPROVED
    assert restored.state.certificate is not None
    told = [(type(sent.data).__name__, sent.to) for sent in (*first.out, *second.out)]
    other = {0: ("CertificateIssued", PICKUP), 1: ("CaseDecided", WINDOW)}[order[0]]
    assert told == [other, ("CaseWithdrawn", PICKUP)]  # once: the rest is known to who gave it back


def test_a_refusal_counts_that_a_withdrawal_overtook_after_a_restore(
    bench: Bench, accepted: Any, ask: Any
) -> None:
    restored, [given] = overtaken(bench, accepted, ask, "refuse")
    assert restored.take(given).outcome is Outcome.APPLIED
    assert restored.state.phase is Phase.REFUSED
