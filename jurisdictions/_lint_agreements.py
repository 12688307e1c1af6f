"""The linter's view of the agreements: places, stages, items, and blocks of serials."""

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import combinations
from typing import Final

from jurisdictions._directory import Directory, grouped
from jurisdictions._errors import Invalid
from jurisdictions._files import Folder
from jurisdictions._lint_schema import Finding
from jurisdictions._model import ALL_ITEMS, Agreement, Stage

_AGREEMENTS: Final = "agreements.yaml"


def check_agreements(folder: Folder, directory: Directory) -> Iterator[Finding]:
    """Findings about the agreements, each by itself and against each other."""
    agreements = folder.agreements.agreements
    for id_, count in Counter(agreement.id for agreement in agreements).items():
        if count > 1:
            yield Finding(_AGREEMENTS, f"agreements[{id_}].id", "stands there twice", "an id of its own")
    offered = grouped((item.owner, item.basic_code) for item in directory.items)
    known = {record.basic_code for record in folder.items.items}
    for agreement in agreements:
        yield from _check_places(agreement, directory)
        yield from _check_agreed_items(agreement, known, offered.get(agreement.owner, []))
    by_owner = grouped((agreement.owner, agreement) for agreement in agreements)
    for owned in by_owner.values():
        for one, other in combinations(owned, 2):
            yield from _check_pair(one, other)
    for owner in folder.bodies.bodies:
        if not any(owner in agreement.acceptors for agreement in by_owner.get(owner, ())):
            expected = f"an agreement whose acceptor is {owner} itself, with its block of serials"
            yield Finding(_AGREEMENTS, f"agreements of {owner}", "none for its own windows", expected)


def _check_places(agreement: Agreement, directory: Directory) -> Iterator[Finding]:
    where = f"agreements[{agreement.id}]"
    named: Iterable[tuple[str, str, Stage]] = (
        *(("acceptors", code, Stage.ACCEPTANCE) for code in agreement.acceptors),
        ("owner", agreement.owner, Stage.REVIEW),
        *(("pickup", code, Stage.PICKUP) for code in agreement.pickup),
    )
    for field, code, stage in named:
        try:
            directory.jurisdiction(code)
        except Invalid:
            yield Finding(
                _AGREEMENTS, f"{where}.{field}", f"unknown code {code}", "a code of jurisdictions.yaml"
            )
            continue
        if directory.serving(stage, code) is None:
            yield Finding(
                _AGREEMENTS,
                f"{where}.{field}",
                f"{code} does not offer {stage}",
                f"a place that offers {stage}",
            )
        for day in (agreement.since, agreement.until or date.max):
            try:
                directory.jurisdiction_on(code, day)
            except Invalid as error:
                yield Finding(
                    _AGREEMENTS, f"{where}.{field}", f"{code}: {error.value_problem}", error.expected
                )
                break
    if len({directory.serving(Stage.ACCEPTANCE, code) for code in agreement.acceptors}) > 1:
        yield Finding(
            _AGREEMENTS,
            f"{where}.acceptors",
            "different nodes share one block of serials",
            "an agreement for each of them, with a block of its own",
        )


def _check_agreed_items(agreement: Agreement, known: set[str], offered: list[str]) -> Iterator[Finding]:
    where = f"agreements[{agreement.id}].items"
    if agreement.items == (ALL_ITEMS,):
        if not offered:
            yield Finding(
                _AGREEMENTS, where, f"{agreement.owner} offers no item", "an owner with bodies in bodies.yaml"
            )
        return
    for code in agreement.items:
        if code not in known:
            yield Finding(_AGREEMENTS, where, f"unknown item {code}", "a basic code of items.yaml")
        elif code not in offered:
            expected = "an item whose authority has a body there in bodies.yaml"
            yield Finding(_AGREEMENTS, where, f"{agreement.owner} does not offer {code}", expected)


def _check_pair(one: Agreement, other: Agreement) -> Iterator[Finding]:
    """Two agreements of the same owner."""
    together = one.since <= (other.until or date.max) and other.since <= (one.until or date.max)
    named = set(one.items) & set(other.items)  # both "*", or the same codes
    if not together or not (named or ALL_ITEMS in (*one.items, *other.items)):
        return
    where = f"agreements[{other.id}]"
    if named and set(one.acceptors) & set(other.acceptors):
        yield Finding(
            _AGREEMENTS,
            where,
            f"covers an acceptor and an item at the same time as {one.id}",
            "one agreement in force for each acceptor and item",
        )
    elif set(one.acceptors) != set(other.acceptors) and (
        one.serials[0] <= other.serials[1] and other.serials[0] <= one.serials[1]
    ):
        yield Finding(
            _AGREEMENTS,
            f"{where}.serials",
            f"overlap with those of {one.id}",
            f"a block of {one.owner}'s serials that no other acceptor has",
        )
