"""The task API: work lists, cases, and acts upon them, for back offices and other programs (/v1/tasks)."""

import re
from collections.abc import Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from bus import Answer, Clock
from cases import PHASE_NAMES, TASK_NAMES, TaskKind
from consumers import desk
from consumers.acts import ACTIONS, ActIn, Action
from consumers.models import CaseOut, Done, State, StepOut, TaskList, TaskOut, shown
from consumers.worklist import Order, TaskRow, at, page
from jurisdictions import Stage
from web import Caller, Context, FieldError, Problem, Role, cursor, etag, invalid, position, require, trace

_WORKERS: Final = (Role.SUBMIT, Role.REVIEW, Role.PICKUP)
_ETAG: Final = re.compile(r'"([0-9]{1,18})"')

CaseId = Annotated[str, Path(pattern=r"^[0-9A-Za-z._-]{1,64}$", description="Case id on the bus.")]
AtStage = Annotated[Stage, Query(description="One of the stages that this node covers.")]
IfMatch = Annotated[
    str | None,
    Header(description='The version that was acted upon, as its ETag: "123"; * for any.', max_length=40),
]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,200}$",
        description="Makes it safe to send the same act again.",
    ),
]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Errors for the OpenAPI document, in the form they have."""
    schema = {"type": "object", "required": ["type", "title", "title_zh", "status"]}
    content = {"application/problem+json": {"schema": schema}}
    return {status: {"description": "Problem (RFC 9457)", "content": content} for status in statuses}


def line(row: TaskRow, now: datetime) -> TaskOut:
    """A row of the work list as it is answered."""
    zh, en = TASK_NAMES[row.kind]
    return TaskOut(
        case_id=row.case,
        stage=row.stream.split("/")[1],
        version=row.version,
        kind=row.kind,
        kind_zh=zh,
        kind_en=en,
        status=row.status,
        open=row.open,
        due=row.due,
        urgent=row.urgent(now),
        late=row.late(now),
        opened_at=row.opened,
        case_number=row.case_number,
        item_zh=row.item_zh,
        item_en=row.item_en,
        accepted_by=row.accepted_by,
        applicant=row.applicant,
        claimed_by=row.claimed_by,
        attention=row.attention,
    )


def expected_version(if_match: str | None) -> int | None:
    """The version in an If-Match header; None for `*`.

    Raises:
        Problem: 428 it is missing, 422 it is no entity tag of ours.
    """
    if if_match is None:
        detail = "请以 If-Match 说明所见版本 / say with If-Match which version was acted upon"
        raise Problem(428, "version_required", detail)
    if if_match.strip() == "*":
        return None
    found = _ETAG.fullmatch(if_match.strip())
    if found is None:
        raise invalid(
            [FieldError("If-Match", "不是版本标签 / is no entity tag of ours", 'the ETag given: "123"')]
        )
    return int(found[1])


def task_router(context: Context, clock: Clock) -> APIRouter:
    """The routes under /v1/tasks."""
    router = APIRouter(prefix="/v1/tasks", tags=["tasks"])

    @router.get("", responses=problems(401, 403, 422))
    def list_tasks(
        stage: AtStage,
        caller: Annotated[Caller, Depends(require(*_WORKERS, *desk.READERS))],
        state: State = State.OPEN,
        order: Order = Order.DUE,
        kind: TaskKind | None = None,
        claimed_by: Annotated[str | None, Query(pattern=r"^[!-~]{1,100}$")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor_: Annotated[str | None, Query(alias="cursor", max_length=200)] = None,
    ) -> TaskList:
        """The work list of a stage, a page at a time. `cursor` is the `next` of the page before, for the same query."""
        desk.check_lists(caller, stage)
        after = position(cursor_, tuple[int, str], "cursor") if cursor_ is not None else None
        found = page(
            context.engine.ledger,
            desk.stream(context, stage),
            is_open=state is State.OPEN,
            order=order,
            limit=limit,
            kind=kind,
            claimed_by=claimed_by,
            after=after,
        )
        now = clock.now()
        return TaskList(
            tasks=[line(row, now) for row in found.rows], next=cursor(*found.after) if found.after else None
        )

    @router.get("/{case_id}", responses=problems(401, 403, 404, 422))
    def read_task(
        case_id: CaseId,
        stage: AtStage,
        caller: Annotated[Caller, Depends(require(*_WORKERS))],
        response: Response,
    ) -> CaseOut:
        """A case at a stage, with what can be done and its journey. The ETag is what acts name in If-Match."""
        here = desk.read(context, caller, stage, case_id)
        response.headers["ETag"] = etag(here.version)
        row = at(context.engine.ledger, desk.stream(context, stage), case_id)
        return CaseOut(
            case_id=case_id,
            stage=stage.value,
            version=here.version,
            status=here.phase.value,
            status_zh=here.names[0],
            status_en=here.names[1],
            task=line(row, clock.now()) if row and row.open else None,
            actions=[action.name for action in desk.possible(context, here, caller)],
            state=shown(here.state),
            journey=[StepOut(**msgspec.structs.asdict(step)) for step in desk.steps(context, stage, case_id)],
        )

    for action in ACTIONS.values():
        router.add_api_route(
            f"/{{case_id}}/{action.name}",
            _endpoint(context, clock, action),
            methods=["POST"],
            name=action.name,
            summary=f"{action.zh} · {action.en}",
            response_model=Done,
            responses=problems(
                400, 401, 403, 404, 409, 412, 413, 422, 503, *((428,) if action.versioned else ())
            ),
        )
    return router


def _endpoint(context: Context, clock: Clock, action: Action) -> Callable[..., Coroutine[Any, Any, Done]]:
    """The act as an endpoint; a body that has no required field may be left out."""

    async def act(
        request: Request,
        response: Response,
        case_id: str,
        body: ActIn,
        caller: Caller,
        stage: Stage = action.stages[0],
        if_match: IfMatch = None,
        idempotency_key: Key = None,
    ) -> Done:
        expects = expected_version(if_match) if action.versioned or if_match is not None else None
        wanted = desk.Request(caller, stage, case_id, expects, idempotency_key or "", trace(request))
        answer = await desk.perform(context, clock, wanted, action, body)
        response.headers["ETag"] = etag(answer.version)
        return _done(context, stage, answer)

    act.__annotations__ |= {
        "case_id": CaseId,
        "body": action.body,
        "caller": Annotated[Caller, Depends(require(*(desk.WORKS_AT[stage] for stage in action.stages)))],
        "stage": AtStage,
    }
    if len(action.stages) == 1:
        act.__annotations__["stage"] = Annotated[Stage, Depends(lambda: action.stages[0])]
    act.__doc__ = action.body.__doc__
    return act


def _done(context: Context, stage: Stage, answer: Answer) -> Done:
    zh, en = PHASE_NAMES[answer.state.phase]
    left: Any = desk.handler(context, stage)
    task = left.task(answer.state)
    return Done(
        case_id=answer.case,
        stage=stage.value,
        version=answer.version,
        status=answer.state.phase.value,
        status_zh=zh,
        status_en=en,
        due=task.due if task else None,
        repeated=answer.repeated,
    )
