"""Cases over all ledgers: each has one end or is open, and its stages agree once nothing of it is under way."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import select

from bus.ledger import tables
from bus.ledger.entry import decode
from bus.records import Records
from cases import ENDS, Phase
from jurisdictions import Stage
from kuayu.audit._agreement import disagreement
from kuayu.audit._findings import Kind, Problem
from kuayu.audit._ledger import AT_ONCE, Contents

Statuses = dict[tuple[Stage, str], dict[str, str]]
"""By stage and case, then by jurisdiction."""


def check(
    ledgers: Sequence[Contents],
    records: Records,
    accepted: Collection[str] | None,
    unsettled: Collection[str],
    counts: Counter[str],
) -> list[Problem]:
    """What is wrong with cases.

    Args:
        ledgers: what all ledgers say.
        records: decodes the rows of all their streams.
        accepted: the ids of all cases that nodes said they have, if somebody kept them.
        unsettled: cases of which something is in transit or held: their stages may differ.
        counts: what was looked at is added here.
    """
    problems: list[Problem] = []
    statuses: Statuses = {}
    for ledger in ledgers:
        problems += _ends(ledger, records, statuses)
    here = {stream.split("/")[0] for ledger in ledgers for stream in ledger.streams}
    archived = {case for ledger in ledgers for case in ledger.archived}
    at_acceptance = {case for stage, case in statuses if stage is Stage.ACCEPTANCE}
    for case in sorted(at_acceptance):
        codes = statuses[Stage.ACCEPTANCE, case]
        counts["cases"] += 1
        counts["cases_ended" if all(Phase(s) in ENDS for s in codes.values()) else "cases_open"] += 1
        if case not in unsettled and case not in archived:
            problems += [
                Problem(kind=Kind.CONTRADICTION, what=what, case=case)
                for what in disagreement(case, statuses)
            ]
    for stage, case in statuses:
        if case not in at_acceptance | archived and case.split("-")[0] in here:
            what = f"is at {stage}, and no acceptance stage has it"
            problems.append(Problem(kind=Kind.LOST, what=what, case=case))
    if accepted is not None:
        known = set(accepted) - archived
        lost, unasked = known - at_acceptance, at_acceptance - known
        problems += [
            Problem(kind=Kind.LOST, what="was accepted and is in no ledger", case=case)
            for case in sorted(lost)
        ]
        problems += [
            Problem(kind=Kind.DOUBLED, what="is in a ledger, and nobody was told so", case=case)
            for case in sorted(unasked)
        ]
    return problems


def _ends(ledger: Contents, records: Records, statuses: Statuses) -> list[Problem]:
    """Fold each case again and see when it ended, and whether it did so once.

    A withdrawal may cross with what pickup has done before it heard of it, which then counts: that end is not the last.
    """
    problems: list[Problem] = []
    query = select(tables.log.c.entry).order_by(tables.log.c.subject, tables.log.c.row)
    case = ""
    states: dict[str, Any] = {}
    ended: dict[str, str] = {}
    with (
        ledger.source.snapshot() as connection,
        connection.execute(query.execution_options(yield_per=AT_ONCE)) as found,
    ):
        for entry in map(decode, found.scalars()):
            if entry.subject != case:
                case, states, ended = entry.subject, {}, {}
            handler = records.handlers.get(entry.stream)
            if entry.outcome != "applied" or not entry.facts or handler is None:
                continue
            try:
                for fact in records.facts(entry):
                    states[entry.stream] = handler.evolve(states.get(entry.stream), fact)
                view = handler.view(states[entry.stream])
            except Exception as error:  # noqa: BLE001 - whatever a damaged history makes of it
                what = f"its facts can't be folded: {type(error).__name__}"
                problems.append(
                    Problem(kind=Kind.DAMAGED, what=what, ledger=ledger.name, row=entry.row, case=case)
                )
                continue
            code, stage = entry.stream.split("/")
            statuses.setdefault((Stage(stage), case), {})[code] = view.status
            before = ended.get(entry.stream)
            if before not in (None, Phase.WITHDRAWN) and view.status != before:
                what = f"was {before}, an end, and became {view.status} at {entry.stream}"
                problems.append(
                    Problem(kind=Kind.DOUBLED, what=what, ledger=ledger.name, row=entry.row, case=case)
                )
            if Phase(view.status) in ENDS:
                ended[entry.stream] = view.status
    return problems
