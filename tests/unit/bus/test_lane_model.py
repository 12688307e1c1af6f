"""The lane protocol under every fault at once: real engines over real ledgers and a broker that misbehaves.

One step of one part at a time. After each step nothing may be applied twice or out of order, nor be closed at its
sender before it is closed at its receiver. In the end all faults cease, the clock moves, and without any repair
step everything must be where it belongs, and be known; see `lanes`.

Twice: hypothesis chooses few steps, and finds the fewest that fail; chance, which repeats itself less, chooses many.
KUAYU_MODEL_EXAMPLES (of each) and KUAYU_MODEL_SEED make a longer run of other examples.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import get_args

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bus.transport.memory_broker import Fate
from tests.unit.bus.ending import end
from tests.unit.bus.faults import CommitFault, SendFault
from tests.unit.bus.lanes import CASES, CONTROL, INBOXES, MOODS, PARTS, Lanes

EXAMPLES = int(os.environ.get("KUAYU_MODEL_EXAMPLES", "20"))
SEED = int(os.environ.get("KUAYU_MODEL_SEED", "1"))
LONGER = "KUAYU_MODEL_EXAMPLES" in os.environ
PATIENCE = 36_000 if LONGER else 300
"""Seconds until pytest gives up."""
KINDS = ("broker", "records", "ledger", "process", "cases", "backups")
"""Of faults. An example has some of them: what one kind does is else soon covered up by another."""
MOVES = (0.3, 1, 5, 25, 61, 1000)
"""Seconds that the clock moves."""
TOPICS = INBOXES + CONTROL

nodes = st.integers(0, 2)
cases = st.sampled_from(CASES)
topics = st.sampled_from(TOPICS)
acts = st.lists(st.tuples(nodes, cases, st.integers(1, 3)), min_size=1, max_size=6)


class LaneMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.lanes = Lanes()
        self.kinds: set[str] = set()

    @initialize(acts=acts, kinds=st.sets(st.sampled_from(KINDS), min_size=1, max_size=3))
    def begin(self, acts: list[tuple[int, str, int]], kinds: set[str]) -> None:
        self.kinds = kinds
        self.hand_over(acts)

    @rule(acts=acts)
    def hand_over(self, acts: list[tuple[int, str, int]]) -> None:
        for act in acts:
            self.lanes.hand_over(*act)

    @rule(steps=st.lists(st.tuples(nodes, st.sampled_from(PARTS)), min_size=1, max_size=12))
    def step_some(self, steps: list[tuple[int, str]]) -> None:
        for at, part in steps:
            self.lanes.step(at, part)

    @rule(rounds=st.integers(1, 4))
    def step_all(self, rounds: int) -> None:
        self.step_some([(at, part) for _ in range(rounds) for at in range(3) for part in ("writer", *PARTS)])

    @rule(seconds=st.sampled_from(MOVES))
    def move_clock(self, seconds: float) -> None:
        self.lanes.clock.move(seconds=seconds)

    @precondition(lambda self: "broker" in self.kinds)
    @rule(fault=st.sampled_from(get_args(Fate)), topic=topics, count=st.integers(1, 3))
    def broker_fault(self, fault: Fate, topic: str, count: int) -> None:
        self.lanes.broker_fault(fault, topic, count)

    @precondition(lambda self: self.lanes.broker._held)
    @rule(count=st.integers(1, 3), turn=st.integers(0, 2))
    def let_go(self, count: int, turn: int) -> None:
        self.lanes.let_go(count, turn)

    @precondition(lambda self: "broker" in self.kinds)
    @rule(away=st.booleans())
    def broker_goes_or_returns(self, away: bool) -> None:  # noqa: FBT001 (hypothesis names it)
        (self.lanes.broker.stop if away else self.lanes.broker.start)()

    @precondition(lambda self: "records" in self.kinds)
    @rule(topic=topics, partition=st.integers(0, 1), left=st.integers(0, 2))
    def expire(self, topic: str, partition: int, left: int) -> None:
        self.lanes.expire(topic, partition, left)

    @precondition(lambda self: "records" in self.kinds)
    @rule(topic=topics)
    def make_topic_anew(self, topic: str) -> None:
        self.lanes.make_anew(topic)

    @precondition(lambda self: "process" in self.kinds)
    @rule(at=nodes)
    def crash(self, at: int) -> None:
        self.lanes.crash(at)

    @precondition(lambda self: "process" in self.kinds)
    @rule(at=nodes, faults=st.lists(st.sampled_from(get_args(SendFault)), min_size=1, max_size=4))
    def send_faults(self, at: int, faults: list[SendFault]) -> None:
        for fault in faults:
            self.lanes.send_fault(at, fault)

    @precondition(lambda self: "process" in self.kinds)
    @rule(at=nodes)
    def freeze(self, at: int) -> None:
        self.lanes.freeze(at)

    @precondition(lambda self: any(watched.frozen for watched in self.lanes.watched))
    @rule(part=st.sampled_from(PARTS))
    def frozen_return(self, part: str) -> None:
        self.lanes.frozen_return(part)

    @precondition(lambda self: "ledger" in self.kinds)
    @rule(at=nodes, faults=st.lists(st.sampled_from(get_args(CommitFault)), min_size=1, max_size=3))
    def commit_faults(self, at: int, faults: list[CommitFault]) -> None:
        for fault in faults:
            self.lanes.commit_fault(at, fault)

    @precondition(lambda self: "ledger" in self.kinds)
    @rule(at=nodes, after=st.integers(0, 6))
    def reading_fails(self, at: int, after: int) -> None:
        self.lanes.reading_fails(at, after)

    @precondition(lambda self: "cases" in self.kinds)
    @rule(at=nodes, case=cases, mood=st.sampled_from(MOODS))
    def change_mood(self, at: int, case: str, mood: str) -> None:
        self.lanes.change_mood(at, case, mood)

    @precondition(lambda self: "cases" in self.kinds)
    @rule(at=nodes, case=cases, refuse=st.booleans())
    def mend(self, at: int, case: str, refuse: bool) -> None:  # noqa: FBT001 (hypothesis names it)
        self.lanes.mend(at, case, refuse=refuse)

    @precondition(lambda self: "backups" in self.kinds)
    @rule(at=nodes)
    def back_up(self, at: int) -> None:
        self.lanes.back_up(at)

    @precondition(lambda self: "backups" in self.kinds)
    @rule(at=nodes)
    def restore(self, at: int) -> None:
        self.lanes.restore(at)

    @invariant()
    def nothing_twice_nothing_too_early(self) -> None:
        self.lanes.check()

    def teardown(self) -> None:
        try:
            end(self.lanes)
        finally:
            self.lanes.close()


@pytest.mark.timeout(PATIENCE)
def test_the_lane_protocol_survives_every_fault() -> None:
    run_state_machine_as_test(
        LaneMachine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=50,
            deadline=None,
            derandomize=not LONGER,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


Do = Callable[[Lanes, Random, int], None]
USUAL: Sequence[tuple[int, Do]] = (
    (8, lambda lanes, chance, at: lanes.step(at, chance.choice(PARTS))),
    (1, lambda lanes, chance, at: lanes.hand_over(at, chance.choice(CASES), chance.randint(1, 3))),
    (1, lambda lanes, chance, _at: lanes.clock.move(seconds=chance.choice(MOVES))),
)
"""What is done most of the time, with weights."""
FAULTS: Mapping[str, Sequence[tuple[int, Do]]] = {
    "broker": (
        (
            6,
            lambda lanes, c, _: lanes.broker_fault(
                c.choice(get_args(Fate)), c.choice(TOPICS), c.randint(1, 3)
            ),
        ),
        (3, lambda lanes, c, _: lanes.let_go(c.randint(1, 3), c.randrange(3))),
        (1, lambda lanes, _c, _: lanes.broker.stop()),
        (2, lambda lanes, _c, _: lanes.broker.start()),
    ),
    "records": (
        (2, lambda lanes, c, _: lanes.expire(c.choice(TOPICS), c.randrange(2), c.randrange(3))),
        (1, lambda lanes, c, _: lanes.make_anew(c.choice(TOPICS))),
    ),
    "ledger": (
        (1, lambda lanes, c, at: lanes.reading_fails(at, c.randrange(7))),
        (1, lambda lanes, c, at: lanes.commit_fault(at, c.choice(get_args(CommitFault)))),
    ),
    "process": (
        (1, lambda lanes, _c, at: lanes.crash(at)),
        (1, lambda lanes, _c, at: lanes.freeze(at)),
        (2, lambda lanes, c, _: lanes.frozen_return(c.choice(PARTS))),
        (4, lambda lanes, c, at: lanes.send_fault(at, c.choice(get_args(SendFault)))),
    ),
    "backups": (
        (2, lambda lanes, _c, at: lanes.back_up(at)),
        (1, lambda lanes, _c, at: lanes.restore(at)),
    ),
    "cases": (
        (1, lambda lanes, c, at: lanes.change_mood(at, c.choice(CASES), c.choice(MOODS))),
        (1, lambda lanes, c, at: lanes.mend(at, c.choice(CASES), refuse=c.random() < 0.3)),
    ),
}


def steps(chance: Random, count: int) -> Iterator[Do]:
    kinds = chance.sample(KINDS, chance.randint(1, 3))
    for _ in range(count):
        choices = FAULTS[chance.choice(kinds)] if chance.random() < 0.2 else USUAL
        yield chance.choices([do for _, do in choices], [weight for weight, _ in choices])[0]


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("seed", range(SEED, SEED + EXAMPLES))
def test_the_lane_protocol_survives_what_chance_brings(seed: int) -> None:
    chance, lanes = Random(seed), Lanes()
    try:
        for number, do in enumerate(steps(chance, 400)):
            do(lanes, chance, chance.randrange(3))
            if number % 5 == 0:
                lanes.check()
        end(lanes)
    finally:
        lanes.close()
