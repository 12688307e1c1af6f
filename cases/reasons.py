"""Refusals in Chinese and English. The texts are fixed: nothing a message said is ever repeated in them."""

from enum import StrEnum
from typing import Final

from cases.decision import Decision, Outcome


class Refusal(StrEnum):
    """Why a message is refused; stable names for machines."""

    NOT_APPLICABLE = "not_applicable"
    UNKNOWN_TYPE = "unknown_type"
    MALFORMED = "malformed"
    UNKNOWN_CASE = "unknown_case"
    NOT_A_PARTY = "not_a_party"
    STALE_TERM = "stale_term"
    WRONG_INBOX = "wrong_inbox"
    UNKNOWN_ITEM = "unknown_item"
    NO_ROUTE = "no_route"
    INVALID = "invalid"
    MISSING = "missing"
    UNKNOWN_MATERIAL = "unknown_material"
    MATERIAL_MISSING = "material_missing"
    CLAIMED = "claimed"
    NOT_CLAIMED = "not_claimed"
    DUTY_LAPSED = "duty_lapsed"
    TIMER_MOOT = "timer_moot"
    ALREADY_REQUESTED = "already_requested"
    NOT_YET_DUE = "not_yet_due"
    WRONG_ORDER = "wrong_order"
    ALREADY_EXTENDED = "already_extended"
    NO_REVIEW_THERE = "no_review_there"
    ALREADY_HELD = "already_held"
    NOT_BY_POST = "not_by_post"
    BY_POST = "by_post"
    CODE_MISMATCH = "code_mismatch"
    CODE_BLOCKED = "code_blocked"
    WRONG_DOCUMENT = "wrong_document"
    NOTHING_TO_ATTEND = "nothing_to_attend"


_TEXTS: Final[dict[Refusal, str]] = {
    Refusal.UNKNOWN_TYPE: "未知的消息类型 / this kind of message is not known at this stage",
    Refusal.MALFORMED: "消息内容与其类型不符 / the content of the message is not what its type says",
    Refusal.UNKNOWN_CASE: "本环节没有此办件 / there is no such case at this stage",
    Refusal.NOT_A_PARTY: "发送方不是本办件的当事环节 / the sender has no part in this case",
    Refusal.STALE_TERM: "发送方已不再承办此办件 / the sender no longer holds the case",
    Refusal.WRONG_INBOX: "办件不属于本辖区受理 / the application belongs to another acceptance office",
    Refusal.UNKNOWN_ITEM: "事项或其版本不在目录中 / the item or its version is not in the directory",
    Refusal.NO_ROUTE: "没有协议覆盖此事项 / no agreement covers this item between these places",
    Refusal.INVALID: "字段的值不符合规则 / the value breaks the rule of its field",
    Refusal.MISSING: "必填字段为空 / a required value is missing",
    Refusal.UNKNOWN_MATERIAL: "材料不在事项的材料清单中 / the material is not in the item's list",
    Refusal.MATERIAL_MISSING: "缺少必需的材料 / a required material is missing",
    Refusal.CLAIMED: "任务已被他人领取 / somebody else holds the task",
    Refusal.NOT_CLAIMED: "任务未被领取 / nobody holds the task",
    Refusal.DUTY_LAPSED: (
        "五个工作日已过,自收到之日起视为受理(行政许可法32条) / "
        "five working days have passed: accepted as of the day of receipt (Licensing Law 32)"
    ),
    Refusal.TIMER_MOOT: "定时已不适用 / the timer no longer applies",
    Refusal.ALREADY_REQUESTED: "补正应当一次性告知 / supplements are asked for once, and have been",
    Refusal.NOT_YET_DUE: "补正期限未到 / the time for the supplement has not passed",
    Refusal.WRONG_ORDER: "时间先后不符 / the instant is on the wrong side of another",
    Refusal.ALREADY_EXTENDED: "期限只能延长一次 / the limit is extended only once",
    Refusal.NO_REVIEW_THERE: "该辖区没有审核环节 / that jurisdiction has no review stage",
    Refusal.ALREADY_HELD: "本单位已在承办 / this office holds the case already",
    Refusal.NOT_BY_POST: "申请人未选择邮寄 / the applicant did not ask for post",
    Refusal.BY_POST: "申请人选择邮寄 / the applicant asked for post",
    Refusal.CODE_MISMATCH: "取件码不符 / the collection code does not match",
    Refusal.CODE_BLOCKED: "取件码已锁定,须重新生成 / the code is blocked; a new one has to be issued",
    Refusal.WRONG_DOCUMENT: (
        "证件与持证人、代理人不符,且无委托书 / the document is neither the holder's nor the agent's, "
        "and no authority is given"
    ),
    Refusal.NOTHING_TO_ATTEND: "没有待处理的提示 / nothing asks for attention",
}


def refused(code: Refusal, field: str = "", *, expected: str = "") -> Decision:
    """A final refusal. `expected` says what would be right; it comes from our own rules, never from the message."""
    text = _TEXTS[code] + (f" ({expected})" if expected else "")
    return Decision(Outcome.REFUSED, code=code.value, reason=text, field=field)


def not_applicable(status_zh: str, status: str, type_name: str) -> Decision:
    """The default answer of every table: this message does not apply in this phase."""
    text = (
        f"办件状态为“{status_zh}”,不适用{type_name} / {type_name} does not apply to a case that is {status}"
    )
    return Decision(Outcome.REFUSED, code=Refusal.NOT_APPLICABLE.value, reason=text)
