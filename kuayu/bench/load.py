"""The load: submissions of an instant item that is delivered electronically, so that a case runs through with no person.

One command of every 64 is of its own making; the rest differ by case id, serial, key and instant. Making them costs the
accepting process next to nothing, and every one is checked in full.
"""

import hashlib
import random
from collections.abc import Iterator, Sequence
from datetime import datetime

import msgspec
from stdnum.cn import ric
from ulid import ULID

from bus import Command
from bus.envelope import new_trace, stream_of
from cases import commands
from jurisdictions import Directory, Item, Required
from jurisdictions import Stage as StageName
from schemas import models

ACCEPTANCE, REVIEW, PICKUP = "430200", "430100", "430300"
"""株洲 takes the case in, 长沙 decides it, 湘潭 serves the result."""
EVENTS = 5
"""Of one case: accepted, decided, issued, and delivered told to two."""
_APPLICANTS = 64
_CALLER = "system:bench"
_SURNAMES = "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗"
_GIVEN = "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞平"


def instant_item(directory: Directory) -> Item:
    """The first item of the reviewing jurisdiction that is decided by rule and has force electronically."""
    return next(
        item for item in directory.items if item.owner == REVIEW and item.instant and item.result.electronic
    )


class Load:
    """Endless commands, each a case of its own."""

    def __init__(self, directory: Directory, seed: int = 1) -> None:
        """The same `seed` makes the same applicants."""
        chance = random.Random(seed)
        item = instant_item(directory)
        self._samples = [_submission(item, chance) for _ in range(_APPLICANTS)]
        self._digests = [hashlib.sha256(msgspec.msgpack.encode(sample)).digest() for sample in self._samples]
        self._serial = 0

    def commands(self, acted_at: Sequence[datetime]) -> Iterator[Command]:
        """One command for each instant."""
        for at in acted_at:
            number, self._serial = self._serial, self._serial + 1
            chosen = number % _APPLICANTS
            identity = str(ULID())
            yield Command(
                stream=stream_of(StageName.ACCEPTANCE.value, ACCEPTANCE),
                case=f"{ACCEPTANCE}-{identity}",
                data=commands.SubmitCase(submission=self._samples[chosen], serial=number),
                actor=_CALLER,
                acted_at=at,
                key=identity,
                caller=_CALLER,
                digest=self._digests[chosen],
                trace=new_trace(),
            )


def _submission(item: Item, chance: random.Random) -> models.CaseSubmitted:
    born = f"{chance.randint(1950, 2004)}{chance.randint(1, 12):02d}{chance.randint(1, 28):02d}"
    digits = f"430202{born}{chance.randint(0, 999):03d}"
    person = models.Person(
        name=chance.choice(_SURNAMES) + chance.choice(_GIVEN) + chance.choice(_GIVEN),
        document_kind=models.DocumentKind.IDENTITY_CARD,
        document_number=digits + ric.calc_check_digit(digits + "0"),
    )
    return models.CaseSubmitted(
        item_code=item.code,
        belonging=item.owner,
        channel=models.Channel.COUNTER,
        applicant=models.Applicant(person=person),
        form=(
            models.FormField(name="mobile", value=f"139{chance.randint(0, 99_999_999):08d}"),
            models.FormField(name="purpose", value="异地办理"),
        ),
        materials=tuple(
            models.Material(
                code=material.code,
                name=material.name_zh,
                form=models.MaterialForm.ELECTRONIC,
                may_follow=False,
                digest=chance.randbytes(32).hex(),
                size=chance.randint(10_000, 2_000_000),
                media_type="application/pdf",
            )
            for material in item.materials
            if material.required is not Required.NO
        ),
        delivery=models.Delivery(kind=models.DeliveryKind.ELECTRONIC, jurisdiction=PICKUP),
        reference=f"ZZ{chance.randint(0, 10**9):010d}",
    )
