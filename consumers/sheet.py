"""What a clerk reads of a case: rows of labels and values, from the state of a stage."""

from typing import Any, Final, NamedTuple

from consumers.desk import Here
from jurisdictions import Directory, Invalid, Stage
from schemas.models import Applicant, Delivery, DeliveryKind, DocumentKind, Material, MaterialForm, Person

_DOCUMENTS: Final = {
    DocumentKind.IDENTITY_CARD: "居民身份证 identity card",
    DocumentKind.RESIDENCE_PERMIT: "居住证 residence permit",
    DocumentKind.PASSPORT: "护照 passport",
    DocumentKind.HK_MACAO_PERMIT: "港澳居民证件 HK/Macao permit",
    DocumentKind.TAIWAN_PERMIT: "台湾居民证件 Taiwan permit",
    DocumentKind.OTHER: "其他证件 other",
}
_DELIVERIES: Final = {
    DeliveryKind.ELECTRONIC: "电子证照 electronic",
    DeliveryKind.COUNTER: "窗口领取 at the counter",
    DeliveryKind.PICKUP_POINT: "驿站领取 at a pickup point",
    DeliveryKind.TERMINAL: "自助终端 at a terminal",
    DeliveryKind.POST: "邮寄 by post",
}
_FORMS: Final = {
    MaterialForm.ORIGINAL: "原件 original",
    MaterialForm.COPY: "复印件 copy",
    MaterialForm.ELECTRONIC: "电子件 electronic",
}


class Row(NamedTuple):
    """A labelled value; `when` says that it is an instant, `due` that it is a last day."""

    zh: str
    en: str
    value: Any
    is_due: bool = False


class Sheet(NamedTuple):
    """The sections of a case's page."""

    case_number: str
    item: tuple[str, str]
    applicant: list[Row]
    handling: list[Row]
    times: list[Row]
    materials: list[tuple[str, str, str]]
    """Name, form, and what is wrong or to follow."""
    form: list[tuple[str, str]]


def sheet(directory: Directory, here: Here) -> Sheet:
    """What there is to read; rows without a value are left out."""
    return _pickup(directory, here.state) if here.stage is Stage.PICKUP else _file(directory, here.state)


def _file(directory: Directory, state: Any) -> Sheet:
    file, times = state.file, state.times
    asked = {
        wanted.code: wanted.problem for wanted in (state.supplement.materials if state.supplement else ())
    }
    decision, stop = state.decision, state.suspension
    return Sheet(
        file.case_number,
        (file.item.name, _english(directory, file.item)),
        _applicant(file.applicant),
        _rows(
            Row("收件窗口", "Taken by", f"{file.accepting_office.name} {file.accepting_office.jurisdiction}"),
            Row("领取方式", "Result", _delivery(directory, file.delivery)),
            Row("来件编号", "Their number", file.reference),
            Row("受理文书", "Notice", state.notice_number),
            Row("补正要求", "Asked for", "; ".join(f"{code}: {why}" for code, why in asked.items())),
            Row("特别程序", "Suspended for", stop and f"{stop.reason}({stop.notice_number})"),
            Row("决定文书", "Decision", decision and decision.document_number),
            Row("不予许可理由", "Reason", decision and decision.reason),
        ),
        _rows(
            Row("收件", "Collected", times.collected),
            Row("收到", "Received", times.received),
            Row("应答复", "Answer due", None if times.accepted else state.duty_due, is_due=True),
            Row("受理", "Accepted", times.accepted),
            Row("承诺办结", "Promised", times.promised, is_due=True),
            Row("法定办结", "Statutory limit", times.statutory, is_due=True),
        ),
        [_material(material, asked) for material in file.materials],
        [(answer.name, answer.value) for answer in file.form],
    )


def _pickup(directory: Directory, state: Any) -> Sheet:
    issued = state.issued
    certificate = issued.certificate
    return Sheet(
        issued.case_number,
        (issued.item.name, _english(directory, issued.item)),
        _applicant(issued.holder),
        _rows(
            Row("证照", "Certificate", f"{certificate.name} {certificate.number}"),
            Row("发证单位", "Issued by", certificate.issuer.name),
            Row("有效期至", "Valid until", certificate.valid_until),
            Row("领取方式", "Delivery", _delivery(directory, issued.delivery)),
            Row("取证地点", "Place", state.place),
            Row("物流单号", "Tracking number", state.tracking_number),
            Row("取件码错误次数", "Wrong codes", state.wrong_codes or None),
        ),
        _rows(
            Row("发证", "Issued", certificate.issued_at),
            Row("寄出", "Mailed", state.mailed_at),
            Row("应送达", "Serve by", issued.serve_by, is_due=True),
        ),
        [],
        [],
    )


def _rows(*rows: Row) -> list[Row]:
    return [row for row in rows if row.value]


def _applicant(applicant: Applicant) -> list[Row]:
    rows: list[Row] = []
    if applicant.person is not None:
        rows += _person(applicant.person, "申请人", "Applicant")
    organisation = applicant.organisation
    if organisation is not None:
        rows += [
            Row("申请单位", "Organisation", organisation.name),
            Row("统一社会信用代码", "Credit code", organisation.code),
        ]
        if organisation.representative is not None:
            rows += _person(organisation.representative, "法定代表人", "Representative")
    if applicant.agent is not None:
        rows += _person(applicant.agent.person, "代理人", "Agent")
        rows.append(Row("委托书", "Authority", applicant.agent.authority))
    if applicant.contact is not None:
        contact = applicant.contact
        rows += [
            Row("联系人", "Contact", contact.name),
            Row("手机", "Mobile", contact.mobile),
            Row("地址", "Address", contact.address),
        ]
    return _rows(*rows)


def _person(person: Person, zh: str, en: str) -> list[Row]:
    document = f"{_DOCUMENTS[person.document_kind]} {person.document_number}"
    return [Row(zh, en, person.name), Row("证件", "Document", document)]


def _delivery(directory: Directory, delivery: Delivery) -> str:
    try:
        place = directory.jurisdiction(delivery.jurisdiction).name_zh
    except Invalid:
        place = delivery.jurisdiction
    return " · ".join(part for part in (_DELIVERIES[delivery.kind], place, delivery.address) if part)


def _material(material: Material, asked: dict[str, str]) -> tuple[str, str, str]:
    note = asked.get(material.code, "")
    if material.may_follow:
        note = note or "容缺后补 may follow"
    return material.name, _FORMS[material.form], note


def _english(directory: Directory, item: Any) -> str:
    try:
        return directory.item(item.code, item.version).name_en
    except Invalid:
        return ""
