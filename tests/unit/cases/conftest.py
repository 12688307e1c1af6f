"""A bench for cases: messages as the bus would carry them, and three stages wired to each other."""

from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import pytest

from cases import AcceptanceStage, Decision, Outcome, PickupStage, ReviewStage, Stage, commands, hash_code
from jurisdictions import CHINA_TIME, Directory, Item, Required, Serves, load_directory
from schemas import models


class Message(NamedTuple):
    """What the bus hands to a stage."""

    kind: Any
    type: str
    data: Any
    case: str
    id: str
    source: str
    term: int
    acted_at: datetime
    recorded_at: datetime


class HandOverRefused(msgspec.Struct, frozen=True):
    """As the bus tells of a refused hand-over."""

    type: str
    to: str
    code: str
    reason: str


CASE = "430200-01"
ZHUZHOU, CHANGSHA, XIANGTAN, GUANGZHOU = "430200", "430100", "430300", "440100"
NOON = datetime(2026, 3, 2, 12, tzinfo=CHINA_TIME)


class Bench:
    """Stages of several jurisdictions, and the events between them, delivered when told to."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.now = NOON
        self.stages: dict[tuple[str, str], Stage] = {}
        self.states: dict[tuple[str, str], Any] = {}
        self.history: dict[tuple[str, str], list[Any]] = {}
        self.wire: deque[tuple[tuple[str, str], Message]] = deque()
        self.held: list[tuple[tuple[str, str], Message]] = []
        self.seen: list[tuple[tuple[str, str], Message]] = []
        self.refusals: list[tuple[tuple[str, str], Message, Decision]] = []
        for code in (ZHUZHOU, CHANGSHA, XIANGTAN, GUANGZHOU):
            for kind in (AcceptanceStage, ReviewStage, PickupStage):
                self.stages[kind.stage, code] = kind(code, directory)

    def at(self, year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> None:
        """Sets the time in China."""
        self.now = datetime(year, month, day, hour, minute, tzinfo=CHINA_TIME)

    def later(self, **spans: float) -> None:
        self.now += timedelta(**spans)

    def act(
        self, where: tuple[str, str], command: Any, *, by: str = "clerk:li", acted_at: datetime | None = None
    ) -> Decision:
        message = self.message("command", type(command).__name__, command, by, 0, acted_at)
        return self.take(where, message)

    def ring(self, where: tuple[str, str]) -> Decision:
        """Lets the first timer of a stage take effect, whatever the time is."""
        kind, due = self.view(where).timers[0]
        return self.take(where, self.message("timer", kind, None, "timer", 0, due))

    def tell(self, where: tuple[str, str], **refusal: str) -> Decision:
        data = HandOverRefused(**refusal)
        return self.take(where, self.message("told", "HandOverRefused", data, refusal["to"], 0))

    def message(
        self, kind: str, type_: str, data: Any, source: str, term: int, acted_at: datetime | None = None
    ) -> Message:
        return Message(kind, type_, data, CASE, "1", source, term, acted_at or self.now, self.now)

    def take(self, where: tuple[str, str], message: Message) -> Decision:
        stage = self.stages[where]
        decision = stage.decide(self.states.get(where), message)
        if decision.outcome is Outcome.APPLIED:
            for fact in decision.facts:
                self.states[where] = stage.evolve(self.states.get(where), fact)
                self.history.setdefault(where, []).append(fact)
            for sent in decision.out:
                source = f"{stage.code}/{stage.stage}"
                event = Message(
                    "event",
                    type(sent.data).__name__,
                    sent.data,
                    CASE,
                    "1",
                    source,
                    sent.term,
                    message.acted_at,
                    self.now,
                )
                self.wire.append((sent.to, event))
        return decision

    def deliver(self, pick: Callable[[int], int] = lambda _lanes: 0) -> list[Decision]:
        """Delivers all that is under way, each lane in order; `pick` chooses the lane that is next."""
        answers = []
        while self.wire:
            heads: dict[tuple[str, tuple[str, str]], int] = {}
            for index, (where, message) in enumerate(self.wire):
                heads.setdefault((message.source, where), index)
            chosen = sorted(heads.values())[pick(len(heads))]
            where, message = self.wire[chosen]
            del self.wire[chosen]
            answers.append(self.arrive(where, message))
        return answers

    def arrive(self, where: tuple[str, str], message: Message) -> Decision:
        """One event reaches its inbox; what waited there is tried again once something has taken effect."""
        self.seen.append((where, message))
        decision = self.take(where, message._replace(recorded_at=self.now))
        if decision.outcome is Outcome.WAITING:
            self.held.append((where, message))
        elif decision.outcome is Outcome.APPLIED:
            again = [event for place, event in self.held if place == where]
            self.held = [(place, event) for place, event in self.held if place != where]
            for event in again:
                self.arrive(where, event)
        if decision.outcome is Outcome.REFUSED:
            self.refusals.append((where, message, decision))
        return decision

    def view(self, where: tuple[str, str]) -> Any:
        return self.stages[where].view(self.states[where])

    def status(self, where: tuple[str, str]) -> str:
        return str(self.view(where).status)


def fitting(numbers: str) -> str:
    """A citizen number with the check character that fits."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum(int(digit) * weight for digit, weight in zip(numbers, weights, strict=True))
    return numbers + "10X98765432"[total % 11]


def submission(item: Item, **changes: Any) -> models.CaseSubmitted:
    person = models.Person(
        name="张伟明",
        document_kind=models.DocumentKind.IDENTITY_CARD,
        document_number=fitting("43020219850312031"),
    )
    organisation = models.Organisation(name="株洲某某有限公司", code=item.body.credit_code)
    applicant = (
        models.Applicant(person=person)
        if Serves.PERSON in item.serves
        else models.Applicant(organisation=organisation)
    )
    values: dict[str, Any] = {
        "item_code": item.code,
        "belonging": item.owner,
        "channel": models.Channel.COUNTER,
        "applicant": applicant,
        "materials": tuple(
            models.Material(
                code=material.code,
                name=material.name_zh,
                form=models.MaterialForm.COPY,
                may_follow=False,
                digest="ab" * 32,
            )
            for material in item.materials
            if material.required is not Required.NO
        ),
        "delivery": models.Delivery(kind=models.DeliveryKind.COUNTER, jurisdiction=XIANGTAN),
    }
    return models.CaseSubmitted(**(values | changes))


class Samples:
    """Commands as a clerk would give them, each right for a case where it applies."""

    accept = commands.Accept()
    approve = commands.Approve()
    not_accept = commands.NotAccept(
        kind=models.NotAcceptedKind.NOT_COMPETENT,
        reason="不属于本机关职权范围",
        right_body=models.Office(jurisdiction="430000", name="湖南省市场监督管理局"),
    )
    supplement = commands.RequestSupplement(
        materials=(models.MaterialRequest(code="layout_plan", name="平面图", problem="无比例尺"),)
    )
    provide = commands.ProvideSupplement(
        materials=(
            models.Material(
                code="layout_plan",
                name="经营场所平面图",
                form=models.MaterialForm.COPY,
                may_follow=False,
                digest="cd" * 32,
            ),
        )
    )
    refuse = commands.Refuse(
        reason="不符合选址要求",
        grounds=(models.Ground(source="食品经营许可管理办法", article="12"),),
        remedy=models.Remedy(body="长沙市人民政府", period_days=60),
    )
    transfer = commands.Transfer(
        to=XIANGTAN, kind=models.TransferReason.WRONG_OFFICE, reason="经营场所在湘潭"
    )
    suspend = commands.Suspend(
        kind=models.SuspensionKind.EXPERT_REVIEW,
        notice_number="特1",
        reason="专家评审",
        expected_end=datetime(2026, 3, 20, 18, tzinfo=CHINA_TIME),
    )
    resume = commands.Resume(result="评审通过")
    extend = commands.Extend(days=10, approved_by="局长", notice_number="延1", reason="案情复杂")
    withdraw = commands.Withdraw()
    mail = commands.Mail(carrier="EMS", tracking_number="EX1")
    confirm = commands.ConfirmDelivery(proof="签1")
    send_back = commands.ReturnResult(reason=models.ReturnReason.UNDELIVERABLE)

    @staticmethod
    def ready(code: str = "AB23CD45") -> commands.MakeReady:
        salt = b"0123456789abcdef"
        return commands.MakeReady(place="湘潭市民之家", code=code, salt=salt, code_hash=hash_code(code, salt))

    @staticmethod
    def hand_over(code: str = "ab23 cd45", **changes: Any) -> commands.HandOver:
        return commands.HandOver(
            **({"code": code, "document_number": fitting("43020219850312031")} | changes)
        )


@pytest.fixture(scope="session")
def directory() -> Directory:
    return load_directory()


@pytest.fixture(scope="session")
def fresh(directory: Directory) -> Callable[[], Bench]:
    """A new bench for each example of a property."""
    return lambda: Bench(directory)


@pytest.fixture
def bench(directory: Directory) -> Bench:
    return Bench(directory)


@pytest.fixture(scope="session")
def make(directory: Directory) -> Callable[..., models.CaseSubmitted]:
    """Makes a submission for the item of Changsha with this name."""

    def build(name: str = "食品经营许可", owner: str = CHANGSHA, **changes: Any) -> models.CaseSubmitted:
        item = next(item for item in directory.items if item.owner == owner and item.name_zh == name)
        return submission(item, **changes)

    return build


@pytest.fixture
def accepted(bench: Bench, make: Callable[..., models.CaseSubmitted]) -> Callable[..., Decision]:
    """Hands a case in at Zhuzhou, which has the power to accept it for Changsha, and delivers it there."""

    def submit(name: str = "食品经营许可", **changes: Any) -> Decision:
        command = commands.SubmitCase(submission=make(name, **changes), serial=0)
        decision = bench.act(("acceptance", ZHUZHOU), command, by="system:hall")
        bench.deliver()
        return decision

    return submit


@pytest.fixture
def collected(bench: Bench, make: Callable[..., models.CaseSubmitted]) -> Callable[..., Decision]:
    """Hands a case in at Guangzhou, which only collects for Changsha, and delivers it there."""

    def submit(name: str = "食品经营许可", **changes: Any) -> Decision:
        delivery = models.Delivery(kind=models.DeliveryKind.COUNTER, jurisdiction=GUANGZHOU)
        command = commands.SubmitCase(submission=make(name, **({"delivery": delivery} | changes)), serial=0)
        decision = bench.act(("acceptance", GUANGZHOU), command, by="system:hall")
        bench.deliver()
        return decision

    return submit


@pytest.fixture(scope="session")
def ask() -> Samples:
    return Samples()
