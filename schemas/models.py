"""Typed models of all contracts. Generated from the .avsc files by `python -m schemas generate`: never edit."""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from schemas._record import Event, Instant, Int, Long, Record

__all__ = [
    "AcceptedBy",
    "Agent",
    "AnswerOutcome",
    "Applicant",
    "CaseAccepted",
    "CaseCollected",
    "CaseDecided",
    "CaseDeemedAccepted",
    "CaseFile",
    "CaseNotAccepted",
    "CaseSubmitted",
    "CaseTransferred",
    "CaseWithdrawn",
    "Certificate",
    "CertificateCollected",
    "CertificateDelivered",
    "CertificateIssued",
    "CertificateMailed",
    "CertificateReady",
    "CertificateReturned",
    "Channel",
    "ClockResumed",
    "ClockSuspended",
    "CollectorKind",
    "Contact",
    "DecisionOutcome",
    "Delivery",
    "DeliveryKind",
    "DocumentKind",
    "DutyStart",
    "EVENTS",
    "EventsReturned",
    "FormField",
    "Ground",
    "HandlingMode",
    "ItemRef",
    "LaneOpened",
    "LimitExtended",
    "Material",
    "MaterialForm",
    "MaterialRequest",
    "NotAcceptedKind",
    "Office",
    "Organisation",
    "Person",
    "Receipt",
    "ReceiptException",
    "ReceiptStatus",
    "Remedy",
    "ResendRequested",
    "ReturnReason",
    "ReturnedEvent",
    "SubmissionAnswered",
    "SupplementProvided",
    "SupplementRequested",
    "Suspension",
    "SuspensionKind",
    "Times",
    "Tombstone",
    "TransferReason",
]


class AcceptedBy(StrEnum):
    """Who accepted 受理: the counter that has the power, the owner of a collected case, lapse of time (行政许可法 32), or a rule without a person (秒批)."""
    COUNTER = "counter"
    OWNER = "owner"
    LAPSE = "lapse"
    RULE = "rule"


class DocumentKind(StrEnum):
    """证件类型. What proves who a person is; the numbers of GA/T 2000.156 and of vendors are mapped at the edge."""
    IDENTITY_CARD = "identity_card"
    RESIDENCE_PERMIT = "residence_permit"
    PASSPORT = "passport"
    HK_MACAO_PERMIT = "hk_macao_permit"
    TAIWAN_PERMIT = "taiwan_permit"
    OTHER = "other"


class Person(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """自然人."""
    name: str
    """姓名, as in the document."""
    document_kind: DocumentKind
    """证件类型."""
    document_number: str
    """证件号码; an identity card's is a citizen number of GB 11643."""


class Agent(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """代理人 or helper who acts for the applicant, with authority on record."""
    person: Person
    """Who acts."""
    authority: str
    """Number of the authority 委托书."""


class AnswerOutcome(StrEnum):
    """What became of a submission."""
    ACCEPTED = "accepted"
    REFUSED = "refused"


class Organisation(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """法人或非法人组织."""
    name: str
    """名称."""
    code: str
    """统一社会信用代码, GB 32100, 18 characters."""
    representative: Person | None = None
    """法定代表人."""


class Contact(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the applicant can be reached."""
    name: str | None = None
    """联系人, where it is not the applicant."""
    mobile: str | None = None
    """手机号."""
    address: str | None = None
    """通讯地址."""


class Applicant(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """申请人: exactly one of person and organisation."""
    person: Person | None = None
    """A natural person."""
    organisation: Organisation | None = None
    """An organisation."""
    contact: Contact | None = None
    """How to reach the applicant."""
    agent: Agent | None = None
    """Who acts for the applicant."""


class ItemRef(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """事项, in the version by which the case is judged to its end."""
    code: str
    """实施编码 of the item."""
    version: Int
    """Version of the item in the directory."""
    name: str
    """事项名称."""


class HandlingMode(StrEnum):
    """办理模式 under which the agreement lets the case be handled."""
    DIRECT = "direct"
    ONLINE = "online"
    COLLECT_AND_FORWARD = "collect_and_forward"
    DELEGATED = "delegated"
    JOINT = "joint"
    ZONE_GRANT = "zone_grant"
    ZONE_DELEGATION = "zone_delegation"
    ZONE_SERVICE = "zone_service"
    ZONE_REPORT = "zone_report"


class Channel(StrEnum):
    """申报来源. Where the application was made."""
    COUNTER = "counter"
    WEB = "web"
    MOBILE = "mobile"
    TERMINAL = "terminal"
    POST = "post"
    OTHER = "other"


class Office(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """办理机构: an office in a jurisdiction."""
    jurisdiction: str
    """行政区划 of GB/T 2260, 6 digits, or 9 or 12 below the county."""
    name: str
    """机构名称."""
    code: str | None = None
    """统一社会信用代码 of the office."""


class FormField(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One answer of the application form."""
    name: str
    """Name of the field in the item's form."""
    value: str
    """What the applicant filled in."""


class MaterialForm(StrEnum):
    """收取方式. Whether the original or a copy was handed in."""
    ORIGINAL = "original"
    COPY = "copy"
    ELECTRONIC = "electronic"


class Material(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One material of an application. The file itself stays in a blob store; this is the claim check."""
    code: str
    """Code of the material in the item's list."""
    name: str
    """材料名称."""
    form: MaterialForm
    """Original, copy or electronic."""
    may_follow: bool = False
    """容缺: accepted without it, to be handed in later; digest, size and type are then missing."""
    digest: str | None = None
    """SHA-256 of the file, 64 lower-case hex digits."""
    size: Long | None = None
    """Size of the file in bytes."""
    media_type: str | None = None
    """Media type of the file."""


class DeliveryKind(StrEnum):
    """How the result reaches the applicant 取证方式."""
    ELECTRONIC = "electronic"
    COUNTER = "counter"
    PICKUP_POINT = "pickup_point"
    TERMINAL = "terminal"
    POST = "post"


class Delivery(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The applicant's wish for the result."""
    kind: DeliveryKind
    """How."""
    jurisdiction: str
    """Where: code of the jurisdiction whose pickup stage hands it over."""
    address: str | None = None
    """Postal address or name of the pickup point."""


class CaseFile(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """办件: what the owner needs to examine a case, handed on whole at collection, acceptance and transfer."""
    case_number: str
    """办件编号, 43 characters."""
    item: ItemRef
    """What is applied for."""
    mode: HandlingMode
    """Handling mode under the agreement."""
    channel: Channel
    """Where the application was made."""
    accepting_office: Office
    """收件/受理窗口: office that took the application."""
    applicant: Applicant
    """Who applies."""
    form: tuple[FormField, ...] = ()
    """Answers of the form."""
    materials: tuple[Material, ...] = ()
    """Materials handed in or promised."""
    delivery: Delivery
    """The applicant's wish for the result."""
    pickup: str
    """Jurisdiction whose pickup stage serves this wish, as routed."""
    reference: str | None = None
    """Number of the case in the local system that sent it."""
    directory_version: str
    """Version of the directory by which the case was routed and is judged."""


class Certificate(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """证照 or result document that the review issues."""
    name: str
    """结果证照名称."""
    number: str
    """结果证照编号."""
    issuer: Office
    """发证单位."""
    issued_at: Instant
    """When it was issued."""
    valid_until: date | None = None
    """证照有效期限, last day; none where it does not expire."""
    digest: str | None = None
    """SHA-256 of the electronic file, 64 lower-case hex digits."""


class CollectorKind(StrEnum):
    """Who took the result away."""
    HOLDER = "holder"
    AGENT = "agent"


class DecisionOutcome(StrEnum):
    """办结结果 of the review."""
    APPROVED = "approved"
    REFUSED = "refused"


class DutyStart(StrEnum):
    """Which receipt starts the five-day duty, as the agreement says: the window's or the owner's."""
    WINDOW = "window"
    OWNER = "owner"


class Ground(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """依据: a rule on which a decision rests."""
    source: str
    """Law, regulation or item guide."""
    article: str | None = None
    """Article and paragraph."""
    text: str | None = None
    """What it says for this case."""


class MaterialRequest(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A material that has to be supplemented, and what is wrong with it."""
    code: str
    """Code of the material in the item's list."""
    name: str
    """材料名称."""
    problem: str
    """What is missing or wrong, as the applicant reads it."""


class NotAcceptedKind(StrEnum):
    """不予受理: why the application is not accepted."""
    NOT_NEEDED = "not_needed"
    NOT_COMPETENT = "not_competent"
    NOT_SUPPLEMENTED = "not_supplemented"
    OTHER = "other"


class ReceiptStatus(StrEnum):
    """State of one event that a receipt does not call applied. Refused and void close the hand-over; parked and waiting leave it open."""
    REFUSED = "refused"
    PARKED = "parked"
    WAITING = "waiting"
    VOID = "void"


class ReceiptException(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event of a receipt's range that is not simply applied."""
    number: Long
    """Lane number of the event."""
    status: ReceiptStatus
    """Its state at the receiver."""
    code: str
    """Named reason, for machines."""
    reason: str
    """Reason in Chinese and English, without personal data."""


class Remedy(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """救济途径: where and until when the applicant can have the act reviewed."""
    body: str
    """Body of reconsideration or court."""
    period_days: Int
    """Period in calendar days from notice."""
    text: str | None = None
    """The notice's own words."""


class ReturnReason(StrEnum):
    """Why the result came back 退回."""
    UNDELIVERABLE = "undeliverable"
    REFUSED_BY_RECIPIENT = "refused_by_recipient"
    UNCLAIMED = "unclaimed"
    DAMAGED = "damaged"


class ReturnedEvent(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event as it was on the wire."""
    head: bytes
    """Its headers' values in their fixed order, a line each, UTF-8."""
    lane_hash: bytes
    """Running hash of the lane at this event."""
    body: bytes
    """The body, with its schema id before it; it may hold personal data."""


class Suspension(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A time in which the clock stood still."""
    since: Instant
    """First instant."""
    until: Instant
    """When the clock ran again."""


class SuspensionKind(StrEnum):
    """特别程序种类: what 行政许可法 45 keeps out of the limit. An extension is none of these."""
    HEARING = "hearing"
    TENDER = "tender"
    AUCTION = "auction"
    INSPECTION = "inspection"
    TESTING = "testing"
    QUARANTINE = "quarantine"
    APPRAISAL = "appraisal"
    EXPERT_REVIEW = "expert_review"
    OTHER = "other"


class Times(Record, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The four times of a case, kept apart, and what is due. Legal days are days of Asia/Shanghai."""
    collected: Instant | None = None
    """收件: when the window collected the application."""
    received: Instant | None = None
    """收到: when the owner received it."""
    accepted: Instant | None = None
    """受理: since when it counts as accepted; back-dated where it is deemed."""
    promised: Instant | None = None
    """承诺办结时间; none before acceptance, or where nothing is promised."""
    statutory: Instant | None = None
    """法定办结时间; none before acceptance, or where no law sets a limit."""
    provisional: bool
    """Whether a due instant lies in a year whose calendar is not published yet."""
    calendar_version: str
    """Version of the calendar by which the due instants were found."""


class TransferReason(StrEnum):
    """转办: why the case goes on to another office."""
    WRONG_OFFICE = "wrong_office"
    OTHER_LEVEL = "other_level"
    REORGANISED = "reorganised"


class CaseAccepted(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """受理: accepted at the counter with the power to do so (to the owner), or by the owner of a collected case (to the accepting stage)."""
    accepted_by: AcceptedBy
    """Who accepted."""
    notice_number: str
    """受理文书编号."""
    office: Office
    """受理单位."""
    times: Times
    """All times, with the due instants."""
    file: CaseFile | None = None
    """The case, on its way from the counter to the owner."""
    directory_version: str
    """Version of the directory on which this rests."""


class CaseCollected(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """收件: collected at a window without the power to accept, and forwarded; the owner has five working days to answer."""
    file: CaseFile
    """The case."""
    times: Times
    """The times known so far: collected."""
    duty_start: DutyStart
    """Which receipt starts the five-day duty."""


class CaseDecided(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """办结: approved or refused."""
    outcome: DecisionOutcome
    """Approved or refused."""
    document_number: str
    """决定文书编号."""
    reason: str | None = None
    """Reason as the applicant reads it; a refusal has one."""
    grounds: tuple[Ground, ...] = ()
    """Rules on which it rests; a refusal has some."""
    remedy: Remedy | None = None
    """Where it can be reviewed; a refusal has it."""
    accepted_by: AcceptedBy
    """How the case was accepted."""
    decided_at: Instant
    """When it was decided."""
    pickup: str | None = None
    """Jurisdiction whose pickup stage hands the result over."""
    times: Times
    """The times of the case."""
    directory_version: str
    """Version of the directory on which this rests."""


class CaseDeemedAccepted(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """视为受理: accepted by lapse of the five-day duty as of the day of receipt (行政许可法 32)."""
    times: Times
    """All times; accepted is back-dated."""
    duty_due: Instant
    """When the duty lapsed."""
    notice_number: str
    """受理文书编号."""
    directory_version: str
    """Version of the directory on which this rests."""


class CaseNotAccepted(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """不予受理, with the right body where the office is not competent."""
    kind: NotAcceptedKind
    """Why."""
    reason: str
    """Reason as the applicant reads it."""
    grounds: tuple[Ground, ...] = ()
    """Rules on which it rests."""
    right_body: Office | None = None
    """Office that is competent."""
    remedy: Remedy | None = None
    """Where the applicant can have it reviewed."""
    times: Times
    """The times of the case."""


class CaseSubmitted(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A local system hands in an application on the intake topic; the record key is its idempotency key."""
    item_code: str
    """实施编码 of the item applied for."""
    belonging: str
    """属地: jurisdiction where the matter belongs, GB/T 2260."""
    office: Office | None = None
    """Office that took the application; the accepting jurisdiction itself if missing."""
    channel: Channel
    """Where the application was made."""
    applicant: Applicant
    """Who applies."""
    form: tuple[FormField, ...] = ()
    """Answers of the form."""
    materials: tuple[Material, ...] = ()
    """Materials handed in or promised."""
    delivery: Delivery
    """The applicant's wish for the result."""
    reference: str | None = None
    """Number of the case in the sending system."""
    collected_at: Instant | None = None
    """When the window took the application; the time of sending if missing."""


class CaseTransferred(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """转办: the case goes on to another office, under a term one higher. The next holder gets the case whole, the accepting stage only the news."""
    reason_kind: TransferReason
    """Why."""
    reason: str
    """Explanation."""
    from_office: Office
    """Who hands it on."""
    to_jurisdiction: str
    """Jurisdiction whose review stage holds the case from now on."""
    acceptance: str
    """Jurisdiction whose acceptance stage is told."""
    times: Times
    """The times of the case; accepted is missing as long as it is only collected."""
    duty_start: DutyStart
    """Which receipt starts the five-day duty."""
    duty_due: Instant | None = None
    """Until when a collected case has to be answered."""
    duty_from: Instant | None = None
    """Receipt that started this duty."""
    supplement_requested: bool
    """Whether the one request for supplements has been made."""
    accepted_by: AcceptedBy | None = None
    """Who accepted, if accepted."""
    notice_number: str | None = None
    """受理文书编号, if accepted."""
    suspensions: tuple[Suspension, ...] = ()
    """When the clock stood still."""
    extension_days: Int
    """Days by which the limit was extended, in its own unit."""
    file: CaseFile | None = None
    """The case, for the next holder."""
    directory_version: str
    """Version of the directory on which this rests."""


class CaseWithdrawn(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """撤回: the applicant takes the application back."""
    reason: str | None = None
    """The applicant's reason, if given."""
    withdrawn_at: Instant
    """When."""


class CertificateCollected(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """已领取: handed over against code and document."""
    collector: CollectorKind
    """Who took it."""
    authority: str | None = None
    """Number of the agent's authority 委托书."""
    collected_at: Instant
    """When."""


class CertificateDelivered(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """已送达, with proof of its own."""
    kind: DeliveryKind
    """How."""
    proof: str
    """Number of the proof of receipt, or of the electronic delivery."""
    delivered_at: Instant
    """When the recipient received it."""


class CertificateIssued(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """制证: what to hand over, to whom, how."""
    case_number: str
    """办件编号."""
    item: ItemRef
    """What was applied for."""
    certificate: Certificate
    """What to hand over."""
    holder: Applicant
    """To whom."""
    delivery: Delivery
    """How and where."""
    accepting_office: Office
    """Window that took the application."""
    acceptance: str
    """Jurisdiction whose acceptance stage is told."""
    serve_by: Instant
    """Until when it has to be served: ten days from the decision (行政许可法 44)."""
    directory_version: str
    """Version of the directory on which this rests."""


class CertificateMailed(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """已寄出. Posted is not served."""
    carrier: str
    """Carrier."""
    tracking_number: str
    """物流单号."""
    mailed_at: Instant
    """When."""


class CertificateReady(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """可取证: the result lies ready."""
    place: str
    """Where, as the applicant reads it."""
    collection_code: str | None = None
    """取件码, only to the accepting stage, which tells the applicant."""
    ready_at: Instant
    """Since when."""


class CertificateReturned(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """退回: the result came back to the pickup stage."""
    reason: ReturnReason
    """Why."""
    note: str | None = None
    """Explanation."""
    returned_at: Instant
    """When."""


class ClockResumed(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """特别程序结束: the clock runs again."""
    result: str
    """What came of it."""
    at: Instant
    """When the clock runs again."""
    times: Times
    """All times, with the due instants moved."""


class ClockSuspended(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """特别程序: the clock stands still for what the law lists, with written notice of the time needed."""
    kind: SuspensionKind
    """What for."""
    notice_number: str
    """Number of the written notice to the applicant."""
    reason: str
    """Reason as the applicant reads it."""
    since: Instant
    """Since when the clock stands still."""
    expected_end: Instant
    """End named in the notice."""


class EventsReturned(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The receiver's answer to LaneOpened: how far it holds the lane, and the events after the number named, or the first of them; the sender opens the lane again for the next."""
    lane: str
    """Name of the lane."""
    incarnation: Long
    """The incarnation that was opened."""
    after: Long
    """The number that the first of the events follows."""
    events: tuple[ReturnedEvent, ...] = ()
    """The next events of the lane, in order."""
    to_number: Long
    """The last number that the receiver holds."""
    hash_at_to: bytes
    """Running hash of the lane at that number."""
    receiver_incarnation: Long
    """Incarnation of the receiver."""
    receiver_row: Long
    """Receiver's row number when it answered."""
    issued_at: Instant
    """When it was issued."""


class LaneOpened(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The sender of a lane begins a new incarnation of it, after a restore; the receiver ends all older ones and returns what it holds after the number named."""
    lane: str
    """Name of the lane."""
    incarnation: Long
    """The new incarnation of the sender."""
    after: Long
    """The last receipted number that the sender knows of; 0 for none."""
    hash_at_after: bytes
    """Running hash of the lane at that number; 32 zero bytes for none."""
    issued_at: Instant
    """When it was issued."""


class LimitExtended(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """延期: another limit, with the head's approval and reasons."""
    days: Int
    """By how many days the limit is extended, in its own unit."""
    approved_by: str
    """Office and post of who approved."""
    notice_number: str
    """Number of the notice to the applicant."""
    reason: str
    """Reason as the applicant reads it."""
    times: Times
    """All times, with the due instants moved."""


class Receipt(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Cumulative receipt of one lane: from first to last number all applied, except as listed. The latest wins."""
    lane: str
    """Name of the lane."""
    incarnation: Long
    """Incarnation of the sender whose numbers are meant."""
    from_number: Long
    """First number covered."""
    to_number: Long
    """Last number covered."""
    hash_at_to: bytes
    """Running hash of the lane at the last number."""
    exceptions: tuple[ReceiptException, ...] = ()
    """Numbers in the range that are refused, parked, waiting or void."""
    receiver_incarnation: Long
    """Incarnation of the receiver."""
    receiver_row: Long
    """Receiver's row number when the receipt was issued."""
    issued_at: Instant
    """When it was issued."""


class ResendRequested(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The receiver asks the sender of a lane to go back."""
    lane: str
    """Name of the lane."""
    incarnation: Long
    """Incarnation of the sender that the receiver knows."""
    from_number: Long
    """First number wanted."""
    receiver_incarnation: Long
    """Incarnation of the receiver."""
    issued_at: Instant
    """When it was issued."""


class SubmissionAnswered(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer to one submission: a case with its due dates, or a named error."""
    key: str
    """Idempotency key of the submission."""
    outcome: AnswerOutcome
    """Accepted as a case, or refused."""
    case_id: str | None = None
    """Case id on the bus."""
    case_number: str | None = None
    """办件编号."""
    times: Times | None = None
    """The times known so far."""
    duty_due: Instant | None = None
    """Until when the owner has to answer a collected case."""
    error_code: str | None = None
    """Named error."""
    error_field: str | None = None
    """Path of the field that is wrong."""
    error_reason: str | None = None
    """What is wrong and what would be right, in Chinese and English."""


class SupplementProvided(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """补正材料: what the applicant handed in after a request, or what was allowed to follow."""
    materials: tuple[Material, ...] = ()
    """Materials handed in."""
    form: tuple[FormField, ...] = ()
    """Answers that replace earlier ones of the same name."""
    answers_request: bool
    """Whether the applicant has answered the request, or handed something in unasked."""
    provided_at: Instant
    """When the window took them."""


class SupplementRequested(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """补正: all that is missing, asked for once."""
    materials: tuple[MaterialRequest, ...] = ()
    """What has to be supplemented."""
    reason: str
    """Explanation as the applicant reads it."""
    due: Instant | None = None
    """Until when it should be handed in."""
    clock_runs: bool
    """Whether the case is accepted already, so that the clock runs on regardless."""


class Tombstone(Event, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Stands in for an event that can never be sent, under the same lane number."""
    original_type: str
    """Type of the event it stands for."""
    original_digest: bytes
    """SHA-256 of the event it stands for, 32 bytes."""
    reason: str
    """Why it can never be sent, without personal data."""


EVENTS: Mapping[str, type[Event]] = {
    "kuayu.CaseAccepted": CaseAccepted,
    "kuayu.CaseCollected": CaseCollected,
    "kuayu.CaseDecided": CaseDecided,
    "kuayu.CaseDeemedAccepted": CaseDeemedAccepted,
    "kuayu.CaseNotAccepted": CaseNotAccepted,
    "kuayu.CaseSubmitted": CaseSubmitted,
    "kuayu.CaseTransferred": CaseTransferred,
    "kuayu.CaseWithdrawn": CaseWithdrawn,
    "kuayu.CertificateCollected": CertificateCollected,
    "kuayu.CertificateDelivered": CertificateDelivered,
    "kuayu.CertificateIssued": CertificateIssued,
    "kuayu.CertificateMailed": CertificateMailed,
    "kuayu.CertificateReady": CertificateReady,
    "kuayu.CertificateReturned": CertificateReturned,
    "kuayu.ClockResumed": ClockResumed,
    "kuayu.ClockSuspended": ClockSuspended,
    "kuayu.EventsReturned": EventsReturned,
    "kuayu.LaneOpened": LaneOpened,
    "kuayu.LimitExtended": LimitExtended,
    "kuayu.Receipt": Receipt,
    "kuayu.ResendRequested": ResendRequested,
    "kuayu.SubmissionAnswered": SubmissionAnswered,
    "kuayu.SupplementProvided": SupplementProvided,
    "kuayu.SupplementRequested": SupplementRequested,
    "kuayu.Tombstone": Tombstone,
}
"""The model of each event type, by the full name of its schema."""
