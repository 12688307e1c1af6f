"""The journey of a case: its facts as steps that people read, in Chinese and English.

The steps of the acceptance stage tell the whole journey, as it hears of everything. They hold no personal data.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, time, timedelta
from typing import Any, Final

from msgspec import Struct

from cases import facts
from jurisdictions import CHINA_TIME, legal_day
from schemas.models import AcceptedBy, CollectorKind, DecisionOutcome, DeliveryKind

_ACCEPTED_BY: Final = {
    AcceptedBy.COUNTER: ("窗口受理", "accepted at the counter"),
    AcceptedBy.OWNER: ("属地受理", "accepted by the owner"),
    AcceptedBy.LAPSE: ("逾期未告知,视为受理", "deemed accepted by lapse of time"),
    AcceptedBy.RULE: ("自动受理", "accepted by rule"),
}
_DELIVERED: Final = {
    DeliveryKind.ELECTRONIC: ("电子证照已送达", "delivered electronically"),
    DeliveryKind.POST: ("邮件已签收", "delivered by post"),
}

Text = tuple[str, str]


class Step(Struct, frozen=True):
    """One step: when it happened, when it was recorded, who or which stream did it, and the sentence for it."""

    at: datetime
    recorded_at: datetime
    by: str
    kind: str
    zh: str
    en: str


def journey(history: Iterable[facts.Fact]) -> tuple[Step, ...]:
    """The steps in the order of the facts. What concerns only the office (claims, notes) is left out."""
    steps = []
    for fact in history:
        tell = _TEXTS.get(type(fact))
        if tell is not None:
            zh, en = tell(fact)
            steps.append(Step(fact.at, fact.recorded_at, fact.by, type(fact).__name__, zh, en))
    return tuple(steps)


def _day(at: datetime | None) -> str:
    return "—" if at is None else _written(at)


def _written(at: datetime) -> str:
    """A due instant as people write it: the day at whose end it lies, or day and time."""
    local = at.astimezone(CHINA_TIME)
    if local.time() == time():
        return (local.date() - timedelta(days=1)).isoformat()
    return local.strftime("%Y-%m-%d %H:%M")


def _submitted(fact: facts.Submitted) -> Text:
    office = fact.file.accepting_office.name
    number = fact.file.case_number
    if fact.accepted_by is not None:
        zh, en = _ACCEPTED_BY[fact.accepted_by]
        due = _day(fact.times.promised)
        return (
            f"{office}{zh},办件编号{number},承诺办结{due}",
            f"{en} at {office}, case {number}, promised by {due}",
        )
    due = _day(fact.duty_due)
    return (
        f"{office}收件,办件编号{number},属地应于{due}前答复",
        f"collected at {office}, case {number}; the owner answers by {due}",
    )


def _received(fact: facts.Received) -> Text:
    if fact.former is not None:
        return f"由{fact.former}转来", f"transferred here from {fact.former}"
    return "收到办件", "received by the owner"


def _accepted(fact: facts.Accepted) -> Text:
    event = fact.acceptance
    zh, en = _ACCEPTED_BY[event.accepted_by]
    due = _day(event.times.promised or event.times.statutory)
    return f"{event.office.name}{zh},应于{due}前办结", f"{en} ({event.office.name}), due by {due}"


def _deemed(fact: facts.DeemedAccepted) -> Text:
    zh, en = _ACCEPTED_BY[AcceptedBy.LAPSE]
    since = "—" if fact.acceptance.times.accepted is None else legal_day(fact.acceptance.times.accepted)
    return f"{zh},自{since}起算", f"{en}, as of {since}"


def _not_accepted(fact: facts.NotAccepted) -> Text:
    body = fact.notice.right_body
    if body is None:
        return "不予受理", "not accepted"
    return f"不予受理,应向{body.name}申请", f"not accepted; the right body is {body.name}"


def _asked(fact: facts.SupplementAsked) -> Text:
    names = "、".join(material.name for material in fact.request.materials)
    return f"一次性告知补正:{names}", f"supplements asked for: {names}"


def _suspended(fact: facts.Suspended) -> Text:
    end = _day(fact.suspension.expected_end)
    return f"启动特别程序,预计{end}结束", f"clock suspended for {fact.suspension.kind}, expected until {end}"


def _resumed(fact: facts.Resumed) -> Text:
    due = _day(fact.resumption.times.promised or fact.resumption.times.statutory)
    return f"特别程序结束,应于{due}前办结", f"clock resumed, due by {due}"


def _extended(fact: facts.Extended) -> Text:
    due = _day(fact.extension.times.promised or fact.extension.times.statutory)
    return (
        f"经批准延期{fact.extension.days}日,应于{due}前办结",
        f"limit extended by {fact.extension.days} days to {due}",
    )


def _decided(fact: facts.Decided) -> Text:
    if fact.decision.outcome is DecisionOutcome.APPROVED:
        return "审核通过,准予办理", "approved"
    return "不予许可,决定书载明理由、依据和救济途径", "refused, with reason, grounds and remedy"


def _handed_over(fact: facts.HandedOver) -> Text:
    if fact.collection.collector is CollectorKind.AGENT:
        return "代理人已领取", "collected by an agent"
    return "申请人已领取", "collected by the applicant"


_TEXTS: Final[Mapping[type[facts.Fact], Callable[[Any], Text]]] = {
    facts.Submitted: _submitted,
    facts.Received: _received,
    facts.Accepted: _accepted,
    facts.DeemedAccepted: _deemed,
    facts.NotAccepted: _not_accepted,
    facts.SupplementAsked: _asked,
    facts.SupplementGiven: lambda _fact: ("已补充材料", "supplements handed in"),
    facts.Suspended: _suspended,
    facts.Resumed: _resumed,
    facts.Extended: _extended,
    facts.Transferred: lambda fact: (
        f"转办至{fact.transfer.to_jurisdiction}",
        f"transferred to {fact.transfer.to_jurisdiction}",
    ),
    facts.Decided: _decided,
    facts.Issued: lambda fact: (
        f"制发{fact.certificate.certificate.name}",
        f"result issued: {fact.certificate.certificate.name}",
    ),
    facts.Ready: lambda fact: (
        f"可取证:{fact.readiness.place}",
        f"ready for collection: {fact.readiness.place}",
    ),
    facts.Mailed: lambda fact: (f"已交{fact.dispatch.carrier}寄出", f"mailed by {fact.dispatch.carrier}"),
    facts.Delivered: lambda fact: _DELIVERED.get(fact.delivery.kind, ("已送达", "delivered")),
    facts.Returned: lambda _fact: ("证照退回", "the result came back"),
    facts.HandedOver: _handed_over,
    facts.Withdrawn: lambda _fact: ("申请人撤回申请", "withdrawn by the applicant"),
    facts.AttentionRaised: lambda fact: (
        f"{fact.to}拒收,正在处理",
        f"the hand-over was refused by {fact.to} and is being seen to",
    ),
    facts.AttentionCleared: lambda _fact: ("已处理", "seen to"),
}
