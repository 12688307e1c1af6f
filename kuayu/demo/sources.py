"""Where the demonstration's cases come from: the simulator, or an event log."""

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from random import Random
from typing import Final

from jurisdictions import Directory
from kuayu.demo.applicants import Arrival
from kuayu.demo.arrivals import Arrivals
from kuayu.demo.mixes import MIXES
from kuayu.demo.scripts import Act, ReviewAct, Script
from kuayu.demo.simulator import Simulator
from producers.feeds import CasePlan, CaseStep, LogMapping, Undecided

A_DAY: Final = 250.0
"""Cases of a simulated working day …"""
DAY_SECONDS: Final = 25.0
"""… and how long it takes: about ten cases a second, more at its peaks."""
LOG_CASES_A_SECOND: Final = 14.0
"""On average; a log's own bursts go beyond."""
_SHORTEST_LOG: Final = 5.0
_MONDAY: Final = 0
_KEY: Final = re.compile("[!-~]{1,100}")
"""An idempotency key is visible ASCII, which a log's own ids need not be."""

_ACTS: Final = {
    CaseStep.ACCEPT: Act.ACCEPT,
    CaseStep.NOT_ACCEPT: Act.NOT_ACCEPT,
    CaseStep.REQUEST_SUPPLEMENT: Act.ASK,
    CaseStep.HOLD: Act.SUSPEND,
    CaseStep.RESUME: Act.RESUME,
    CaseStep.APPROVE: Act.APPROVE,
    CaseStep.REFUSE: Act.REFUSE,
}


def simulated(
    directory: Directory, codes: Sequence[str], mix_name: str, seed: int, today: date, cases: int | None
) -> Iterator[Arrival]:
    """`cases` simulated cases, for ever if None, from the first working Monday after `today` on."""
    mix = MIXES[mix_name]
    simulator = Simulator(directory, codes, mix, seed, today)
    random = Random(seed)
    online = mix.online / (mix.online + mix.direct + mix.forward + mix.other)
    monday = today + timedelta(days=1)
    while monday.weekday() != _MONDAY or not directory.calendar.is_working_day(monday):
        monday += timedelta(days=1)
    batch_chance = 2 * mix.batches / sum(mix.batch_size)
    beginning = None
    left = cases
    for at, is_online in Arrivals(random, directory.calendar, a_day=A_DAY, online=online).since(monday):
        beginning = beginning or at
        found = simulator.batch() if random.random() < batch_chance else [simulator.case(online=is_online)]
        found = found[:left]
        spoiled = simulator.spoil(found[0]) if random.random() < mix.spoiled else None
        yield Arrival((at - beginning) / timedelta(days=1) * DAY_SECONDS, found, spoiled)
        if left is not None:
            left -= len(found)
            if left == 0:
                return


def logged(
    plans: Sequence[CasePlan],
    mapping: LogMapping,
    directory: Directory,
    codes: Sequence[str],
    seed: int,
    today: date,
) -> Iterator[Arrival]:
    """The cases of a log in the order and rhythm of its submissions; original times go into their forms."""
    simulator = Simulator(directory, codes, MIXES["realistic"], seed, today)
    random = Random(seed)
    ordered = sorted(plans, key=lambda plan: plan.submitted_at)
    first, last = ordered[0].submitted_at, ordered[-1].submitted_at
    whole = max((last - first).total_seconds(), 1.0)
    pace = max(len(ordered) / LOG_CASES_A_SECOND, _SHORTEST_LOG) / whole
    for number, plan in enumerate(ordered):
        reference = plan.case if _KEY.fullmatch(plan.case) else f"log-{number:06d}"
        kept = plan.kept | {"原系统编号 original id": plan.case}
        kept |= {f"原时间 {step.activity} ({step.step})"[:200]: step.at.isoformat() for step in plan.steps}
        kept["原收件时间 handed in originally"] = plan.submitted_at.isoformat()
        script = _script(plan, mapping, pace, random)
        case = simulator.logged_case(reference, kept, script)
        yield Arrival((plan.submitted_at - first).total_seconds() * pace, [case])


def _script(plan: CasePlan, mapping: LogMapping, pace: float, random: Random) -> Script:
    """The log's own steps in their order and rhythm. `fetch_after` and the like are ours: no log of offices has them."""
    acts: list[ReviewAct] = []
    supplement_after = withdraw_after = None
    before = plan.submitted_at
    for step in plan.steps:
        seconds = (step.at - before).total_seconds() * pace
        if step.step in _ACTS:
            acts.append(ReviewAct(_ACTS[step.step], seconds))
        elif step.step is CaseStep.PROVIDE_SUPPLEMENT:
            supplement_after = seconds
        elif step.step is CaseStep.WITHDRAW:
            withdraw_after = (step.at - plan.submitted_at).total_seconds() * pace
        before = step.at
    steps = {step.step for step in plan.steps}
    undecided = CaseStep.ACCEPT in steps and not steps & {
        CaseStep.APPROVE,
        CaseStep.REFUSE,
        CaseStep.WITHDRAW,
    }
    if undecided and mapping.undecided is Undecided.APPROVE:
        acts.append(ReviewAct(Act.APPROVE, random.uniform(0.2, 2.0)))
    return Script(
        review=tuple(acts),
        supplement_after=supplement_after,
        withdraw_after=withdraw_after,
        fetch_after=random.expovariate(2.0),
    )
