"""The acts as forms on a case's page: which fields a clerk fills in, and what comes of them."""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from consumers.acts import ACTIONS, Action
from jurisdictions import Material


class Field(NamedTuple):
    """One field. `name` is the path in the act's body; `kind` an HTML input type, textarea or select."""

    name: str
    zh: str
    en: str
    kind: str = "text"
    required: bool = True
    options: tuple[tuple[str, str, str], ...] = ()
    hint: str = ""
    value: str = ""


class Form(NamedTuple):
    """An act on the page. `fixed` are values that the form says by itself."""

    name: str
    zh: str
    en: str
    action: Action
    fields: tuple[Field, ...] = ()
    fixed: tuple[tuple[str, str], ...] = ()
    primary: bool = False
    grave: bool = False
    materials: bool = False


_REASON: Final = Field("reason", "理由", "Reason", "textarea")
_NOTICE: Final = Field("notice_number", "文书编号", "Number of the notice")
_GROUNDS: Final = (
    Field("grounds.0.source", "依据", "Legal ground", hint="法律法规名称 law or regulation"),
    Field("grounds.0.article", "条款", "Article", required=False),
)
_REMEDY: Final = (
    Field("remedy.body", "救济机关", "Body of review", hint="复议机关或法院 reconsideration or court"),
    Field("remedy.period_days", "救济期限(日)", "Within days", "number", value="60"),
)
_SUSPENSIONS: Final = (
    ("hearing", "听证", "hearing"),
    ("tender", "招标", "tender"),
    ("auction", "拍卖", "auction"),
    ("inspection", "检验", "inspection"),
    ("testing", "检测", "testing"),
    ("quarantine", "检疫", "quarantine"),
    ("appraisal", "鉴定", "appraisal"),
    ("expert_review", "专家评审", "expert review"),
    ("other", "其他", "other"),
)
_TRANSFERS: Final = (
    ("wrong_office", "非本单位承办", "wrong office"),
    ("other_level", "属其他层级", "another level"),
    ("reorganised", "机构调整", "reorganised"),
)
_NOT_ACCEPTED: Final = (
    ("not_needed", "依法不需要办理", "not needed"),
    ("not_competent", "不属于本机关职权", "not competent"),
    ("not_supplemented", "逾期未补正", "not supplemented"),
    ("other", "其他", "other"),
)
_RETURNS: Final = (
    ("undeliverable", "无法投递", "undeliverable"),
    ("refused_by_recipient", "拒收", "refused by the recipient"),
    ("unclaimed", "逾期未取", "unclaimed"),
    ("damaged", "损坏", "damaged"),
)


def _form(name: str, *fields: Field, **more: Any) -> Form:
    action = ACTIONS[name]
    return Form(name, action.zh, action.en, action, fields, **more)


FORMS: Final = (
    _form("claim", primary=True),
    _form("attend", Field("note", "处理情况", "What was done", "textarea"), primary=True),
    _form("accept", Field("notice_number", "受理文书编号", "Notice number", required=False), primary=True),
    _form(
        "supplements",
        _REASON._replace(zh="说明", en="Explanation", required=False),
        Field("due", "补正截止", "To be handed in by", "datetime-local", required=False),
        materials=True,
    ),
    _form(
        "not-accept",
        Field("kind", "情形", "Why", "select", options=_NOT_ACCEPTED),
        _REASON,
        Field(
            "right_body.name",
            "应向何机关申请",
            "The right body",
            required=False,
            hint="不属职权时必填 if not competent",
        ),
        Field(
            "right_body.jurisdiction",
            "该机关区划代码",
            "Its jurisdiction",
            required=False,
            hint="6 位 digits",
        ),
        grave=True,
    ),
    Form(
        "approve",
        "准予",
        "Approve",
        ACTIONS["decide"],
        (
            Field("document_number", "决定文书编号", "Decision number", required=False),
            Field("certificate_number", "证照编号", "Certificate number", required=False),
            Field("valid_until", "有效期至", "Valid until", "date", required=False),
        ),
        fixed=(("outcome", "approved"),),
        primary=True,
    ),
    Form(
        "refuse",
        "不予许可",
        "Refuse",
        ACTIONS["decide"],
        (
            _REASON,
            *_GROUNDS,
            *_REMEDY,
            Field("document_number", "决定文书编号", "Decision number", required=False),
        ),
        fixed=(("outcome", "refused"),),
        grave=True,
    ),
    _form(
        "suspend",
        Field("kind", "种类", "Kind", "select", options=_SUSPENSIONS),
        _NOTICE,
        _REASON,
        Field("expected_end", "预计结束", "Expected end", "datetime-local"),
    ),
    _form("resume", Field("result", "结果", "Result", "textarea"), primary=True),
    _form(
        "extend",
        Field("days", "延长天数", "Days", "number", value="10", hint="1–15"),
        Field("approved_by", "批准人", "Approved by", hint="机关负责人 head of the organ"),
        _NOTICE,
        _REASON,
    ),
    _form(
        "transfer",
        Field("to", "转往区划代码", "To jurisdiction", hint="6 位 digits"),
        Field("kind", "原因", "Why", "select", options=_TRANSFERS),
        _REASON,
    ),
    _form(
        "hand-over",
        Field("code", "取件码", "Collection code", hint="8 位 characters"),
        Field("document_number", "证件号码", "Document number", hint="核对原件 check the original"),
        Field("authority", "委托书编号", "Authority", required=False, hint="他人代领时 for anybody else"),
        primary=True,
    ),
    _form(
        "ready", Field("place", "取证地点", "Place", hint="申请人将看到 the applicant reads it"), primary=True
    ),
    _form(
        "mail", Field("carrier", "承运人", "Carrier"), Field("tracking_number", "物流单号", "Tracking number")
    ),
    _form(
        "delivered",
        Field("proof", "签收凭证号", "Proof of receipt"),
        Field("delivered_at", "签收时间", "Received at", "datetime-local", required=False),
        primary=True,
    ),
    _form(
        "returned",
        Field("reason", "原因", "Why", "select", options=_RETURNS),
        Field("note", "说明", "Note", "textarea", required=False),
    ),
    _form(
        "release",
        Field("reason", "理由", "Reason", required=False, hint="取走他人任务时必填 if it is another's"),
    ),
)
"""In the order of the page."""

BY_NAME: Final = {form.name: form for form in FORMS}

_LOCAL: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")


def body_of(form: Form, filled: Mapping[str, str], materials: tuple[Material, ...]) -> Any:
    """The act that a filled form asks for.

    Raises:
        pydantic.ValidationError: it is not filled in right.
    """
    values: dict[str, Any] = {}
    for path, text in (
        *form.fixed,
        *((field.name, filled.get(field.name, "").strip()) for field in form.fields),
    ):
        if text:
            number = text.isdecimal() and any(f.name == path and f.kind == "number" for f in form.fields)
            _put(values, path.split("."), int(text) if number else _with_offset(text))
    if form.materials:
        problems = {material: filled.get(f"problem.{material.code}", "").strip() for material in materials}
        values["materials"] = [
            {"code": material.code, "name": material.name_zh, "problem": problem}
            for material, problem in problems.items()
            if problem
        ]
    return form.action.validate(values)


def _put(into: dict[str, Any], path: list[str], value: Any) -> None:
    """`grounds.0.source` puts into a list of one."""
    name, *rest = path
    if not rest:
        into[name] = value
    elif rest[0] == "0":
        _put(into.setdefault(name, [{}])[0], rest[1:], value)
    else:
        _put(into.setdefault(name, {}), rest, value)


def _with_offset(text: str) -> str:
    """Browsers send local times without an offset; clerks live in China's."""
    return f"{text}+08:00" if _LOCAL.fullmatch(text) else text
