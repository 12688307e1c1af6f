"""The directory: everything the data files say, indexed once so that a look-up is a dictionary's."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Final, TypeVar

from jurisdictions._calendar import Calendar
from jurisdictions._errors import Invalid
from jurisdictions._files import PACKAGED, Folder, ItemRecord, read_folder
from jurisdictions._model import (
    ALL_ITEMS,
    DEFAULT_PARTITIONS,
    Agreement,
    Body,
    Item,
    Jurisdiction,
    Level,
    Material,
    Stage,
)

_K = TypeVar("_K")
_V = TypeVar("_V")

_LEVEL_OF_EXERCISE: Final = {Level.PROVINCE: "2", Level.CITY: "3", Level.COUNTY: "4"}  # GB/T 39046 A.2


def load_directory(path: Path | None = None) -> "Directory":
    """The directory of a data folder; the packaged one by default.

    It checks each file against its schema, and only what its indexes need between files: `lint` checks the rest.

    Raises:
        Invalid: a file is missing or broken, or a place has an unknown parent.
    """
    return Directory(read_folder(path or PACKAGED))


class Directory:
    """Who is who, who does what for whom, and when it is due. Immutable; shared by all threads.

    Attributes:
        version: the newest version among its files, for instance "2026.1".
        calendar: working days and the legal clock.
        jurisdictions: all places, past ones too.
        items: the newest version of each item of each owner.
        agreements: all agreements, past ones too.
    """

    def __init__(self, folder: Folder) -> None:
        self.version = max(
            (
                folder.jurisdictions.version,
                folder.items.version,
                folder.bodies.version,
                folder.agreements.version,
            ),
            key=_version_key,
        )
        self.calendar = Calendar(folder.calendars)
        self.jurisdictions = folder.jurisdictions.jurisdictions
        self._jurisdictions = grouped((place.code, place) for place in self.jurisdictions)
        for places in self._jurisdictions.values():
            places.sort(key=lambda place: place.valid_from)
        self._lineages = {code: self._lineage(code) for code in self._jurisdictions}
        self._serving = {
            stage: {code: node for code in self._jurisdictions if (node := self._nearest(stage, code))}
            for stage in Stage
        }
        self._items = grouped((item.code, item) for item in _implementations(folder, self._jurisdictions))
        for versions in self._items.values():
            versions.sort(key=lambda item: item.version)
        self.items = tuple(versions[-1] for versions in self._items.values())
        self._implemented = {(item.basic_code, item.owner): item for item in self.items}
        self.agreements = folder.agreements.agreements
        self._agreements = grouped(
            ((acceptor, agreement.owner, basic_code), agreement)
            for agreement in self.agreements
            for acceptor in agreement.acceptors
            for basic_code in agreement.items
        )

    def jurisdiction(self, code: str) -> Jurisdiction:
        """The place a code means now, or meant last.

        Raises:
            Invalid: no such code.
        """
        places = self._jurisdictions.get(code)
        if places is None:
            raise Invalid("code", "not in the directory", "the GB/T 2260 code of a member")
        return places[-1]

    def jurisdiction_on(self, code: str, day: date) -> Jurisdiction:
        """The place a code means on `day`.

        Raises:
            Invalid: no such code, or not on that day; `expected` names the successor.
        """
        last = self.jurisdiction(code)
        for place in self._jurisdictions[code]:
            if place.valid_on(day):
                return place
        if last.valid_to is not None and last.valid_to < day:
            expected = "its successor's code" if last.successor is None else last.successor
            raise Invalid("code", f"abolished after {last.valid_to}", expected)
        raise Invalid(
            "code", f"not yet valid on {day}", f"a day from {self._jurisdictions[code][0].valid_from}"
        )

    def lineage(self, code: str) -> tuple[str, ...]:
        """A place and those above it: 430102, 430100, 430000.

        Raises:
            Invalid: no such code.
        """
        return self._lineages[self.jurisdiction(code).code]

    def lies_in(self, place: str, area: str) -> bool:
        """Whether a place is an area or lies in it; towns and villages (9 and 12 digits) count with their county."""
        try:
            return area in self.lineage(place[:6])
        except Invalid:
            return False

    def serving(self, stage: Stage, code: str) -> str | None:
        """The node that does a stage for a place: the place itself or the nearest one above it; None = nobody."""
        return self._serving[stage].get(code)

    def nodes(self) -> tuple[str, ...]:
        """The codes that offer at least one stage, sorted."""
        return tuple(sorted(code for code, places in self._jurisdictions.items() if places[-1].stages))

    def partitions(self, stage: Stage, code: str) -> int:
        """How many partitions the inbox of a stage has; it never changes once the topic exists.

        Raises:
            Invalid: no such code, or the stage is not offered there.
        """
        place = self.jurisdiction(code)
        if stage not in place.stages:
            raise Invalid("stage", "not offered there", f"one of {', '.join(place.stages) or 'none'}")
        return place.partitions.get(stage, DEFAULT_PARTITIONS)

    def item(self, code: str, version: int | None = None) -> Item:
        """The item with an implementation code of 31 characters: that version, or the newest.

        Raises:
            Invalid: no such code, or no such version of it.
        """
        versions = self._items.get(code)
        if versions is None:
            raise Invalid(
                "item_code", "not in the directory", "the implementation code of an item offered here"
            )
        if version is None:
            return versions[-1]
        for item in versions:
            if item.version == version:
                return item
        known = ", ".join(str(item.version) for item in versions)
        raise Invalid("item_version", "not in the directory", f"one of {known}")

    def item_on(self, code: str, day: date) -> Item | None:
        """The version of an item in force on `day`; None before its first, or where the code is unknown."""
        for item in reversed(self._items.get(code, ())):
            if item.since <= day:
                return item
        return None

    def implement(self, basic_code: str, owner: str) -> Item:
        """The item as `owner` offers it, or the nearest place above the owner that does.

        Raises:
            Invalid: no such place, or nobody there offers the item.
        """
        for code in self.lineage(owner):
            item = self._implemented.get((basic_code, code))
            if item is not None:
                return item
        raise Invalid("basic_code", "not offered by that owner", "the basic code of an item the owner offers")

    def agreement(self, acceptor: str, item: Item, day: date) -> Agreement | None:
        """The agreement under which `acceptor` takes in `item` for its owner on `day`.

        A place without an acceptance stage of its own works under the agreements of the places above it, up to
        the one that serves it. An agreement that names the item goes before one for all items.
        """
        for code in self._lineages.get(acceptor, ()):
            for basic_code in (item.basic_code, ALL_ITEMS):
                for agreement in self._agreements.get((code, item.owner, basic_code), ()):
                    if agreement.in_force(day):
                        return agreement
            if code == self.serving(Stage.ACCEPTANCE, acceptor):
                break
        return None

    def _lineage(self, code: str) -> tuple[str, ...]:
        lineage = [code]
        while (parent := self._jurisdictions[lineage[-1]][-1].parent) is not None:
            if parent not in self._jurisdictions or parent in lineage:
                raise Invalid(
                    "parent", f"of {lineage[-1]} is unknown or below it", "the code of the place above"
                )
            lineage.append(parent)
        return tuple(lineage)

    def _nearest(self, stage: Stage, code: str) -> str | None:
        lineage = self._lineages[code]
        return next((place for place in lineage if stage in self._jurisdictions[place][-1].stages), None)


def _version_key(version: str) -> tuple[int, int]:
    year, number = version.split(".")
    return int(year), int(number)


def grouped(pairs: Iterable[tuple[_K, _V]]) -> dict[_K, list[_V]]:
    """Values by key, in the order given."""
    groups: defaultdict[_K, list[_V]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return dict(groups)


def _implementations(folder: Folder, places: dict[str, list[Jurisdiction]]) -> Iterator[Item]:
    """Each basic item, for each owner that has the body for it at a level which exercises the item."""
    known = folder.items.materials
    offers: defaultdict[str, list[tuple[ItemRecord, tuple[Material, ...]]]] = defaultdict(list)
    for record in folder.items.items:
        unknown = record.materials.keys() - known.keys()
        if unknown:
            raise Invalid("materials", f"of {record.basic_code} lack a name", f"a name for {min(unknown)}")
        materials = tuple(
            Material(code, known[code].name_zh, known[code].name_en, required)
            for code, required in record.materials.items()
        )
        offers[record.authority].append((record, materials))
    for owner, bodies in folder.bodies.bodies.items():
        if owner not in places:
            raise Invalid("bodies", f"{owner} is not in jurisdictions.yaml", "the code of a place")
        place = places[owner][-1]
        for authority, credit_code in bodies.items():
            name = folder.items.authorities.get(authority)
            if name is None:
                raise Invalid("bodies", f"{authority} is not in items.yaml", "the name of an authority")
            body = Body(credit_code, f"{place.name_zh}{name.name_zh}", f"{place.name_en} {name.name_en}")
            for record, materials in offers[authority]:
                if place.level in record.reviewed_at:
                    yield _implementation(record, materials, place, body)


def _implementation(
    record: ItemRecord, materials: tuple[Material, ...], place: Jurisdiction, body: Body
) -> Item:
    return Item(
        code=f"{body.credit_code}{_LEVEL_OF_EXERCISE[place.level]}{record.basic_code}",
        basic_code=record.basic_code,
        version=record.version,
        since=record.since,
        owner=place.code,
        body=body,
        authority=record.authority,
        name_zh=record.name_zh,
        name_en=record.name_en,
        regime=record.regime,
        statutory=record.statutory,
        promised=record.promised,
        materials=materials,
        result=record.result,
        modes=record.modes,
        instant=record.instant,
        reviewed_at=place.level,
        serves=record.serves,
        sources=record.sources,
    )
