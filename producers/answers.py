"""What local systems are told of their cases."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from bus import Answer
from cases import ENDS, PHASE_NAMES, AcceptanceState, Phase, Step
from jurisdictions import Directory, Stage
from schemas.models import AcceptedBy, DecisionOutcome, NotAcceptedKind


class Answered(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Times(Answered):
    """The four times, and what is due; `provisional` where the calendar of that year is not published yet."""

    collected: datetime | None
    received: datetime | None
    accepted: datetime | None
    promised: datetime | None
    statutory: datetime | None
    provisional: bool
    calendar_version: str


class Taken(Answered):
    """What became of an act: it is in the ledger."""

    case_id: str
    case_number: str
    status: Phase
    status_zh: str
    status_en: str
    version: int
    times: Times
    duty_due: datetime | None
    """Until when the owner answers a collected case; then it counts as accepted."""
    accepted_by: AcceptedBy | None
    repeated: bool
    """True: the key was answered before, and nothing was done again."""

    @classmethod
    def of(cls, answer: Answer) -> Self:
        state: AcceptanceState = answer.state
        zh, en = PHASE_NAMES[state.phase]
        return cls(
            case_id=answer.case,
            case_number=state.file.case_number,
            status=state.phase,
            status_zh=zh,
            status_en=en,
            version=answer.version,
            times=Times.model_validate(state.times),
            duty_due=state.duty_due,
            accepted_by=state.accepted_by,
            repeated=answer.repeated,
        )


class Item(Answered):
    """事项."""

    code: str
    version: int
    name: str


class Holder(Answered):
    """Who has to act next."""

    stage: Stage
    jurisdiction: str
    name_zh: str
    name_en: str


class MaterialRequest(Answered):
    """A material to be supplemented."""

    code: str
    name: str
    problem: str


class SupplementRequest(Answered):
    """补正: what is to be handed in, asked for once."""

    materials: list[MaterialRequest]
    reason: str
    due: datetime | None
    clock_runs: bool


class Collection(Answered):
    """Where the result lies ready, and the code to fetch it with: for the applicant's eyes."""

    place: str
    code: str


class Ground(Answered):
    """依据."""

    source: str
    article: str | None
    text: str | None


class Remedy(Answered):
    """救济途径: where, and within how many calendar days of the notice."""

    body: str
    period_days: int
    text: str | None


class Body(Answered):
    """An office by place and name."""

    jurisdiction: str
    name: str


class NotAccepted(Answered):
    """不予受理."""

    kind: NotAcceptedKind
    reason: str
    grounds: list[Ground]
    right_body: Body | None
    remedy: Remedy | None


class Decision(Answered):
    """办结."""

    outcome: DecisionOutcome
    document_number: str
    reason: str | None
    grounds: list[Ground]
    remedy: Remedy | None
    decided_at: datetime


_AS_THEY_STAND = (
    "times",
    "duty_due",
    "accepted_by",
    "notice_number",
    "supplement",
    "not_accepted",
    "decision",
    "tracking_number",
)


class Case(Answered):
    """A case as its acceptance stage knows it, which hears of everything."""

    case_id: str
    case_number: str
    status: Phase
    status_zh: str
    status_en: str
    open: bool
    version: int
    item: Item
    reference: str | None
    times: Times
    duty_due: datetime | None
    accepted_by: AcceptedBy | None
    notice_number: str
    holder: Holder | None
    supplement: SupplementRequest | None
    not_accepted: NotAccepted | None
    decision: Decision | None
    collection: Collection | None
    tracking_number: str | None

    @classmethod
    def of(cls, case: str, version: int, state: AcceptanceState, at: str, directory: Directory) -> Self:
        """`at` is the jurisdiction of the acceptance stage."""
        zh, en = PHASE_NAMES[state.phase]
        ready = state.collection_code is not None and state.place is not None
        return cls.model_validate(
            {name: getattr(state, name) for name in _AS_THEY_STAND}
            | {
                "case_id": case,
                "case_number": state.file.case_number,
                "status": state.phase,
                "status_zh": zh,
                "status_en": en,
                "open": state.phase not in ENDS,
                "version": version,
                "item": state.file.item,
                "reference": state.file.reference,
                "holder": holder(state, at, directory),
                "collection": {"place": state.place, "code": state.collection_code} if ready else None,
            }
        )


class JourneyStep(Answered):
    """One step, as the applicant may read it."""

    at: datetime
    recorded_at: datetime
    kind: str
    zh: str
    en: str

    @classmethod
    def of(cls, step: Step) -> Self:
        return cls.model_validate(step)


class Journey(Answered):
    """The steps of a case in their order."""

    case_id: str
    steps: list[JourneyStep]


_AT_PICKUP = frozenset({Phase.APPROVED, Phase.READY, Phase.MAILED, Phase.RETURNED})
_AT_REVIEW = frozenset({Phase.FORWARDED, Phase.IN_REVIEW, Phase.SUSPENDED})


def holder(state: AcceptanceState, acceptance: str, directory: Directory) -> Holder | None:
    """Who has to act next; None where nobody has."""
    if state.phase in _AT_REVIEW:
        stage, code = Stage.REVIEW, state.holder
    elif state.phase in _AT_PICKUP:
        stage, code = Stage.PICKUP, state.file.pickup
    elif state.phase is Phase.SUPPLEMENTING:
        stage, code = Stage.ACCEPTANCE, acceptance
    else:
        return None
    place = directory.jurisdiction(code)
    return Holder(stage=stage, jurisdiction=code, name_zh=place.name_zh, name_en=place.name_en)


class BatchResult(Answered):
    """One line of the answer to a batch, in the order of the batch: a case, or the problem with it."""

    index: int
    key: str | None
    status: int
    case: Taken | None = None
    problem: dict[str, Any] | None = None
    """As a problem of a single submission (RFC 9457)."""


class BatchAnswer(Answered):
    """What became of a batch."""

    taken: int
    refused: int
    results: list[BatchResult]
