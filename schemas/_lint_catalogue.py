"""The linter's rules for the catalogue: routes, replies, and which fields are personal."""

import re
from collections.abc import Iterator

from schemas._catalogue import (
    ANY_STAGE,
    CONTROL,
    INTAKE,
    INTAKE_REPLIES,
    LOCAL,
    SUPERVISION,
    Catalogue,
    Entry,
    Route,
)
from schemas._finding import Finding
from schemas._paths import Leaf, fields_of
from schemas._source import NAMESPACE, Source

_PEOPLE = "applicant|person|agent|holder|recipient|contact|collector|addressee|representative|citizen|payee"
_OF_PERSON = re.compile(_PEOPLE, re.IGNORECASE)
_PERSONAL = re.compile(
    r"(.*_)?(phone|mobile|telephone|email|address|birth_?date|birthday|date_of_birth|gender|ethnicity|bank_account)"
    r"|(identity|id|passport|citizen)_(number|no)"
    rf"|({_PEOPLE}|full|family|given)_name"
)
_PERSONAL_IN_PERSON = re.compile(r"name|(document|certificate)_(number|no)")
"""Personal where the path or the record speaks of a person; an office has a name, and a decision a document number."""


def lint_catalogue(source: Source, catalogue: Catalogue) -> Iterator[Finding]:
    """What is wrong with the catalogue, alone and beside the schemas."""
    written = {name.rpartition(".")[2] for name in source.events}
    for name in sorted(written - set(catalogue.events)):
        yield Finding(name, "catalogue", "is not in catalogue.yaml")
    for name, entry in catalogue.events.items():
        yield from _lint_duplicates(name, entry)
        yield from _lint_routes(name, entry, catalogue)
        yield from _lint_replies(name, entry, catalogue)
        if name in written:
            yield from _lint_personal(name, entry, list(fields_of(source.normal(f"{NAMESPACE}.{name}"))))
        else:
            yield Finding(
                name, "catalogue", "has no schema: write its .avsc or take it out of catalogue.yaml"
            )


def _lint_duplicates(name: str, entry: Entry) -> Iterator[Finding]:
    routes = tuple(f"from {route.sender} to {route.inbox}" for route in entry.routes)
    for part, values in (("routes", routes), ("replies", entry.replies), ("personal", entry.personal)):
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield Finding(f"{name}.{part}", "duplicate", f"{value} stands here twice")


def _lint_routes(name: str, entry: Entry, catalogue: Catalogue) -> Iterator[Finding]:
    senders = (*catalogue.stages, ANY_STAGE, LOCAL, INTAKE)
    inboxes = (*catalogue.stages, *catalogue.destinations)
    for route in entry.routes:
        if route.sender not in senders:
            yield Finding(
                f"{name}.routes", "route", f"{route.sender} sends nothing; senders are {', '.join(senders)}"
            )
        if route.inbox not in inboxes:
            yield Finding(
                f"{name}.routes", "route", f"{route.inbox} is no inbox; there are {', '.join(inboxes)}"
            )
        if route.inbox == SUPERVISION and entry.personal:
            yield Finding(
                f"{name}.routes", "personal", "the supervision topic takes no event with personal data"
            )


def _lint_replies(name: str, entry: Entry, catalogue: Catalogue) -> Iterator[Finding]:
    for reply in entry.replies:
        answer = catalogue.events.get(reply)
        if answer is None:
            yield Finding(f"{name}.replies", "reply", f"{reply} is not in the catalogue")
        elif not any(_answers(back, asked, catalogue) for back in answer.routes for asked in entry.routes):
            yield Finding(
                f"{name}.replies",
                "reply",
                f"no route of {reply} leads from a receiver of {name} to its sender",
            )


def _answers(back: Route, asked: Route, catalogue: Catalogue) -> bool:
    """Whether an answer that goes `back` leads from where `asked` arrives to where it came from."""
    receivers = set(catalogue.stages) if asked.inbox == CONTROL else {asked.inbox}
    homes = {CONTROL} | {INTAKE_REPLIES if sender == LOCAL else sender for sender in catalogue.senders(asked)}
    return bool(receivers & set(catalogue.senders(back))) and back.inbox in homes


def _lint_personal(name: str, entry: Entry, fields: list[Leaf]) -> Iterator[Finding]:
    paths = {field.path for field in fields}
    for marked in entry.personal:
        if marked not in paths:
            yield Finding(
                f"{name}.{marked}", "personal", "is marked as personal, but the schema has no such field"
            )
    for field in fields:
        covered = any(f"{field.path}.".startswith(f"{marked}.") for marked in entry.personal)
        if not covered and _looks_personal(field):
            yield Finding(
                f"{name}.{field.path}", "personal", "looks personal and is not marked in the catalogue"
            )


def _looks_personal(field: Leaf) -> bool:
    way, _, leaf = field.path.rpartition(".")
    of_person = _OF_PERSON.search(way) or _OF_PERSON.search(field.owner)
    return bool(_PERSONAL.fullmatch(leaf) or (of_person and _PERSONAL_IN_PERSON.fullmatch(leaf)))
