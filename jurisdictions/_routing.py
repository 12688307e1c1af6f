"""Routing: which inboxes a case travels to, under which agreement; or why it cannot."""

from datetime import date
from enum import StrEnum

from msgspec import Struct

from jurisdictions._directory import Directory
from jurisdictions._errors import Invalid
from jurisdictions._model import Agreement, Item, Jurisdiction, Mode, Power, ReceiptRule, Stage


class InboxAddress(Struct, frozen=True):
    """The inbox of one stage of one jurisdiction."""

    stage: Stage
    code: str

    @property
    def topic(self) -> str:
        """The Kafka topic: kuayu.review.430100."""
        return f"kuayu.{self.stage}.{self.code}"

    @property
    def stream(self) -> str:
        """The stream that reads it: 430100/review."""
        return f"{self.code}/{self.stage}"


class Route(Struct, frozen=True):
    """Where a case goes, and on what terms.

    `item` is the version in force on the day asked for; `pickup` is None where nothing is handed over at a
    counter (electronic results, post from the owner). `serials` is the block of the acceptor's case numbers.
    """

    agreement: Agreement
    item: Item
    owner: str
    acceptance: InboxAddress
    review: InboxAddress
    pickup: InboxAddress | None
    power: Power
    mode: Mode
    receipt_rule: ReceiptRule
    serials: tuple[int, int]


class NoRouteCode(StrEnum):
    """Why there is no route."""

    UNKNOWN_ITEM = "unknown_item"
    ITEM_NOT_IN_FORCE = "item_not_in_force"
    UNKNOWN_JURISDICTION = "unknown_jurisdiction"
    JURISDICTION_NOT_VALID = "jurisdiction_not_valid"
    STAGE_NOT_OFFERED = "stage_not_offered"
    BELONGS_ELSEWHERE = "belongs_elsewhere"
    NO_AGREEMENT = "no_agreement"
    PICKUP_NOT_COVERED = "pickup_not_covered"


class NoRoute(Exception):
    """No route: what stands against it, for the applicant's eyes in both languages.

    Attributes:
        code: the reason, for programs.
        reason_zh: the reason in Chinese.
        reason_en: the reason in English.
        field: the argument of `route` that has to change.
    """

    def __init__(self, code: NoRouteCode, field: str, reason_zh: str, reason_en: str) -> None:
        super().__init__(code, field, reason_zh, reason_en)
        self.code = code
        self.field = field
        self.reason_zh = reason_zh
        self.reason_en = reason_en

    def __str__(self) -> str:
        return f"{self.field}: {self.reason_en}"


def route(
    directory: Directory, *, item_code: str, accepted_by: str, belongs_to: str, pickup: str | None, on: date
) -> Route:
    """The route of a case of the item `item_code`, taken in at `accepted_by` on the day `on`.

    `belongs_to` is the place the matter belongs to: the item's owner or a place below it. `pickup` is the place
    where the applicant wishes to be handed the result; None = nowhere. Places may be districts: the nearest
    place above them that runs the stage serves them.

    Raises:
        NoRoute: there is none; it says why.
    """
    item = directory.item_on(item_code, on) or _no_item(directory, item_code)
    acceptor = _place(directory, "accepted_by", accepted_by, on)
    home = _place(directory, "belongs_to", belongs_to, on)
    if item.owner not in directory.lineage(home.code):
        owner = directory.jurisdiction(item.owner)
        raise NoRoute(
            NoRouteCode.BELONGS_ELSEWHERE,
            "item_code",
            f"该实施编码属于{owner.name_zh}，而事项属地为{home.name_zh}，请使用属地的实施编码",
            f"the code is {owner.name_en}'s, but the matter belongs to {home.name_en}: use the code of that place",
        )
    acceptance = _inbox(directory, Stage.ACCEPTANCE, acceptor, "accepted_by")
    agreement = directory.agreement(acceptor.code, item, on)
    if agreement is None:
        owner = directory.jurisdiction(item.owner)
        raise NoRoute(
            NoRouteCode.NO_AGREEMENT,
            "accepted_by",
            f"{acceptor.name_zh}与{owner.name_zh}之间没有涵盖“{item.name_zh}”的有效通办协议",
            f"no agreement in force lets {acceptor.name_en} take in “{item.name_en}” for {owner.name_en}",
        )
    return Route(
        agreement=agreement,
        item=item,
        owner=item.owner,
        acceptance=acceptance,
        review=_inbox(directory, Stage.REVIEW, directory.jurisdiction(item.owner), "item_code"),
        pickup=None
        if pickup is None
        else _pickup(directory, agreement, _place(directory, "pickup", pickup, on)),
        power=agreement.power,
        mode=agreement.mode if agreement.mode in item.modes else item.modes[0],
        receipt_rule=agreement.receipt_rule,
        serials=agreement.serials,
    )


def _pickup(directory: Directory, agreement: Agreement, place: Jurisdiction) -> InboxAddress:
    if not any(code in agreement.pickup for code in directory.lineage(place.code)):
        raise NoRoute(
            NoRouteCode.PICKUP_NOT_COVERED,
            "pickup",
            f"通办协议未约定在{place.name_zh}取证",
            f"the agreement does not allow hand-over in {place.name_en}",
        )
    return _inbox(directory, Stage.PICKUP, place, "pickup")


def _place(directory: Directory, field: str, code: str, on: date) -> Jurisdiction:
    try:
        return directory.jurisdiction_on(code, on)
    except Invalid as error:
        problem = error
    try:
        place = directory.jurisdiction(code)
    except Invalid:
        raise NoRoute(
            NoRouteCode.UNKNOWN_JURISDICTION,
            field,
            "行政区划代码不在通办目录中",
            "the area code is not in the directory",
        ) from None
    successor = (
        ""
        if place.successor is None
        else f"，现为{directory.jurisdiction(place.successor).name_zh}{place.successor}"
    )
    raise NoRoute(
        NoRouteCode.JURISDICTION_NOT_VALID,
        field,
        f"{place.name_zh}的代码在{on}无效{successor}",
        f"{place.name_en}: {problem.value_problem}; expected {problem.expected}",
    ) from None


def _inbox(directory: Directory, stage: Stage, place: Jurisdiction, field: str) -> InboxAddress:
    node = directory.serving(stage, place.code)
    if node is None:
        raise NoRoute(
            NoRouteCode.STAGE_NOT_OFFERED,
            field,
            f"{place.name_zh}未开通{_STAGE_ZH[stage]}",
            f"{place.name_en} does not offer {stage}",
        )
    return InboxAddress(stage, node)


_STAGE_ZH = {Stage.ACCEPTANCE: "异地受理", Stage.REVIEW: "属地审核", Stage.PICKUP: "就近取证"}


def _no_item(directory: Directory, item_code: str) -> Item:
    try:
        item = directory.item(item_code)
    except Invalid:
        raise NoRoute(
            NoRouteCode.UNKNOWN_ITEM,
            "item_code",
            "实施编码不在通办清单中",
            "the item code is not in the directory",
        ) from None
    raise NoRoute(
        NoRouteCode.ITEM_NOT_IN_FORCE,
        "on",
        f"“{item.name_zh}”在该日尚未实施",
        f"“{item.name_en}” is not yet in force on that day",
    )
