"""Realistic cases over the items and agreements of the directory, the same ones for the same seed."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from random import Random
from typing import Final

from msgspec.structs import replace

from jurisdictions import Directory, Item, Mode, Power, Required, Serves
from kuayu.demo.mixes import Mix
from kuayu.demo.people import People
from kuayu.demo.scripts import Act, ReviewAct, Script, SimulatedCase, Spoiled
from schemas.models import (
    CaseSubmitted,
    Channel,
    Delivery,
    DeliveryKind,
    DocumentKind,
    FormField,
    Material,
    MaterialForm,
    Office,
)

_NEAR: Final = frozenset({"430100", "430200", "430300"})
SIMULATED: Final = FormField(name="数据性质", value="模拟数据,人物与单位均为虚构 / simulated, nobody real")
_WAYS: Final = ("online", "direct", "forward", "other")
_OTHER_MODES: Final = frozenset({Mode.JOINT, Mode.DELEGATED, Mode.ZONE_GRANT})
_PAPER: Final = {
    "post": 22,
    "accepting counter": 20,
    "owner's counter": 5,
    "terminal": 5,
    "pickup point": 3,
}
_ELECTRONIC: Final = 45 / 100
_REVIEW_SECONDS: Final = 6.0
"""What stands for a whole promised limit."""
_LAST_STRETCH: Final = 0.05
_QUESTIONS: Final = ("申请事由", "联系时间", "用途", "办理情形", "备注")


class Simulator:
    """Makes cases for the nodes `codes`. Not thread-safe."""

    def __init__(self, directory: Directory, codes: Sequence[str], mix: Mix, seed: int, today: date) -> None:
        """`today` decides which agreements and items are in force."""
        self._directory = directory
        self._codes = tuple(codes)
        self._mix = mix
        self._random = Random(seed)
        self._today = today
        self._people = People(self._random, today)
        self._number = 0
        self._popular = [item.basic_code for item in directory.items if item.owner == self._codes[0]]
        self._random.shuffle(self._popular)
        self._pairs = [
            (acceptor, owner)
            for acceptor in self._codes
            for owner in self._codes
            if acceptor != owner and self._agreed(acceptor, owner)
        ]

    def case(self, *, online: bool | None = None) -> SimulatedCase:
        """The next case; `online` says how it comes in, where that is decided."""
        mix = self._mix
        if online is None:
            online = self._chance(mix.online / (mix.online + mix.direct + mix.forward + mix.other))
        [way] = (
            ["online"] if online else self._random.choices(_WAYS[1:], [mix.direct, mix.forward, mix.other])
        )
        node, item = self._matter(way)
        return self._case(node, item, way)

    def batch(self) -> list[SimulatedCase]:
        """Many cases of one item that one employer hands in at once."""
        node, item = self._matter("online", organisation=True)
        employer = self._people.applicant(organisation=True, agent=False)
        made = [self._case(node, item, "online") for _ in range(self._random.randint(*self._mix.batch_size))]
        return [
            replace(case, submission=replace(case.submission, applicant=employer), by_topic=False)
            for case in made
        ]

    def logged_case(self, reference: str, kept: dict[str, str], script: Script) -> SimulatedCase:
        """A case of an event log: item and applicant are ours, what is known of it goes into its form.

        It is collected for an owner elsewhere, who accepts it: the one way on which every answer of a log is possible.
        """
        pairs = [pair for pair in self._pairs if self._power(*pair) is Power.COLLECT]
        while True:
            node, owner = self._random.choice(pairs)
            item = self._item(owner, lambda item: not item.instant)
            if item is not None:
                break
        form = (SIMULATED, *(FormField(name=name, value=value) for name, value in kept.items()))
        submission = replace(self._submission(node, item, Channel.OTHER, reference), form=form)
        return SimulatedCase(reference=reference, node=node, submission=submission, script=script)

    def spoil(self, case: SimulatedCase) -> Spoiled:
        """The same application with a mistake for which it must not be taken."""
        submission = case.submission
        mistakes = {
            "delivery.address": replace(
                submission,
                delivery=Delivery(kind=DeliveryKind.POST, jurisdiction=submission.delivery.jurisdiction),
            ),
            "item_code": replace(submission, item_code=submission.item_code[:-3] + "ZZZ"),
            "applicant": replace(
                submission, applicant=replace(submission.applicant, person=None, organisation=None)
            ),
        }
        if submission.materials:
            unknown = replace(submission.materials[0], code="no_such_paper")
            mistakes["materials[0].code"] = replace(
                submission, materials=(unknown, *submission.materials[1:])
            )
        person = submission.applicant.person
        if person is not None and person.document_kind is DocumentKind.IDENTITY_CARD:
            digit = person.document_number[-2]
            wrong = person.document_number[:-2] + str((int(digit) + 1) % 10) + person.document_number[-1]
            applicant = replace(submission.applicant, person=replace(person, document_number=wrong))
            mistakes["applicant.person.document_number"] = replace(submission, applicant=applicant)
        field = self._random.choice(list(mistakes))
        return Spoiled(node=case.node, submission=mistakes[field], field=field)

    # What is applied for, where.

    def _matter(self, way: str, *, organisation: bool = False) -> tuple[str, Item]:
        while True:
            if way == "direct":
                node = owner = self._random.choice(self._codes)
            else:
                node, owner = self._pair()
            instant = way == "online" and self._chance(self._mix.instant)
            fits = partial(self._fits, way=way, instant=instant, organisation=organisation)
            item = self._item(owner, fits)
            if item is not None:
                return node, item

    @staticmethod
    def _fits(item: Item, *, way: str, instant: bool, organisation: bool) -> bool:
        if organisation and Serves.ORGANISATION not in item.serves:
            return False
        match way:
            case "online":
                return Mode.ONLINE in item.modes and (item.instant or not instant)
            case "other":
                return not _OTHER_MODES.isdisjoint(item.modes)
            case _:
                return not item.instant

    def _item(self, owner: str, fits: Callable[[Item], bool]) -> Item | None:
        items = [
            (item, 1 / rank**self._mix.zipf)
            for rank, basic_code in enumerate(self._popular, 1)
            if (item := self._directory.implement(basic_code, owner)) and fits(item)
        ]
        if not items:
            return None
        [found] = self._random.choices([item for item, _ in items], [weight for _, weight in items])
        return found

    def _pair(self) -> tuple[str, str]:
        near = self._chance(self._mix.near)
        pairs = [pair for pair in self._pairs if (set(pair) <= _NEAR) is near]
        return self._random.choice(pairs or self._pairs)

    def _power(self, acceptor: str, owner: str) -> Power | None:
        item = self._directory.implement(self._popular[0], owner)
        agreement = self._directory.agreement(acceptor, item, self._today)
        return None if agreement is None else agreement.power

    def _agreed(self, acceptor: str, owner: str) -> bool:
        return self._power(acceptor, owner) is not None

    # The application.

    def _case(self, node: str, item: Item, way: str) -> SimulatedCase:
        self._number += 1
        channel = self._random.choice((Channel.WEB, Channel.MOBILE)) if way == "online" else Channel.COUNTER
        submission = self._submission(node, item, channel, f"SIM-{self._number:06d}")
        return SimulatedCase(
            reference=submission.reference or "",
            node=node,
            submission=submission,
            script=self._script(node, item, submission),
            by_topic=self._chance(self._mix.by_topic),
        )

    def _submission(self, node: str, item: Item, channel: Channel, reference: str) -> CaseSubmitted:
        organisation = Serves.PERSON not in item.serves or (
            Serves.ORGANISATION in item.serves and self._chance(0.4)
        )
        place = self._directory.jurisdiction(node).name_zh
        form = [SIMULATED]
        form += [
            FormField(name=question, value=f"模拟{self._random.randrange(1000):03d}")
            for question in _QUESTIONS[: self._random.randint(1, len(_QUESTIONS))]
        ]
        return CaseSubmitted(
            item_code=item.code,
            belonging=item.owner,
            office=Office(jurisdiction=node, name=f"{place}政务服务大厅{self._random.randint(1, 40)}号窗口"),
            channel=channel,
            applicant=self._people.applicant(
                organisation=organisation, agent=self._chance(self._mix.by_agent)
            ),
            form=tuple(form),
            materials=self._materials(item),
            delivery=self._delivery(node, item),
            reference=reference,
        )

    def _materials(self, item: Item) -> tuple[Material, ...]:
        made = []
        for entry in item.materials:
            if entry.required is Required.NO and not self._chance(0.3):
                continue
            made.append(
                Material(
                    code=entry.code,
                    name=entry.name_zh,
                    form=self._random.choice(list(MaterialForm)),
                    may_follow=False,
                    digest=self._random.randbytes(32).hex(),
                    size=self._random.randint(300_000, 3_000_000),
                    media_type=self._random.choice(("application/pdf", "image/jpeg")),
                )
            )
        return tuple(made)

    def _delivery(self, node: str, item: Item) -> Delivery:
        agreement = self._directory.agreement(node, item, self._today)
        places = [code for code in self._codes if agreement is not None and code in agreement.pickup]
        if item.result.electronic and self._chance(_ELECTRONIC):
            return Delivery(kind=DeliveryKind.ELECTRONIC, jurisdiction=item.owner)
        [wish] = self._random.choices(list(_PAPER), list(_PAPER.values()))
        match wish:
            case "post":
                address = self._people.address(self._random.choice(self._codes))
                return Delivery(kind=DeliveryKind.POST, jurisdiction=item.owner, address=address)
            case "accepting counter":
                return Delivery(
                    kind=DeliveryKind.COUNTER, jurisdiction=node if node in places else item.owner
                )
            case "owner's counter":
                return Delivery(kind=DeliveryKind.COUNTER, jurisdiction=item.owner)
            case "terminal":
                return Delivery(kind=DeliveryKind.TERMINAL, jurisdiction=self._random.choice(places))
            case _:
                code = self._random.choice(places)
                return Delivery(kind=DeliveryKind.PICKUP_POINT, jurisdiction=code, address="政务驿站")

    # What will happen.

    def _script(self, node: str, item: Item, submission: CaseSubmitted) -> Script:
        mix = self._mix
        collected = self._power(node, item.owner) is Power.COLLECT
        share = self._random.betavariate(2, 3)  # of the promised limit; some are left to the last
        if self._chance(_LAST_STRETCH):
            share = self._random.uniform(0.9, 1.0)
        review: list[ReviewAct] = []
        asked = bool(submission.materials) and self._chance(mix.supplement)
        asking = ReviewAct(Act.ASK, self._random.lognormvariate(-0.7, 0.5))
        if collected and self._chance(mix.not_accepted):
            review.append(ReviewAct(Act.NOT_ACCEPT, self._random.uniform(0.2, 1.0)))
        else:
            if collected:
                review += [asking] if asked else []
                review.append(ReviewAct(Act.ACCEPT, self._random.uniform(0.1, 0.8)))
            elif asked:
                review.append(asking)
            transfer = self._chance(mix.transferred)
            review += [ReviewAct(Act.TRANSFER, 0.3)] if transfer else []
            if self._chance(mix.suspended):
                review += [ReviewAct(Act.SUSPEND, 0.2), ReviewAct(Act.RESUME, self._random.uniform(1, 4))]
            review += [ReviewAct(Act.EXTEND, 0.2)] if self._chance(mix.extended) else []
            decision = Act.REFUSE if self._chance(mix.refused) else Act.APPROVE
            review.append(ReviewAct(decision, share * _REVIEW_SECONDS))
        return Script(
            review=tuple(review),
            transfer_to=self._elsewhere(item.owner),
            supplement_after=None if self._chance(mix.supplement_never) else self._random.uniform(0.3, 2.0),
            withdraw_after=self._random.expovariate(1.0) if self._chance(mix.withdrawn) else None,
            fetch_after=None if self._chance(mix.never_fetched) else self._random.expovariate(1.0),
            wrong_code=self._chance(mix.wrong_code),
            post_seconds=min(self._random.lognormvariate(0.0, 0.5), 4.0),
            comes_back=self._chance(mix.comes_back),
        )

    def _elsewhere(self, owner: str) -> str:
        """Another of the three cities for one of them, else the first node that is not the owner."""
        near = [code for code in self._codes if code != owner and (code in _NEAR) is (owner in _NEAR)]
        return self._random.choice(near or [code for code in self._codes if code != owner])

    def _chance(self, share: float) -> bool:
        return self._random.random() < share
