"""Cases over HTTP: hand in, look, follow, supplement, withdraw. Every answer comes after the ledger has it durably."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Body, Depends, Header, Path, Request, Response

from bus import Answer, Command, SystemClock
from cases import AcceptanceState, journey
from producers.answers import BatchAnswer, Case, Journey, JourneyStep, Taken
from producers.batch import REQUEST_BODY, batch_answer, items_of, parsed
from producers.models import KEY_PATTERN, BatchItem, Submission, Supplement, Withdrawal
from producers.submissions import Submissions, digest
from schemas.models import Office
from web import (
    Caller,
    Context,
    FieldError,
    Problem,
    Role,
    documented,
    etag,
    expected_version,
    invalid,
    require,
    submit,
    submit_all,
    trace,
)


def _stream(context: Context) -> str:
    return f"{context.code}/acceptance"


def _seen(
    request: Request,
    case_id: Annotated[str, Path(description="总线办件编号 / case id")],
    caller: Annotated[Caller, Depends(require(Role.SUBMIT, Role.READ))],
) -> tuple[int, AcceptanceState]:
    """Version and state of a case, if it is one that this caller's place took in."""
    context: Context = request.app.state.context
    found = context.engine.case(_stream(context), case_id) if case_id.isprintable() else None
    if found is not None:
        state: AcceptanceState = found.state
        if context.directory.lies_in(state.file.accepting_office.jurisdiction, caller.jurisdiction):
            return found.version, state
    raise Problem(404, "unknown_case", "本受理地没有此办件 / there is no such case here")


_CaseId = Annotated[str, Path()]
_Seen = Annotated[tuple[int, AcceptanceState], Depends(_seen)]
_Submitter = Annotated[Caller, Depends(require(Role.SUBMIT))]
_Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", pattern=KEY_PATTERN, description="幂等键: the same key acts once"),
]
_IfMatch = Annotated[
    str | None, Header(alias="If-Match", description="ETag of the version that the caller saw")
]
_READS = documented(401, 403, 404, 422)
_ACTS = documented(400, 401, 403, 404, 409, 412, 413, 422, 503)
_VERSION = {"ETag": {"description": "version of the case", "schema": {"type": "string"}}}
_LOCATION = {"Location": {"description": "where the case is", "schema": {"type": "string"}}}


class _Desk:
    """What the routes do."""

    def __init__(self, context: Context, submissions: Submissions) -> None:
        self._context = context
        self._submissions = submissions
        self._clock = SystemClock()

    async def open_one(
        self, application: Submission, caller: Caller, key: str | None, traceparent: str
    ) -> Answer:
        return await submit(self._context, self._opening(application, caller, key, traceparent))

    async def open_all(self, items: Sequence[Any], caller: Caller, traceparent: str) -> BatchAnswer:
        outcomes: list[Answer | Exception | Command] = []
        for item in items:
            try:
                application = parsed(BatchItem, item)
                outcomes.append(self._opening(application, caller, application.key, traceparent))
            except Problem as problem:
                outcomes.append(problem)
        commands = [each for each in outcomes if isinstance(each, Command)]
        answers = iter(await submit_all(self._context, commands))
        return batch_answer(
            items, [next(answers) if isinstance(each, Command) else each for each in outcomes]
        )

    def _opening(self, application: Submission, caller: Caller, key: str | None, traceparent: str) -> Command:
        event = application.event()
        office = event.office or self._office(caller)
        if not self._context.directory.lies_in(office.jurisdiction, caller.jurisdiction):
            wrong = FieldError("office.jurisdiction", "不是本地窗口 / is elsewhere", "the caller's own place")
            raise invalid([wrong])
        return self._submissions.command(
            msgspec.structs.replace(event, office=office),
            caller=caller.caller,
            key=key or "",
            acted_at=self._clock.now(),
            trace=traceparent,
        )

    def _office(self, caller: Caller) -> Office:
        place = self._context.directory.jurisdiction(caller.jurisdiction)
        return Office(jurisdiction=place.code, name=place.name_zh)

    def steps(self, case_id: str) -> list[JourneyStep]:
        engine = self._context.engine
        facts = [
            fact
            for entry in engine.ledger.history(case_id)
            if entry.stream == _stream(self._context)
            for fact in engine.records.facts(entry)
        ]
        return [JourneyStep.of(step) for step in journey(facts)]

    async def act(
        self,
        case_id: str,
        data: Any,
        caller: Caller,
        key: str | None,
        if_match: str | None,
        traceparent: str,
    ) -> Answer:
        return await submit(
            self._context,
            Command(
                stream=_stream(self._context),
                case=case_id,
                data=data,
                actor=caller.caller,
                acted_at=self._clock.now(),
                key=key or "",
                caller=caller.caller,
                digest=digest(data) + case_id.encode(),
                expects=expected_version(if_match),
                trace=traceparent,
            ),
        )


def _told(answer: Answer, response: Response) -> Taken:
    response.headers["ETag"] = etag(answer.version)
    return Taken.of(answer)


def case_routes(context: Context, submissions: Submissions) -> APIRouter:
    """The routes under /v1/cases of a node that has the acceptance stage."""
    made = APIRouter(prefix="/v1/cases", tags=["办件 cases"])
    desk = _Desk(context, submissions)

    @made.post(
        "",
        status_code=202,
        response_model=Taken,
        responses=documented(400, 401, 403, 409, 413, 422, 503)
        | {
            202: {"headers": _VERSION | _LOCATION},
            207: {"model": BatchAnswer, "description": "A batch: each item has a result of its own"},
        },
        openapi_extra={"requestBody": REQUEST_BODY},
        summary="提交办件 / Hand in one case or a batch",
    )
    async def hand_in(
        request: Request,
        response: Response,
        caller: _Submitter,
        body: Annotated[Any, Body()],
        key: _Key = None,
    ) -> Any:
        """One application, or up to 1,000 (an array, or `{"cases": […]}`), each with a `key` of its own.

        Answers once the ledger has it durably: 202 with case id, case number and due dates; for a batch 207 with a
        result for each item. Repeating a request with its key is safe.
        """
        items = items_of(body)
        if items is None:
            answer = await desk.open_one(parsed(Submission, body), caller, key, trace(request))
            response.headers["Location"] = f"{made.prefix}/{answer.case}"
            return _told(answer, response)
        if key is not None:
            wrong = "批量时每件自带 key / is not for batches"
            raise invalid([FieldError("Idempotency-Key", wrong, "a key in each item")])
        results = await desk.open_all(items, caller, trace(request))
        return Response(results.model_dump_json(), 207, media_type="application/json")

    @made.get("/{case_id}", responses=_READS, summary="查询办件 / Status, times, and who holds it")
    def look(case_id: _CaseId, found: _Seen, response: Response) -> Case:
        version, state = found
        response.headers["ETag"] = etag(version)
        return Case.of(case_id, version, state, context.code, context.directory)

    @made.get("/{case_id}/journey", responses=_READS, summary="办件经过 / The journey of a case")
    def follow(case_id: _CaseId, _found: _Seen) -> Journey:
        return Journey(case_id=case_id, steps=desk.steps(case_id))

    @made.post(
        "/{case_id}/supplements",
        status_code=202,
        responses=_ACTS | {202: {"headers": _VERSION}},
        summary="提交补正材料 / Hand in supplements",
    )
    async def supplement(
        request: Request,
        response: Response,
        case_id: _CaseId,
        _found: _Seen,
        caller: _Submitter,
        body: Supplement,
        key: _Key = None,
        if_match: _IfMatch = None,
    ) -> Taken:
        done = await desk.act(case_id, body.command(), caller, key, if_match, trace(request))
        return _told(done, response)

    @made.post(
        "/{case_id}/withdrawal",
        status_code=202,
        responses=_ACTS | {202: {"headers": _VERSION}},
        summary="撤回申请 / Withdraw the application",
    )
    async def withdraw(
        request: Request,
        response: Response,
        case_id: _CaseId,
        _found: _Seen,
        caller: _Submitter,
        body: Withdrawal,
        key: _Key = None,
        if_match: _IfMatch = None,
    ) -> Taken:
        done = await desk.act(case_id, body.command(), caller, key, if_match, trace(request))
        return _told(done, response)

    return made
