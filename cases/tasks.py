"""What a work list shows of a case: what is to be done next, until when, and whose it is."""

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final

from msgspec import Struct

from cases._acceptance_state import AcceptanceState
from cases._pickup_state import PickupState
from cases._review_state import ReviewState
from cases._stage import CaseState
from cases.phases import Phase
from jurisdictions import CHINA_TIME, Directory, Invalid, legal_day
from schemas.models import Applicant, DeliveryKind, ItemRef


class TaskKind(StrEnum):
    """What has to be done."""

    SUPPLEMENT_PROVIDE = "supplement_provide"  # at acceptance: get it from the applicant
    REVIEW_ACCEPT = "review_accept"
    SUPPLEMENT_WAIT = "supplement_wait"
    REVIEW_DECIDE = "review_decide"
    SUSPENSION_WAIT = "suspension_wait"
    MAKE_READY = "make_ready"
    MAIL = "mail"
    CONFIRM_DELIVERY = "confirm_delivery"
    HAND_OVER = "hand_over"
    ATTENTION = "attention"  # nothing else to do but to see to a refused hand-over


TASK_NAMES: Final[dict[TaskKind, tuple[str, str]]] = {
    TaskKind.SUPPLEMENT_PROVIDE: ("通知申请人补正", "get the supplements"),
    TaskKind.REVIEW_ACCEPT: ("受理审查", "answer the application"),
    TaskKind.SUPPLEMENT_WAIT: ("等待补正", "wait for the supplements"),
    TaskKind.REVIEW_DECIDE: ("审核决定", "examine and decide"),
    TaskKind.SUSPENSION_WAIT: ("特别程序", "see the special procedure through"),
    TaskKind.MAKE_READY: ("制证待取", "make the result ready"),
    TaskKind.MAIL: ("邮寄", "mail the result"),
    TaskKind.CONFIRM_DELIVERY: ("确认签收", "confirm the delivery"),
    TaskKind.HAND_OVER: ("发证", "hand the result over"),
    TaskKind.ATTENTION: ("需处理", "see to a refused hand-over"),
}
"""Names in Chinese and English."""


class Task(Struct, frozen=True, kw_only=True):
    """One line of a work list, without personal data.

    `due` is the nearest legal due instant; the task is urgent from `urgent_from`, the working day before. `attention`
    is the code of a refused hand-over, if any; `applicant` is masked.
    """

    kind: TaskKind
    stage: str
    due: datetime | None
    urgent_from: datetime | None
    case_number: str
    item_zh: str
    item_en: str
    accepted_by: str
    applicant: str
    claimed_by: str | None = None
    attention: str = ""


def masked(applicant: Applicant) -> str:
    """An applicant as lists show him: 张** for a person, an organisation by its name."""
    if applicant.person is not None:
        return f"{applicant.person.name[:1]}**"
    return applicant.organisation.name if applicant.organisation is not None else ""


def acceptance_task(state: AcceptanceState, directory: Directory) -> Task | None:
    """What the accepting office has to do."""
    wanted = state.supplement
    found = (TaskKind.SUPPLEMENT_PROVIDE, wanted.due) if wanted else None
    file = state.file
    return _task(
        "acceptance",
        state,
        found,
        directory,
        file.item,
        file.case_number,
        file.accepting_office.name,
        file.applicant,
    )


def review_task(state: ReviewState, directory: Directory) -> Task | None:
    """What the deciding office has to do."""
    found: tuple[TaskKind, datetime | None] | None = None
    match state.phase:
        case Phase.RECEIVED:
            found = TaskKind.REVIEW_ACCEPT, state.duty_due
        case Phase.SUPPLEMENTING:
            found = TaskKind.SUPPLEMENT_WAIT, state.supplement.due if state.supplement else None
        case Phase.IN_REVIEW:
            dues = [due for due in (state.times.promised, state.times.statutory) if due is not None]
            found = TaskKind.REVIEW_DECIDE, min(dues, default=None)
        case Phase.SUSPENDED:
            found = TaskKind.SUSPENSION_WAIT, state.suspension.expected_end if state.suspension else None
    file = state.file
    return _task(
        "review",
        state,
        found,
        directory,
        file.item,
        file.case_number,
        file.accepting_office.name,
        file.applicant,
        state.claimed_by,
    )


def pickup_task(state: PickupState, directory: Directory) -> Task | None:
    """What the office that hands the result over has to do."""
    issued = state.issued
    by_post = issued.delivery.kind is DeliveryKind.POST
    found: tuple[TaskKind, datetime | None] | None = None
    match state.phase:
        case Phase.ISSUED | Phase.RETURNED:
            found = TaskKind.MAIL if by_post else TaskKind.MAKE_READY, issued.serve_by
        case Phase.READY:
            found = TaskKind.HAND_OVER, issued.serve_by
        case Phase.MAILED:
            found = TaskKind.CONFIRM_DELIVERY, issued.serve_by
    return _task(
        "pickup",
        state,
        found,
        directory,
        issued.item,
        issued.case_number,
        issued.accepting_office.name,
        issued.holder,
        state.claimed_by,
    )


def _task(
    stage: str,
    state: CaseState,
    found: tuple[TaskKind, datetime | None] | None,
    directory: Directory,
    item: ItemRef,
    case_number: str,
    accepted_by: str,
    applicant: Applicant,
    claimed_by: str | None = None,
) -> Task | None:
    if found is None and state.attention is None:
        return None
    kind, due = found or (TaskKind.ATTENTION, None)
    return Task(
        kind=kind,
        stage=stage,
        due=due,
        urgent_from=due and _day_before(due, directory),
        case_number=case_number,
        item_zh=item.name,
        item_en=_english(item, directory),
        accepted_by=accepted_by,
        applicant=masked(applicant),
        claimed_by=claimed_by,
        attention=state.attention.code if state.attention else "",
    )


def _day_before(due: datetime, directory: Directory) -> datetime:
    """When the working day before the last day begins; a day that ends at 24:00 is the last day itself."""
    last = legal_day(due - timedelta(microseconds=1))
    before = directory.calendar.add_working_days(last, -1)
    return datetime.combine(before, time(), CHINA_TIME).astimezone(UTC)


def _english(item: ItemRef, directory: Directory) -> str:
    try:
        return directory.item(item.code, item.version).name_en
    except Invalid:  # a version that this directory has no more
        return item.name
