"""What is sent and what comes back. Fields that a newer node adds are left aside."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from msgspec import Struct, field

DocumentKind = Literal[
    "identity_card", "residence_permit", "passport", "hk_macao_permit", "taiwan_permit", "other"
]
"""证件类型."""
Channel = Literal["counter", "web", "mobile", "terminal", "post", "other"]
"""申报来源."""
MaterialForm = Literal["original", "copy", "electronic"]
"""收取方式."""
DeliveryKind = Literal["electronic", "counter", "pickup_point", "terminal", "post"]
"""取证方式."""


class Sent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Part of a request."""


class Person(Sent, frozen=True, kw_only=True):
    """自然人. An identity card's number is checked by GB 11643."""

    name: str
    document_kind: DocumentKind
    document_number: str


class Organisation(Sent, frozen=True, kw_only=True):
    """法人或非法人组织. `code` is the unified social credit code, GB 32100."""

    name: str
    code: str
    representative: Person | None = None


class Contact(Sent, frozen=True, kw_only=True):
    """联系方式."""

    name: str | None = None
    mobile: str | None = None
    address: str | None = None


class Agent(Sent, frozen=True, kw_only=True):
    """代理人. `authority` is the number of the power of attorney."""

    person: Person
    authority: str


class Applicant(Sent, frozen=True, kw_only=True):
    """申请人: exactly one of person and organisation."""

    person: Person | None = None
    organisation: Organisation | None = None
    contact: Contact | None = None
    agent: Agent | None = None


class FormField(Sent, frozen=True, kw_only=True):
    """One answer of the form."""

    name: str
    value: str


class Material(Sent, frozen=True, kw_only=True):
    """材料. `digest` is the SHA-256 of the file in lower-case hex, `size` its bytes; the file itself is not sent."""

    code: str
    name: str
    form: MaterialForm
    may_follow: bool = False
    digest: str | None = None
    size: int | None = None
    media_type: str | None = None


class Delivery(Sent, frozen=True, kw_only=True):
    """取证: how and where the applicant wants the result."""

    kind: DeliveryKind
    jurisdiction: str
    address: str | None = None


class Office(Sent, frozen=True, kw_only=True):
    """受理窗口."""

    jurisdiction: str
    name: str
    code: str | None = None


class Submission(Sent, frozen=True, kw_only=True):
    """An application. Without `office`, the caller's own; without `collected_at` (aware), taken when it is sent."""

    item_code: str
    belonging: str
    channel: Channel
    applicant: Applicant
    delivery: Delivery
    office: Office | None = None
    form: Sequence[FormField] = ()
    materials: Sequence[Material] = ()
    reference: str | None = None
    collected_at: datetime | None = None


class Times(Struct, frozen=True, kw_only=True):
    """The four times of a case, and what is due."""

    collected: datetime | None = None
    received: datetime | None = None
    accepted: datetime | None = None
    promised: datetime | None = None
    statutory: datetime | None = None
    provisional: bool
    calendar_version: str


class Taken(Struct, frozen=True, kw_only=True):
    """What became of an act: the node has it durably. `repeated`: its key was answered before."""

    case_id: str
    case_number: str
    status: str
    status_zh: str
    status_en: str
    version: int
    times: Times
    duty_due: datetime | None = None
    accepted_by: str | None = None
    repeated: bool = False


class Item(Struct, frozen=True, kw_only=True):
    """事项."""

    code: str
    version: int
    name: str


class Holder(Struct, frozen=True, kw_only=True):
    """Who has to act next."""

    stage: str
    jurisdiction: str
    name_zh: str
    name_en: str


class MaterialRequest(Struct, frozen=True, kw_only=True):
    """A material that has to be supplemented."""

    code: str
    name: str
    problem: str


class SupplementRequest(Struct, frozen=True, kw_only=True):
    """补正."""

    materials: tuple[MaterialRequest, ...]
    reason: str
    due: datetime | None = None
    clock_runs: bool


class Ground(Struct, frozen=True, kw_only=True):
    """依据."""

    source: str
    article: str | None = None
    text: str | None = None


class Remedy(Struct, frozen=True, kw_only=True):
    """救济途径."""

    body: str
    period_days: int
    text: str | None = None


class Body(Struct, frozen=True, kw_only=True):
    """An office by place and name."""

    jurisdiction: str
    name: str


class NotAccepted(Struct, frozen=True, kw_only=True):
    """不予受理."""

    kind: str
    reason: str
    grounds: tuple[Ground, ...] = ()
    right_body: Body | None = None
    remedy: Remedy | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """办结: `outcome` is approved or refused."""

    outcome: str
    document_number: str
    reason: str | None = None
    grounds: tuple[Ground, ...] = ()
    remedy: Remedy | None = None
    decided_at: datetime


class Collection(Struct, frozen=True, kw_only=True):
    """Where the result lies, and the code to fetch it with."""

    place: str
    code: str


class Case(Struct, frozen=True, kw_only=True):
    """A case as its acceptance stage knows it."""

    case_id: str
    case_number: str
    status: str
    status_zh: str
    status_en: str
    open: bool
    version: int
    item: Item
    times: Times
    reference: str | None = None
    duty_due: datetime | None = None
    accepted_by: str | None = None
    notice_number: str = ""
    holder: Holder | None = None
    supplement: SupplementRequest | None = None
    not_accepted: NotAccepted | None = None
    decision: Decision | None = None
    collection: Collection | None = None
    tracking_number: str | None = None


class Step(Struct, frozen=True, kw_only=True):
    """One step of a journey, in both languages."""

    at: datetime
    recorded_at: datetime
    kind: str
    zh: str
    en: str


class Journey(Struct, frozen=True, kw_only=True):
    """The steps of a case in their order."""

    case_id: str
    steps: tuple[Step, ...]


class FeedItem(Step, frozen=True, kw_only=True):
    """A step of one of the caller's cases."""

    cursor: str
    case_id: str


class FeedPage(Struct, frozen=True, kw_only=True):
    """Steps; `next` goes on after them."""

    items: tuple[FeedItem, ...]
    next: str
    more: bool


class FieldError(Struct, frozen=True, kw_only=True):
    """One field: what is wrong, and what would be right."""

    field: str
    problem: str
    expected: str = ""


class Problem(Struct, frozen=True, kw_only=True):
    """Problem details (RFC 9457)."""

    type: str = "about:blank"
    title: str = ""
    title_zh: str = ""
    status: int = 0
    detail: str = ""
    errors: tuple[FieldError, ...] = field(default=())
    next: str = ""
    """With `history_lost`: the cursor to go on with."""


class BatchResult(Struct, frozen=True, kw_only=True):
    """What became of one application of a batch: a case, or the problem with it."""

    index: int
    key: str | None = None
    status: int
    case: Taken | None = None
    problem: Problem | None = None


class BatchAnswer(Struct, frozen=True, kw_only=True):
    results: tuple[BatchResult, ...]
