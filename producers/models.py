"""What local systems send and get over HTTP: the meaning of `CaseSubmitted`, checked where a form can check it.

Whether an application is complete, and who may take it, is judged by the case itself (`cases.submission`); here stands
only what makes a request a request. No error repeats a value.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Self, TypeVar

import msgspec
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    ValidationInfo,
    field_validator,
    model_validator,
)

from cases import commands
from jurisdictions import Invalid, citizen_number, credit_code
from schemas import models, whole_millis
from schemas.models import Channel, DeliveryKind, DocumentKind, MaterialForm
from web import rule

MAX_BATCH = 1_000
KEY_PATTERN = "^[!-~]{1,200}$"
"""Idempotency keys: visible ASCII. They stand in logs and replies, so no personal data belongs in them."""


def _instant(value: Any) -> Any:
    """JSON has no instants, so they come as text (RFC 3339); numbers that happen to parse are mistakes."""
    if isinstance(value, str) and not value.lstrip("+-").replace(".", "").isdigit():
        return value
    raise rule("不是时间 / is no instant", "RFC 3339 with a time zone: 2026-03-02T09:30:00+08:00")


Line = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S")]
Text = Annotated[str, Field(max_length=10_000)]
Place = Annotated[
    str, Field(pattern="^[0-9]{6}([0-9]{3}){0,2}$", description="行政区划, GB/T 2260", examples=["430100"])
]
Instant = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(whole_millis)]
Key = Annotated[str, Field(pattern=KEY_PATTERN, description="幂等键 idempotency key, the caller's own")]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _checked(validate: Callable[[str], str], value: str) -> str:
    try:
        return validate(value)
    except Invalid as wrong:
        raise rule(f"校验不符 / {wrong.value_problem}", wrong.expected) from None


class Person(Model):
    """自然人."""

    name: Line
    document_kind: DocumentKind
    document_number: Annotated[Line, Field(description="证件号码; an identity card's is checked by GB 11643")]

    @field_validator("document_number")
    @classmethod
    def _number(cls, value: str, known: ValidationInfo) -> str:
        if known.data.get("document_kind") is DocumentKind.IDENTITY_CARD:
            return _checked(citizen_number, value)
        return value


class Organisation(Model):
    """法人或非法人组织."""

    name: Line
    code: Annotated[
        Line,
        AfterValidator(partial(_checked, credit_code)),
        Field(description="统一社会信用代码, by GB 32100"),
    ]
    representative: Person | None = None


class Contact(Model):
    """联系方式."""

    name: Line | None = None
    mobile: Line | None = None
    address: Line | None = None


class Agent(Model):
    """代理人."""

    person: Person
    authority: Annotated[Line, Field(description="委托书编号")]


class Applicant(Model):
    """申请人: exactly one of person and organisation."""

    person: Person | None = None
    organisation: Organisation | None = None
    contact: Contact | None = None
    agent: Agent | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.person is None) is (self.organisation is None):
            raise rule("须且仅须一种申请人 / has not exactly one kind", "either person or organisation")
        return self


class FormField(Model):
    """One answer of the form."""

    name: Line
    value: Text


class Material(Model):
    """材料. The file stays in a blob store: only its digest, size and type travel."""

    code: Line
    name: Line
    form: MaterialForm
    may_follow: Annotated[StrictBool, Field(description="容缺: comes later")] = False
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    size: Annotated[StrictInt, Field(ge=0, lt=2**63)] | None = None
    media_type: Line | None = None


class Delivery(Model):
    """取证方式: the applicant's wish for the result."""

    kind: DeliveryKind
    jurisdiction: Place
    address: Line | None = None


class Office(Model):
    """受理窗口."""

    jurisdiction: Place
    name: Line
    code: Line | None = None


EXAMPLE: dict[str, Any] = {
    "item_code": "1143010000042227033002009002001",
    "belonging": "430100",
    "channel": "counter",
    "applicant": {
        "person": {
            "name": "张小明",
            "document_kind": "identity_card",
            "document_number": "430202199001010011",
        }
    },
    "materials": [
        {"code": "id_card", "name": "居民身份证", "form": "copy"},
        {"code": "purpose_statement", "name": "用途说明", "form": "original"},
    ],
    "delivery": {"kind": "counter", "jurisdiction": "430300"},
    "reference": "ZZ-2026-000017",
}
"""无犯罪记录证明 of Changsha, asked for in Zhuzhou, to be fetched in Xiangtan."""


class Submission(Model):
    """An application, as a window or a local system took it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    item_code: Annotated[str, Field(pattern="^[0-9A-Z]{31}$", description="实施编码")]
    belonging: Annotated[Place, Field(description="属地: where the matter belongs")]
    office: Annotated[Office | None, Field(description="the window; the caller's own place if missing")] = (
        None
    )
    channel: Channel
    applicant: Applicant
    form: Annotated[list[FormField], Field(max_length=500)] = Field(default_factory=list)
    materials: Annotated[list[Material], Field(max_length=200)] = Field(default_factory=list)
    delivery: Delivery
    reference: Annotated[Line | None, Field(description="the case's number in the sending system")] = None
    collected_at: Annotated[
        Instant | None, Field(description="when the window took it; the time of sending if missing")
    ] = None

    def event(self) -> models.CaseSubmitted:
        """The same as the contract has it."""
        return _as(models.CaseSubmitted, self)


class BatchItem(Submission):
    """An application in a batch, with a key of its own."""

    key: Key | None = None


class Supplement(Model):
    """补正材料: what was asked for, or what was allowed to follow."""

    materials: Annotated[list[Material], Field(max_length=200)] = Field(default_factory=list)
    form: Annotated[list[FormField], Field(max_length=500)] = Field(default_factory=list)

    def command(self) -> commands.ProvideSupplement:
        """The act that it asks for."""
        return _as(commands.ProvideSupplement, self)


class Withdrawal(Model):
    """撤回申请."""

    reason: Annotated[Text | None, Field(description="in the applicant's words")] = None

    def command(self) -> commands.Withdraw:
        """The act that it asks for."""
        return _as(commands.Withdraw, self)


S = TypeVar("S", bound=msgspec.Struct)


def _as(kind: type[S], model: BaseModel) -> S:
    return msgspec.convert(model, kind, from_attributes=True, builtin_types=(datetime,))
