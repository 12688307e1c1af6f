"""Directories of any size, made from the real data files: four prefectures as they are, the others in their image."""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec.structs import replace
from stdnum.cn import uscc

from jurisdictions import (
    ALL_ITEMS,
    PACKAGED,
    Agreement,
    Folder,
    Jurisdiction,
    Level,
    read_folder,
    write_folder,
)

FOUR: Final = ("430100", "430200", "430300", "440100")
"""长沙, 株洲, 湘潭, 广州."""
PREFECTURES: Final = 340
"""As many as China has, and a few more."""
_PATTERN: Final = "430100"
_NEIGHBOURS: Final = 10
"""Prefectures for whose owners each of the others accepts, besides its own."""
_SERIALS: Final = 800
"""Of the four digits that an owner has for a day, for each acceptor."""
_PROVINCES: Final = (
    11, 12, 13, 14, 15, 21, 22, 23, 31, 32, 33, 34, 35, 36, 37, 41, 42, 43, 44, 45, 46, 50, 51, 52, 53, 54,
    61, 62, 63, 64, 65,
)  # fmt: skip
"""GB/T 2260."""


def write(folder: Path, prefectures: int) -> None:
    """Write a directory with so many prefectures, at least four, to a folder, which is made.

    Places have the codes of GB/T 2260's provinces; below, codes, names and bodies are made up.
    """
    real = read_folder(PACKAGED)
    added = list(islice(_codes(), prefectures - len(FOUR)))
    folder.mkdir(parents=True)
    write_folder(_enlarged(_only_four(real), added), folder)


def _codes() -> Iterator[str]:
    """Codes of prefectures, province by province, without the four."""
    for number in range(1, 100):
        for province in _PROVINCES:
            code = f"{province}{number:02d}00"
            if code not in FOUR:
                yield code


def _only_four(real: Folder) -> Folder:
    kept = {place.code for place in real.jurisdictions.jurisdictions if place.code in FOUR}
    kept |= {place.code for place in real.jurisdictions.jurisdictions if place.parent in FOUR}
    kept |= {f"{code[:2]}0000" for code in FOUR}
    return Folder(
        jurisdictions=replace(
            real.jurisdictions,
            jurisdictions=tuple(place for place in real.jurisdictions.jurisdictions if place.code in kept),
        ),
        items=real.items,
        bodies=replace(
            real.bodies, bodies={code: held for code, held in real.bodies.bodies.items() if code in FOUR}
        ),
        agreements=replace(
            real.agreements,
            agreements=tuple(
                each for each in real.agreements.agreements if {each.owner, *each.acceptors} <= kept
            ),
        ),
        calendars=real.calendars,
    )


def _enlarged(four: Folder, added: Sequence[str]) -> Folder:
    known = four.jurisdictions.jurisdictions
    pattern = next(place for place in known if place.code == _PATTERN)
    provinces = {f"{code[:2]}0000" for code in added} - {place.code for place in known}
    bodies = {code: _bodies(four.bodies.bodies[_PATTERN], code) for code in added}
    own = next(each for each in four.agreements.agreements if {each.owner, *each.acceptors} == {_PATTERN})
    return replace(
        four,
        jurisdictions=replace(
            four.jurisdictions,
            jurisdictions=(
                *known,
                *(
                    replace(
                        _named(pattern, code), level=Level.PROVINCE, parent=None, stages=(), partitions={}
                    )
                    for code in sorted(provinces)
                ),
                *(replace(_named(pattern, code), parent=f"{code[:2]}0000", partitions={}) for code in added),
            ),
        ),
        bodies=replace(four.bodies, bodies=four.bodies.bodies | bodies),
        agreements=replace(
            four.agreements, agreements=(*four.agreements.agreements, *_agreements(own, added))
        ),
    )


def _named(pattern: Jurisdiction, code: str) -> Jurisdiction:
    return replace(pattern, code=code, name_zh=f"示例{code}", name_en=f"Example {code}")


def _bodies(pattern: dict[str, str], code: str) -> dict[str, str]:
    """The same authorities with credit codes that name another place (GB 32100: two characters, then the place)."""
    return {
        authority: (renamed := f"{known[:2]}{code}{known[8:17]}") + uscc.calc_check_digit(renamed)
        for authority, known in pattern.items()
    }


def _agreements(own: Agreement, codes: Sequence[str]) -> Iterator[Agreement]:
    """Each prefecture's own windows, and its neighbours' for it."""
    for place, owner in enumerate(codes):
        ring = [codes[(place + step) % len(codes)] for step in range(min(_NEIGHBOURS, len(codes) - 1) + 1)]
        for number, acceptor in enumerate(ring):
            yield replace(
                own,
                id=f"{acceptor}-for-{owner}",
                acceptors=(acceptor,),
                owner=owner,
                items=(ALL_ITEMS,),
                pickup=(owner, acceptor),
                serials=(1 + _SERIALS * number, _SERIALS * (number + 1)),
            )
