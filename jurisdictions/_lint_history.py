"""What must not change from one version of a data folder to the next."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jurisdictions._files import Folder
from jurisdictions._lint_schema import Finding
from jurisdictions._model import DEFAULT_PARTITIONS


def compare(before: Folder, after: Folder) -> Iterator[Finding]:
    """Findings about the step from one folder to the next."""
    for file, old, new in (
        ("jurisdictions.yaml", before.jurisdictions, after.jurisdictions),
        ("items.yaml", before.items, after.items),
        ("bodies.yaml", before.bodies, after.bodies),
        ("agreements.yaml", before.agreements, after.agreements),
        *_calendar_pairs(before, after),
    ):
        if old != new and _number(new.version) <= _number(old.version):
            yield Finding(
                file, "version", "not raised, though the content changed", f"higher than {old.version}"
            )
    yield from _kept(
        "jurisdictions.yaml",
        "jurisdictions",
        {place.code: None for place in before.jurisdictions.jurisdictions},
        {place.code: None for place in after.jurisdictions.jurisdictions},
        "kept, with valid_to",
    )
    yield from _kept(
        "items.yaml",
        "items",
        {f"{item.basic_code} version {item.version}": item for item in before.items.items},
        {f"{item.basic_code} version {item.version}": item for item in after.items.items},
        "kept as it was, with a new version beside it: cases under way are judged by it",
    )
    yield from _kept(
        "agreements.yaml",
        "agreements",
        {agreement.id: None for agreement in before.agreements.agreements},
        {agreement.id: None for agreement in after.agreements.agreements},
        "kept, with until",
    )
    yield from _check_partitions(before, after)


def _calendar_pairs(before: Folder, after: Folder) -> Iterator[tuple[str, Any, Any]]:
    old = {calendar.year: calendar for calendar in before.calendars}
    for calendar in after.calendars:
        if calendar.year in old:
            yield f"calendar-{calendar.year}.yaml", old[calendar.year], calendar


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _kept(
    file: str, field: str, before: Mapping[str, Any], after: Mapping[str, Any], expected: str
) -> Iterable[Finding]:
    for key, entry in before.items():
        if key not in after:
            yield Finding(file, f"{field}[{key}]", "removed", expected)
        elif after[key] != entry:
            yield Finding(file, f"{field}[{key}]", "changed", expected)


def _check_partitions(before: Folder, after: Folder) -> Iterator[Finding]:
    """The key's partition, hence the order of a case, would change; so counts stay."""
    new = {place.code: place for place in after.jurisdictions.jurisdictions}
    for place in before.jurisdictions.jurisdictions:
        for stage in place.stages:
            if place.code not in new or stage not in new[place.code].stages:
                continue
            had = place.partitions.get(stage, DEFAULT_PARTITIONS)
            if new[place.code].partitions.get(stage, DEFAULT_PARTITIONS) != had:
                where = f"jurisdictions[{place.code}].partitions.{stage}"
                yield Finding(
                    "jurisdictions.yaml", where, "changed, though the topic exists", f"{had}, for ever"
                )
