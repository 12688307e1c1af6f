"""What clerks and back offices send to act on a task: bodies of requests, and the commands they become.

Lengths are bounds for a reader's patience; what is right in law the stages decide.
"""

from abc import abstractmethod
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
)

from cases import commands, new_collection_code
from cases.commands import Command
from jurisdictions import Stage
from schemas import whole_millis
from schemas.models import NotAcceptedKind, ReturnReason, SuspensionKind, TransferReason

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2100
_PRINTABLE: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000, pattern=_PRINTABLE)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=_PRINTABLE)]
Number = Annotated[str, StringConstraints(max_length=100, pattern=_PRINTABLE)]
"""Of a document; empty takes the case number's."""
AreaCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


def _written(value: Any) -> Any:
    if isinstance(value, str | datetime):
        return value
    raise ValueError("an RFC 3339 instant, as text")


def _instant(value: datetime) -> datetime:
    if not FIRST_YEAR <= value.year <= LAST_YEAR:
        raise ValueError(f"an instant of the years {FIRST_YEAR} to {LAST_YEAR}")
    return whole_millis(value.astimezone(UTC))


Instant = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_instant)]
"""RFC 3339 with an offset; kept as UTC, whole milliseconds."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OfficeIn(_Body):
    """办理机构."""

    jurisdiction: Annotated[str, StringConstraints(pattern=r"^[0-9]{6}([0-9]{3}){0,2}$")]
    name: Word
    code: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{18}$")] | None = None


class GroundIn(_Body):
    """依据: a rule on which an act rests."""

    source: Word
    article: Word | None = None
    text: Text | None = None


class RemedyIn(_Body):
    """救济途径: where, and within how many calendar days from notice, the act can be reviewed."""

    body: Word
    period_days: Annotated[int, Field(ge=1, le=3650, strict=True)]
    text: Text | None = None


class MaterialRequestIn(_Body):
    """A material to be supplemented, and what is missing or wrong, as the applicant reads it."""

    code: Word
    name: Word
    problem: Text


class ActIn(_Body):
    """What all acts have in common."""

    acted_at: Instant | None = Field(
        default=None,
        description="When the person acted, if it was not now. Legal limits compare this instant.",
    )

    @abstractmethod
    def command(self) -> Command:
        """The act as the stage understands it."""

    def _as(self, kind: type[Command], **more: Any) -> Command:
        values = self.model_dump(exclude={"acted_at", "outcome"}) | more
        return msgspec.convert(values | {"type": kind.__name__}, kind)


class ClaimIn(ActIn):
    """领取任务."""

    def command(self) -> Command:
        return self._as(commands.Claim)


class ReleaseIn(ActIn):
    """退回任务. Whoever takes it from another says why."""

    reason: Annotated[str, StringConstraints(max_length=2000, pattern=_PRINTABLE)] = ""

    def command(self) -> Command:
        return self._as(commands.Release)


class AttendIn(ActIn):
    """What was done about a hand-over that its receiver refused."""

    note: Text

    def command(self) -> Command:
        return self._as(commands.Attend)


class AcceptIn(ActIn):
    """受理."""

    notice_number: Number = ""

    def command(self) -> Command:
        return self._as(commands.Accept)


class NotAcceptIn(ActIn):
    """不予受理. The right body is named where the office is not competent."""

    kind: NotAcceptedKind
    reason: Text
    grounds: Annotated[tuple[GroundIn, ...], Field(max_length=50)] = ()
    right_body: OfficeIn | None = None
    remedy: RemedyIn | None = None

    def command(self) -> Command:
        return self._as(commands.NotAccept)


class SupplementsIn(ActIn):
    """补正: all that is missing, asked for once."""

    materials: Annotated[tuple[MaterialRequestIn, ...], Field(min_length=1, max_length=100)]
    reason: Annotated[str, StringConstraints(max_length=2000, pattern=_PRINTABLE)] = ""
    due: Instant | None = Field(default=None, description="Until when the applicant should hand it in.")

    def command(self) -> Command:
        return self._as(commands.RequestSupplement)


class ApproveIn(ActIn):
    """准予."""

    outcome: Literal["approved"]
    document_number: Number = ""
    certificate_number: Number = ""
    valid_until: date | None = None
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = Field(
        default=None, description="SHA-256 of the electronic certificate."
    )
    reason: Text | None = None
    grounds: Annotated[tuple[GroundIn, ...], Field(max_length=50)] = ()

    def command(self) -> Command:
        return self._as(commands.Approve)


class RefuseIn(ActIn):
    """不予许可, with reason, grounds and remedy."""

    outcome: Literal["refused"]
    reason: Text
    grounds: Annotated[tuple[GroundIn, ...], Field(min_length=1, max_length=50)]
    remedy: RemedyIn
    document_number: Number = ""

    def command(self) -> Command:
        return self._as(commands.Refuse)


DecideIn = Annotated[ApproveIn | RefuseIn, Field(discriminator="outcome")]


class TransferIn(ActIn):
    """转办 to the review stage that serves the jurisdiction `to`."""

    to: AreaCode
    kind: TransferReason
    reason: Text

    def command(self) -> Command:
        return self._as(commands.Transfer)


class SuspendIn(ActIn):
    """特别程序, with written notice of the time needed."""

    kind: SuspensionKind
    notice_number: Word
    reason: Text
    expected_end: Instant

    def command(self) -> Command:
        return self._as(commands.Suspend)


class ResumeIn(ActIn):
    """特别程序结束."""

    result: Text

    def command(self) -> Command:
        return self._as(commands.Resume)


class ExtendIn(ActIn):
    """延期, approved by the head of the organ."""

    days: Annotated[int, Field(ge=1, le=15, strict=True, description="In the limit's own unit.")]
    approved_by: Word
    notice_number: Word
    reason: Text

    def command(self) -> Command:
        return self._as(commands.Extend)


class ReadyIn(ActIn):
    """可取证: the result lies ready. A new collection code goes to the applicant, by way of the accepting office."""

    place: Word

    def command(self) -> Command:
        code = new_collection_code()
        return commands.MakeReady(place=self.place, code=code.code, salt=code.salt, code_hash=code.code_hash)


class MailIn(ActIn):
    """寄出."""

    carrier: Word
    tracking_number: Word

    def command(self) -> Command:
        return self._as(commands.Mail)


class DeliveredIn(ActIn):
    """签收, as the proof says."""

    proof: Word
    delivered_at: Instant | None = None

    def command(self) -> Command:
        return self._as(commands.ConfirmDelivery)


class ReturnedIn(ActIn):
    """退回."""

    reason: ReturnReason
    note: Text | None = None

    def command(self) -> Command:
        return self._as(commands.ReturnResult)


class HandOverIn(ActIn):
    """领取, against the collection code and the document that was shown."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=20, pattern=_PRINTABLE)]
    document_number: Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=_PRINTABLE)]
    authority: Word | None = Field(
        default=None, description="Number of the authority 委托书 of anybody else."
    )

    def command(self) -> Command:
        return self._as(commands.HandOver)


class Action(NamedTuple):
    """An act as it is offered: name in URLs, names for people, at which stages, and its body.

    `versioned`: who acts says which version of the case he saw.
    """

    name: str
    zh: str
    en: str
    stages: tuple[Stage, ...]
    body: type[ActIn] | Any
    commands: tuple[type[Command], ...]
    versioned: bool = True

    def validate(self, values: Any) -> ActIn:
        """The act with these values.

        Raises:
            pydantic.ValidationError: they are not right.
        """
        act: ActIn = TypeAdapter(self.body).validate_python(values)
        return act


_DESKS: Final = (Stage.REVIEW, Stage.PICKUP)
_REVIEW: Final = (Stage.REVIEW,)
_PICKUP: Final = (Stage.PICKUP,)

ACTIONS: Final = {
    action.name: action
    for action in (
        Action("claim", "领取任务", "Claim", _DESKS, ClaimIn, (commands.Claim,), versioned=False),
        Action("release", "退回任务", "Release", _DESKS, ReleaseIn, (commands.Release,), versioned=False),
        Action("attend", "已处理", "Seen to", tuple(Stage), AttendIn, (commands.Attend,)),
        Action("accept", "受理", "Accept", _REVIEW, AcceptIn, (commands.Accept,)),
        Action(
            "supplements",
            "一次性告知补正",
            "Ask for supplements",
            _REVIEW,
            SupplementsIn,
            (commands.RequestSupplement,),
        ),
        Action("not-accept", "不予受理", "Do not accept", _REVIEW, NotAcceptIn, (commands.NotAccept,)),
        Action("decide", "审核决定", "Decide", _REVIEW, DecideIn, (commands.Approve, commands.Refuse)),
        Action("suspend", "启动特别程序", "Suspend the clock", _REVIEW, SuspendIn, (commands.Suspend,)),
        Action("resume", "特别程序结束", "Resume", _REVIEW, ResumeIn, (commands.Resume,)),
        Action("extend", "延期", "Extend the limit", _REVIEW, ExtendIn, (commands.Extend,)),
        Action("transfer", "转办", "Transfer", _REVIEW, TransferIn, (commands.Transfer,)),
        Action("ready", "可取证", "Make ready", _PICKUP, ReadyIn, (commands.MakeReady,)),
        Action("hand-over", "发证", "Hand over", _PICKUP, HandOverIn, (commands.HandOver,)),
        Action("mail", "寄出", "Mail", _PICKUP, MailIn, (commands.Mail,)),
        Action("delivered", "确认签收", "Delivered", _PICKUP, DeliveredIn, (commands.ConfirmDelivery,)),
        Action("returned", "退回", "Returned", _PICKUP, ReturnedIn, (commands.ReturnResult,)),
    )
}
"""By name, in the order in which a clerk meets them."""
