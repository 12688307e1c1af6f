"""What the directory is made of: jurisdictions, items, agreements and the names their values take."""

from datetime import date, time
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final

from msgspec import Meta, Struct, field

from jurisdictions._errors import Invalid

ALL_ITEMS: Final = "*"
DEFAULT_PARTITIONS: Final = 1
LAST_SERIAL: Final = 9999


class Stage(StrEnum):
    """The three stages of a case; each may lie in another jurisdiction."""

    ACCEPTANCE = "acceptance"  # 异地受理
    REVIEW = "review"  # 属地审核
    PICKUP = "pickup"  # 就近取证


class Level(StrEnum):
    """Administrative levels, which are also the levels at which an item is exercised (行使层级)."""

    PROVINCE = "province"
    CITY = "city"
    COUNTY = "county"  # counties, districts and county-level cities alike


class Mode(StrEnum):
    """How the offices share the work on one case."""

    DIRECT = "direct"  # 直接办理: the accepting office may decide itself
    ONLINE = "online"  # 全程网办: no counter at all
    COLLECT_AND_FORWARD = "collect_and_forward"  # 代收代办: window, owner, hand-over
    DELEGATED = "delegated"  # 授权委托: decided in the owner's name, the owner is told
    JOINT = "joint"  # 多地联办: several authorities on one acceptance
    ZONE_GRANT = "zone_grant"  # 直接赋权: a development zone holds the power itself
    ZONE_DELEGATION = "zone_delegation"  # 委托行使
    ZONE_SERVICE = "zone_service"  # 服务前移
    ZONE_REPORT = "zone_report"  # 审批直报


class Power(StrEnum):
    """What the window's act means in law."""

    ACCEPT = "accept"  # 受理: the clock of the matter starts at the window
    COLLECT = "collect"  # 收件: the owner accepts, and has five working days to speak


class ReceiptRule(StrEnum):
    """Which receipt starts the five-day duty of 行政许可法 32."""

    WINDOW = "window"
    OWNER = "owner"


class Regime(StrEnum):
    """The kind of act, which decides the law that counts time."""

    PERMIT = "permit"  # 行政许可
    CONFIRMATION = "confirmation"  # 行政确认
    REGISTRATION = "registration"  # 登记
    PAYMENT = "payment"  # 行政给付
    CERTIFICATE = "certificate"  # 证明
    PUBLIC_SERVICE = "public_service"  # 公共服务
    NOTARIAL = "notarial"  # 公证, no administrative act
    FILING = "filing"  # 备案


class LimitUnit(StrEnum):
    """What a limit is counted in."""

    WORKING_DAYS = "working_days"
    CALENDAR_DAYS = "calendar_days"
    OFFICE_HOURS = "office_hours"
    AT_ONCE = "at_once"  # 即办


class LimitStart(StrEnum):
    """The instant a limit runs from."""

    ACCEPTANCE = "acceptance"
    WINDOW_END = "window_end"  # the end of an application window
    NOTICE_END = "notice_end"  # the end of a public notice


class Required(StrEnum):
    """Whether a material must be there at acceptance."""

    YES = "yes"
    NO = "no"
    MAY_FOLLOW = "may_follow"  # 容缺: named minor material that may come by a later date


class Serves(StrEnum):
    """Who may apply."""

    PERSON = "person"
    ORGANISATION = "organisation"


class Source(StrEnum):
    """How sure a limit is."""

    KNOWN = "K"  # law, national standard or a published official figure
    PUBLISHED = "P"  # common in city guides, not verified
    ASSUMED = "A"  # to be replaced by the office's own figure


class Limit(Struct, frozen=True, forbid_unknown_fields=True):
    """A time limit: `amount` in `unit`, counted from `starts`. At once has the amount 0.

    Raises:
        Invalid: the amount does not fit the unit.
    """

    unit: LimitUnit
    amount: Annotated[int, Meta(ge=0, le=1000)] = 0
    starts: LimitStart = LimitStart.ACCEPTANCE

    def __post_init__(self) -> None:
        if self.unit is LimitUnit.AT_ONCE:
            if self.amount:
                raise Invalid("amount", "given for a limit that is at once", "no amount")
        elif self.amount < 1:
            raise Invalid("amount", "below 1", "1 or more, or the unit at_once")

    def extended(self, by: int) -> "Limit":
        """The limit after an extension (延期) by `by` of its own unit.

        Raises:
            Invalid: the extension is below 1, or the limit is at once and cannot be extended.
        """
        if by < 1:
            raise Invalid("by", "below 1", "1 or more")
        if self.unit is LimitUnit.AT_ONCE:
            raise Invalid("unit", "at once cannot be extended", "a limit in days or hours")
        return Limit(self.unit, self.amount + by, self.starts)


class Period(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the day in which an office is open, local time; it closes on the day it opens."""

    opens: time
    closes: time

    def __post_init__(self) -> None:
        if not self.opens < self.closes:
            raise Invalid("closes", "not after opens", "a time later on the same day")


STANDARD_HOURS: Final = (Period(time(9), time(12)), Period(time(13), time(17)))


AreaCode = Annotated[str, Meta(pattern=r"^[0-9]{6}$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]
PartitionCount = Annotated[int, Meta(ge=1, le=8)]
AgreedItem = Annotated[str, Meta(pattern=r"^([0-9A-Z]{12}|\*)$")]
Serial = Annotated[int, Meta(ge=1, le=LAST_SERIAL)]


class Jurisdiction(Struct, frozen=True, forbid_unknown_fields=True):
    """A place with a GB/T 2260 code, for the time its code means this place.

    `valid_from` and `valid_to` are the first and the last day, both included; `valid_to` None = still valid.
    `stages` are those it runs a node for; a place without a stage is served by the nearest one above it.
    `partitions` (1 to 8 for each stage) are named where they are not DEFAULT_PARTITIONS.
    """

    code: AreaCode
    name_zh: Name
    name_en: Name
    level: Level
    parent: AreaCode | None
    valid_from: date
    valid_to: date | None = None
    successor: AreaCode | None = None
    stages: tuple[Stage, ...] = ()
    office_hours: Annotated[tuple[Period, ...], Meta(min_length=1)] = STANDARD_HOURS
    partitions: dict[Stage, PartitionCount] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.valid_to is not None and self.valid_to < self.valid_from:
            raise Invalid("valid_to", "before valid_from", "the last valid day, or null")
        if len(set(self.stages)) < len(self.stages):
            raise Invalid("stages", "names a stage twice", "each stage once")
        if not self.partitions.keys() <= set(self.stages):
            raise Invalid(
                "partitions", "given for a stage that is not offered", "stages of the list above only"
            )
        if any(later.opens < earlier.closes for earlier, later in pairwise(self.office_hours)):
            raise Invalid("office_hours", "overlap or are out of order", "periods one after the other")

    def valid_on(self, day: date) -> bool:
        """Whether the code means this place on `day`."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


class Material(Struct, frozen=True):
    """A paper or datum the applicant hands in."""

    code: str
    name_zh: str
    name_en: str
    required: Required


class Result(Struct, frozen=True, forbid_unknown_fields=True):
    """What the applicant gets; `electronic` where the electronic form has the paper's force."""

    name_zh: str
    name_en: str
    electronic: bool


class Sources(Struct, frozen=True, forbid_unknown_fields=True):
    """How sure the two limits are; None where nothing was found, or there is no limit."""

    statutory: Source | None
    promised: Source | None


class Body(Struct, frozen=True):
    """The organisation that is responsible for an item at one place, with its GB 32100 credit code."""

    credit_code: str
    name_zh: str
    name_en: str


class Item(Struct, frozen=True):
    """An item as one owner offers it (实施清单).

    `code` is the implementation code of 31 characters: credit code of the body (18), level of exercise (1),
    `basic_code` (12). `since` is the first day of this version. A limit of None means that there is none.
    """

    code: str
    basic_code: str
    version: int
    since: date
    owner: str
    body: Body
    authority: str
    name_zh: str
    name_en: str
    regime: Regime
    statutory: Limit | None
    promised: Limit | None
    materials: tuple[Material, ...]
    result: Result
    modes: tuple[Mode, ...]
    instant: bool
    reviewed_at: Level
    serves: tuple[Serves, ...]
    sources: Sources


class Agreement(Struct, frozen=True, forbid_unknown_fields=True):
    """Who may accept or collect which items for whom (通办协议), from `since` to `until`, both included.

    `acceptors` share one acceptance stream, hence one block of the day's serials (first, last), in which no
    other acceptor of the same owner numbers its cases. `items` are basic codes, or `*` for all.
    `mode` holds for items that can be handled so; others go by their own first mode.
    """

    id: Name
    acceptors: Annotated[tuple[AreaCode, ...], Meta(min_length=1)]
    owner: AreaCode
    items: Annotated[tuple[AgreedItem, ...], Meta(min_length=1)]
    power: Power
    mode: Mode
    receipt_rule: ReceiptRule
    pickup: tuple[AreaCode, ...]
    serials: tuple[Serial, Serial]
    since: date
    until: date | None = None

    def __post_init__(self) -> None:
        if self.serials[1] < self.serials[0]:
            raise Invalid("serials", "end before they begin", "[first, last]")
        if self.until is not None and self.until < self.since:
            raise Invalid("until", "before since", "the last day in force, or null")
        if ALL_ITEMS in self.items and len(self.items) > 1:
            raise Invalid("items", "names items beside all of them", f'["{ALL_ITEMS}"] or basic codes')

    def in_force(self, day: date) -> bool:
        """Whether the agreement binds on `day`."""
        return self.since <= day and (self.until is None or day <= self.until)
