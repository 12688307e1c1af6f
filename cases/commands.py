"""What people and systems may ask of a case, stage by stage. Who asks, and when, is in the message around it."""

from datetime import date

from msgspec import Struct

from schemas import Instant
from schemas.models import (
    CaseSubmitted,
    FormField,
    Ground,
    Material,
    MaterialRequest,
    NotAcceptedKind,
    Office,
    Remedy,
    ReturnReason,
    SuspensionKind,
    TransferReason,
)


class Command(Struct, frozen=True, gc=False, kw_only=True, tag=True, forbid_unknown_fields=True):
    """An act upon one case."""


# Acceptance.


class SubmitCase(Command, frozen=True, kw_only=True):
    """收件/受理: hands in an application. `serial` is the day's number of the case, from the agreement's block."""

    submission: CaseSubmitted
    serial: int


class ProvideSupplement(Command, frozen=True, kw_only=True):
    """补正材料: hands in what was asked for, or what was allowed to follow."""

    materials: tuple[Material, ...] = ()
    form: tuple[FormField, ...] = ()


class Withdraw(Command, frozen=True, kw_only=True):
    """撤回: the applicant takes the application back."""

    reason: str | None = None


# Every stage.


class Claim(Command, frozen=True, kw_only=True):
    """领取任务: takes the task, so that nobody else acts on it."""


class Release(Command, frozen=True, kw_only=True):
    """退回任务: gives the task back. Who does not hold it gives a reason for taking it from the holder."""

    reason: str = ""


class Attend(Command, frozen=True, kw_only=True):
    """Takes note of an attention mark and clears it; `note` says what was done about it."""

    note: str


# Review.


class Accept(Command, frozen=True, kw_only=True):
    """受理 of a collected case. Without a number of its own the notice has the case number's."""

    notice_number: str = ""


class NotAccept(Command, frozen=True, kw_only=True):
    """不予受理. The right body is named where the office is not competent."""

    kind: NotAcceptedKind
    reason: str
    grounds: tuple[Ground, ...] = ()
    right_body: Office | None = None
    remedy: Remedy | None = None


class RequestSupplement(Command, frozen=True, kw_only=True):
    """补正: asks for all that is missing, once. `due` tells the applicant until when."""

    materials: tuple[MaterialRequest, ...]
    reason: str = ""
    due: Instant | None = None


class Approve(Command, frozen=True, kw_only=True):
    """准予. Without numbers of their own, decision and certificate have the case number's."""

    document_number: str = ""
    certificate_number: str = ""
    valid_until: date | None = None
    digest: str | None = None
    reason: str | None = None
    grounds: tuple[Ground, ...] = ()


class Refuse(Command, frozen=True, kw_only=True):
    """不予许可, with reason, grounds and remedy."""

    reason: str
    grounds: tuple[Ground, ...]
    remedy: Remedy
    document_number: str = ""


class Transfer(Command, frozen=True, kw_only=True):
    """转办 to the review stage of the jurisdiction `to`."""

    to: str
    kind: TransferReason
    reason: str


class Suspend(Command, frozen=True, kw_only=True):
    """特别程序: stops the clock, with a written notice of the time needed."""

    kind: SuspensionKind
    notice_number: str
    reason: str
    expected_end: Instant


class Resume(Command, frozen=True, kw_only=True):
    """特别程序结束: the clock runs again."""

    result: str


class Extend(Command, frozen=True, kw_only=True):
    """延期 by `days` (1 to 15) of the limit's own unit, approved by the head of the organ. Once for a case."""

    days: int
    approved_by: str
    notice_number: str
    reason: str


# Pickup.


class MakeReady(Command, frozen=True, kw_only=True):
    """可取证: the result lies ready at `place`; again, with a new code, where the old one is lost or blocked.

    `code` goes to the applicant and is not kept here; `salt` and `code_hash` are (see `new_collection_code`).
    """

    place: str
    code: str
    salt: bytes
    code_hash: bytes


class Mail(Command, frozen=True, kw_only=True):
    """寄出."""

    carrier: str
    tracking_number: str


class ConfirmDelivery(Command, frozen=True, kw_only=True):
    """签收: the parcel has been received, as its proof says; now if `delivered_at` is missing."""

    proof: str
    delivered_at: Instant | None = None


class ReturnResult(Command, frozen=True, kw_only=True):
    """退回: the result came back, or nobody fetched it."""

    reason: ReturnReason
    note: str | None = None


class HandOver(Command, frozen=True, kw_only=True):
    """领取: hands the result over against the code and the document that was shown.

    The document is the holder's or the named agent's; for anybody else the number of an `authority` is needed.
    """

    code: str
    document_number: str
    authority: str | None = None


AcceptanceCommand = SubmitCase | ProvideSupplement | Withdraw | Attend
ReviewCommand = (
    Claim
    | Release
    | Attend
    | Accept
    | NotAccept
    | RequestSupplement
    | Approve
    | Refuse
    | Transfer
    | Suspend
    | Resume
    | Extend
)
PickupCommand = Claim | Release | Attend | MakeReady | Mail | ConfirmDelivery | ReturnResult | HandOver
