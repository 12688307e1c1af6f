"""The clerks' pages: what is to be done, and one case with its journey and the acts that are possible now."""

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, RedirectResponse, Response
from ulid import ULID

from bus import BusError, Clock
from cases import PHASE_NAMES, TASK_NAMES, TaskKind
from consumers import desk
from consumers.desk import Here
from consumers.forms import BY_NAME, FORMS, Form, body_of
from consumers.sheet import sheet
from consumers.worklist import Order, counts, find, page
from jurisdictions import CHINA_TIME, Invalid, Stage, legal_day
from web import (
    NAV,
    Caller,
    Context,
    FieldError,
    Pages,
    Problem,
    ProblemDetails,
    cursor,
    position,
    problem_of,
    signed_in,
    trace,
)

STAGE_NAMES: Final = {
    Stage.ACCEPTANCE: ("异地受理", "Acceptance"),
    Stage.REVIEW: ("属地审核", "Review"),
    Stage.PICKUP: ("就近取证", "Pickup"),
}
PAGE_ROWS: Final = 50
_STYLE: Final = Path(__file__).parent / "static" / "desk.css"


def deadline(due: datetime | None) -> str:
    """A due instant as people write it: the day at whose end it lies, or day and time."""
    if due is None:
        return "—"
    local = due.astimezone(CHINA_TIME)
    if local.time() == time():
        return (local.date() - timedelta(days=1)).isoformat()
    return f"{local:%Y-%m-%d %H:%M}"


def days_left(due: datetime | None, now: datetime) -> tuple[str, str]:
    """How long there is still, in days of the calendar."""
    if due is None:
        return "", ""
    last = legal_day(due - timedelta(microseconds=1))
    days = (last - legal_day(now)).days
    plural = "day" if abs(days) == 1 else "days"
    if due < now:
        return (f"逾期 {-days} 天", f"{-days} {plural} late") if days else ("今天逾期", "late since today")
    if days == 0:
        return "今天到期", "due today"
    return f"还剩 {days} 天", f"{days} {plural} left"


User = Annotated[Caller, Depends(signed_in())]


def add_pages(router: APIRouter, context: Context, clock: Clock) -> None:
    """Add the pages /, /tasks, /cases and /search. They stand in the router itself, where the navigation finds them."""
    pages = _DeskPages(context, clock)
    for path, page_, name in (
        ("/", pages.home, "首页 Home"),
        ("/tasks", pages.tasks, "任务 Tasks"),
        ("/search", pages.search, "查询 Search"),
    ):
        router.add_api_route(path, page_, name=name, tags=[NAV], include_in_schema=False)
    router.add_api_route("/cases/{case_id}", pages.case, include_in_schema=False)
    router.add_api_route("/cases/{case_id}/{name}", pages.act, methods=["POST"], include_in_schema=False)
    router.add_api_route("/desk.css", _style, include_in_schema=False)


def _style() -> Response:
    return FileResponse(_STYLE, media_type="text/css")


class _DeskPages:
    """The pages of one node."""

    def __init__(self, context: Context, clock: Clock) -> None:
        self._context = context
        self._clock = clock
        self._ledger = context.engine.ledger
        self._pages = Pages("consumers")
        self._stages = [stage for stage in Stage if stage.value in context.stages]

    def home(self, request: Request, caller: User) -> Response:
        now = self._clock.now()
        stages = [
            (stage, counts(self._ledger, desk.stream(self._context, stage), now))
            for stage in self._seen_by(caller)
        ]
        return self._render(request, "desk_home.html", stages=stages)

    def tasks(
        self,
        request: Request,
        caller: User,
        stage: Stage | None = None,
        order: Order = Order.DUE,
        kind: TaskKind | None = None,
        cursor_: Annotated[str, Query(alias="cursor", max_length=200)] = "",
        *,
        mine: bool = False,
        done: bool = False,
    ) -> Response:
        seen = self._seen_by(caller)
        stage = stage or next(
            (each for each in reversed(seen) if each is not Stage.ACCEPTANCE), seen[0] if seen else None
        )
        if stage is None:
            raise Problem(403, "forbidden", "没有可看的环节 / no stage of this node is yours to see")
        desk.check_lists(caller, stage)
        found = page(
            self._ledger,
            desk.stream(self._context, stage),
            is_open=not done,
            order=order,
            limit=PAGE_ROWS,
            kind=kind,
            claimed_by=caller.caller if mine else None,
            after=position(cursor_, tuple[int, str], "cursor") if cursor_ else None,
        )
        asked = {"stage": stage.value, "order": order.value}
        asked |= {"kind": kind.value} if kind else {}
        asked |= {"mine": "true"} if mine else {}
        asked |= {"done": "true"} if done else {}

        def link(**changes: str | None) -> str:
            values = asked | changes
            return "/tasks?" + urlencode({name: value for name, value in values.items() if value})

        return self._render(
            request,
            "desk_tasks.html",
            stage=stage,
            stages=seen,
            rows=found.rows,
            next=link(cursor=cursor(*found.after)) if found.after else None,
            link=link,
            order=order,
            kind=kind,
            kinds=counts(self._ledger, desk.stream(self._context, stage), self._clock.now()),
            mine=mine,
            done=done,
            phase_names={phase.value: names for phase, names in PHASE_NAMES.items()},
            works=desk.WORKS_AT[stage] in caller.roles,
        )

    def case(self, request: Request, case_id: str, caller: User, stage: Stage | None = None) -> Response:
        candidates = (
            [stage] if stage else [each for each in self._stages if desk.WORKS_AT[each] in caller.roles]
        )
        for each in reversed(candidates):
            desk.check_works(caller, each)
            if len(candidates) == 1 or self._ledger.case(desk.stream(self._context, each), case_id):
                return self._show(request, caller, desk.read(self._context, caller, each, case_id))
        raise Problem(404, "unknown_case", "没有此办件 / there is no such case here")

    async def act(self, request: Request, case_id: str, name: str, stage: Stage, caller: User) -> Response:
        form = BY_NAME.get(name)
        if form is None:
            raise Problem(404, "not_found", "没有此操作 / there is no such act")
        desk.check_works(caller, stage)
        filled = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
        here = await run_in_threadpool(desk.read, self._context, caller, stage, case_id)
        try:
            body = body_of(form, filled, _materials(self._context, here) if form.materials else ())
            version = filled.get("version", "")
            wanted = desk.Request(
                caller,
                stage,
                case_id,
                int(version) if form.action.versioned and version.isdecimal() else None,
                filled.get("key", "")[:64],
                trace(request),
            )
            await desk.perform(self._context, self._clock, wanted, form.action, body)
        except (BusError, Problem, ValidationError) as error:
            said = _problem(error, form)
            now = await run_in_threadpool(desk.read, self._context, caller, stage, case_id)
            return await run_in_threadpool(
                self._show, request, caller, now, said.status, said.details(), name, filled
            )
        return RedirectResponse(f"/cases/{quote(case_id)}?stage={stage.value}&done={name}", 303)

    def search(
        self, request: Request, caller: User, q: Annotated[str, Query(max_length=100)] = ""
    ) -> Response:
        text = q.strip()
        streams = [desk.stream(self._context, stage) for stage in self._seen_by(caller)]
        rows = find(self._ledger, streams, text) if text else []
        if len(rows) == 1 and desk.WORKS_AT[Stage(rows[0].stream.split("/")[1])] in caller.roles:
            stage = rows[0].stream.split("/")[1]
            return RedirectResponse(f"/cases/{quote(rows[0].case)}?stage={stage}", 303)
        return self._render(request, "desk_search.html", q=text, rows=rows)

    def _seen_by(self, caller: Caller) -> list[Stage]:
        return [
            stage
            for stage in self._stages
            if desk.WORKS_AT[stage] in caller.roles or caller.roles & desk.READERS
        ]

    def _render(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        shared = {
            "stage_names": STAGE_NAMES,
            "task_names": TASK_NAMES,
            "now": self._clock.now(),
            "days_left": days_left,
            "deadline": deadline,
        }
        return self._pages.render(request, template, status, **(shared | values))

    def _show(
        self,
        request: Request,
        caller: Caller,
        here: Here,
        status: int = 200,
        problem: ProblemDetails | None = None,
        tried: str = "",
        filled: Mapping[str, str] | None = None,
    ) -> Response:
        names = {action.name for action in desk.possible(self._context, here, caller)}
        forms = [form for form in FORMS if form.action.name in names]
        return self._render(
            request,
            "desk_case.html",
            status,
            here=here,
            other_stages=[
                stage
                for stage in self._seen_by(caller)
                if stage is not here.stage and self._ledger.case(desk.stream(self._context, stage), here.case)
            ],
            sheet=sheet(self._context.directory, here),
            steps=desk.steps(self._context, here.stage, here.case),
            forms=forms,
            first=next((form.name for form in forms if form.primary and form.fields), ""),
            materials=_materials(self._context, here) if any(form.materials for form in forms) else (),
            problem=problem,
            tried=tried,
            filled=filled or {},
            key=str(ULID()),
            done=BY_NAME.get(request.query_params.get("done", "")),
            holder=getattr(here.state, "claimed_by", None),
        )


def _materials(context: Context, here: Here) -> tuple[Any, ...]:
    try:
        item = context.directory.item(here.state.file.item.code, here.state.file.item.version)
    except Invalid:
        return ()
    return item.materials


def _problem(error: Exception, form: Form) -> Problem:
    """What is wrong, by the labels that the clerk sees."""
    labels = {"materials": "材料 Materials"}
    for field in form.fields:
        label = f"{field.zh} {field.en}"
        labels[field.name] = label
        labels.setdefault(field.name.split(".")[0], label)
    if isinstance(error, ValidationError):
        wrong = {
            _label(labels, [str(part) for part in each["loc"]]): each["type"] == "missing"
            for each in error.errors()
        }
        errors = [
            FieldError(label, "必填 / is missing" if missing else "取值不符合要求 / has a wrong value")
            for label, missing in wrong.items()
        ]
        return Problem(422, "invalid", "请填写或更正 / please fill in or correct", errors)
    said = problem_of(error)
    renamed = [
        FieldError(_label(labels, each.field.split(".")), each.problem, each.expected) for each in said.errors
    ]
    return Problem(said.status, said.code, said.detail, renamed, said.headers)


def _label(labels: Mapping[str, str], path: list[str]) -> str:
    path = path[1:] if path and path[0] in {"approved", "refused"} else path
    for length in range(len(path), 0, -1):
        if ".".join(path[:length]) in labels:
            return labels[".".join(path[:length])]
    return ".".join(path)
