"""What operators do about held events (/v1/held): look, try again, refuse, repair; and what is quarantined.

It hands acts to the bus, which alone decides. Bodies are shown with personal fields masked.
"""

from collections.abc import Sequence
from concurrent.futures import Future, wait
from typing import Annotated, Any, Final, Literal

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from starlette.responses import Response

from bus import CommandRefused, Unavailable, held
from bus.held import HeldEvent, Which
from bus.holding import Tried
from schemas import CodecError, Event, models
from web import Caller, Context, FieldError, Problem, Role, cursor, documented, invalid, position, require

WAIT_SECONDS: Final = 30.0
CASES_AT_ONCE: Final = 500
_JSON: Final = "application/json"

_NAME: Final = r"^[!-~]{1,200}$"
Name = Annotated[str, StringConstraints(pattern=_NAME)]
NameQuery = Annotated[str | None, Query(pattern=_NAME)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=300, pattern=r"^[^\x00-\x1f\x7f]+$")]
HeldRow = Annotated[int, Path(ge=1, le=2**63 - 1, description="Row of the ledger's log.")]
Operator = Annotated[Caller, Depends(require(Role.OPERATE))]


class HeldList(msgspec.Struct, frozen=True):
    """Held events in the order of their rows."""

    held: list[HeldEvent]
    next: str | None
    """Cursor of the next page."""


class QuarantineList(msgspec.Struct, frozen=True):
    """Quarantined records by topic, partition and offset."""

    quarantined: list[held.Quarantined]
    next: str | None


class TriedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What became, or would become, of a held event."""

    row: int
    case: str
    type: str
    outcome: str
    code: str
    reason: str
    awaits: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What an act came to; with `dry_run` nothing was changed."""

    dry_run: bool
    cases: int
    """Cases that were tried."""
    settled: int
    """Events that are no longer held, or would not be."""
    tried: list[TriedEvent]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ReplayIn(_In):
    """Which cases are tried again: those whose first held event fits all that is said."""

    row: Annotated[int | None, Field(ge=1, le=2**63 - 1)] = None
    stream: Name | None = None
    case: Name | None = None
    status: Literal["parked", "waiting"] | None = None
    code: Name | None = None
    type: Name | None = None
    awaits: Name | None = Field(default=None, description="The whole, or how it begins: `schema:`.")
    since: AwareDatetime | None = Field(default=None, description="Held at that instant or later.")
    limit: Annotated[int, Field(ge=1, le=CASES_AT_ONCE)] = 100
    dry_run: bool = Field(default=False, description="Say what would become of them, and change nothing.")


class RefuseIn(_In):
    """A refusal: final, and told to the sender."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,49}$")]
    reason: Reason


class RepairIn(_In):
    """A correction: the whole event, or what changes in it (JSON Merge Patch, RFC 7396)."""

    reason: Reason
    data: dict[str, Any] | None = None
    patch: dict[str, Any] | None = None
    dry_run: bool = False


def held_router(context: Context) -> APIRouter:
    """The routes under /v1/held and /v1/quarantine, all for operators."""
    routes = APIRouter(prefix="/v1", tags=["held"], dependencies=[Depends(require(Role.OPERATE))])
    _reads(routes, context)
    _acts(routes, context)
    return routes


def _reads(routes: APIRouter, context: Context) -> None:
    engine = context.engine

    @routes.get("/held", responses=_answers(HeldList, 401, 403, 422), response_class=Response)
    def list_held(
        stream: NameQuery = None,
        status: Literal["parked", "waiting"] | None = None,
        code: NameQuery = None,
        type_: Annotated[str | None, Query(alias="type", pattern=_NAME)] = None,
        awaits: Annotated[
            str | None, Query(pattern=_NAME, description="The whole, or how it begins: `schema:`.")
        ] = None,
        since: Annotated[AwareDatetime | None, Query(description="Held at that instant or later.")] = None,
        case: NameQuery = None,
        first: Annotated[bool, Query(description="Only the one of each case that blocks it.")] = False,  # noqa: FBT002
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor_: Annotated[str | None, Query(alias="cursor", max_length=200)] = None,
    ) -> Response:
        """搁置的事件 / Held events, a page at a time. `cursor` is the `next` of the page before, for the same query."""
        [after] = position(cursor_, tuple[int], "cursor") if cursor_ is not None else (0,)
        which = Which(
            stream=stream,
            status=status,
            code=code,
            type=type_,
            awaits=awaits,
            since=since,
            case=case,
            first=first,
        )
        found = held.find(engine.ledger, which, limit + 1, after)
        more = cursor(found[limit - 1].row) if len(found) > limit else None
        return _json(HeldList(found[:limit], more))

    @routes.get(
        "/held/{row}", responses=_answers(held.Explanation, 401, 403, 404, 422), response_class=Response
    )
    def explain(row: HeldRow) -> Response:
        """一条搁置的事件 / One held event: its error, what it waits for, what its sender was told, what waits behind."""
        found = held.explain(engine.ledger, engine.records, context.catalogue, row)
        if found is None:
            raise _not_held()
        return _json(found)

    @routes.get("/quarantine", responses=_answers(QuarantineList, 401, 403, 422), response_class=Response)
    def list_quarantined(
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
        cursor_: Annotated[str | None, Query(alias="cursor", max_length=500)] = None,
    ) -> Response:
        """隔离的记录 / Records without a verified sender: not answered, and of no effect."""
        after = position(cursor_, tuple[str, int, int], "cursor") if cursor_ is not None else None
        found = [record for record, _ in held.quarantined(engine.ledger, limit + 1, after)]
        last = found[:limit][-1] if len(found) > limit else None
        more = cursor(last.topic, last.partition, last.offset) if last else None
        return _json(QuarantineList(found[:limit], more))


def _acts(routes: APIRouter, context: Context) -> None:
    engine = context.engine

    @routes.post(
        "/held/replay", responses=_answers(Outcome, 400, 401, 403, 413, 422, 503), response_class=Response
    )
    def replay(body: ReplayIn) -> Response:
        """重试 / Try held cases again, each up to the event that can't go on. Safe to repeat."""
        which = Which(first=True, **body.model_dump(exclude={"limit", "dry_run"}))
        found = held.find(engine.ledger, which, body.limit)
        futures = [
            engine.mending.release(event.stream, event.case, row=event.row, dry_run=body.dry_run)
            for event in found
        ]
        _wait(futures)
        results = [_tried(event, future) for event, future in zip(found, futures, strict=True)]
        return _outcome(found, results, dry_run=body.dry_run)

    @routes.post(
        "/held/{row}/refuse",
        responses=_answers(Outcome, 400, 401, 403, 404, 409, 413, 422, 503),
        response_class=Response,
    )
    def refuse(row: HeldRow, body: RefuseIn, caller: Operator) -> Response:
        """退回 / Refuse a held event, finally. Its sender is told by receipt; what waits behind it goes on."""
        event = _event(context, row)
        future = engine.mending.refuse(
            event.stream, event.case, caller.caller, body.code, body.reason, row=row
        )
        _wait([future])
        refused = Tried(row, event.type, "refused", body.code, body.reason, "")
        return _outcome([event], [[refused, *future.result()]])

    @routes.post(
        "/held/{row}/repair",
        responses=_answers(Outcome, 400, 401, 403, 404, 409, 413, 422, 503),
        response_class=Response,
    )
    def repair(row: HeldRow, body: RepairIn, caller: Operator) -> Response:
        """修正 / Apply a held event with corrected data, under the operator's name; the original stays in the log."""
        event = _event(context, row)
        future = engine.mending.repair(
            event.stream,
            event.case,
            row,
            caller.caller,
            body.reason,
            _corrected(context, row, body),
            dry_run=body.dry_run,
        )
        _wait([future])
        return _outcome([event], [future.result()], dry_run=body.dry_run)


def _event(context: Context, row: int) -> HeldEvent:
    found = held.find(context.engine.ledger, Which(row=row), 1)
    if not found:
        raise _not_held()
    return found[0]


def _corrected(context: Context, row: int, body: RepairIn) -> Event:
    """The event that the operator means. Raises Problem."""
    engine = context.engine
    if (body.data is None) == (body.patch is None):
        said = "data 与 patch 二者取一 / one of data and patch, not both"
        raise invalid([FieldError("data", said, "the whole event, or what changes in it")])
    entry = held.entry_of(engine.ledger, row)
    model = models.EVENTS.get(f"kuayu.{engine.mending.type_of(entry)}")
    if model is None:
        detail = "本程序不认识此类型 / this program does not know the type; upgrade it"
        raise Problem(409, "repair_not_applied", detail)
    data: Any = body.data
    if body.patch is not None:
        try:
            original = engine.records.codec.decode(entry.value)
        except CodecError:
            expected = "data: the whole event"
            raise invalid(
                [FieldError("patch", "原件无法解码 / the original can't be decoded", expected)]
            ) from None
        data = merge_patch(msgspec.to_builtins(original), body.patch)
    try:
        return msgspec.convert(data, model)
    except msgspec.ValidationError as error:
        problem, _, at = str(error).partition(" - at `")
        field = at.rstrip("`").lstrip("$.") or "data"
        said = "不符合数据结构 / does not fit the schema"
        raise invalid([FieldError(field, said, _without_values(problem))]) from None


def _without_values(problem: str) -> str:
    """What msgspec says, without what was sent."""
    return problem.partition("'")[0].strip() if problem.startswith("Invalid enum value") else problem


def merge_patch(target: Any, patch: Any) -> Any:
    """JSON Merge Patch (RFC 7396, 2): null takes a field away, objects are merged, all else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def _wait(futures: Sequence[Future[Any]]) -> None:
    """Until the ledger has the acts durably, or says why not. Raises Problem."""
    _, late = wait(futures, WAIT_SECONDS)
    if late:
        detail = "尚不知是否已处理,请查看列表 / not known yet whether it was done; look at the list"
        raise Problem(503, "no_answer_yet", detail, headers={"Retry-After": "5"})


def _tried(event: HeldEvent, future: Future[list[Tried]]) -> list[Tried]:
    """What became of a case; one that the ledger does not take hides none of the others. Raises Unavailable."""
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Unavailable) or not isinstance(error, Exception):
        raise error
    code, reason = (
        (error.code, error.reason) if isinstance(error, CommandRefused) else ("", type(error).__name__)
    )
    return [Tried(event.row, event.type, event.status, code or "not_storable", reason, "")]


def _outcome(
    events: Sequence[HeldEvent], results: Sequence[Sequence[Tried]], *, dry_run: bool = False
) -> Response:
    tried = [
        TriedEvent(case=event.case, **each._asdict())
        for event, result in zip(events, results, strict=True)
        for each in result
    ]
    settled = sum(each.outcome in ("applied", "refused") for each in tried)
    cases = sum(bool(result) for result in results)
    return _json(Outcome(dry_run=dry_run, cases=cases, settled=settled, tried=tried))


def _not_held() -> Problem:
    return Problem(404, "not_found", "此行没有被搁置 / this row is not held, or no longer")


def _json(value: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(value), media_type=_JSON)


def _answers(kind: type[msgspec.Struct], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a route answers, for the OpenAPI document."""
    _, components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    return {
        200: {"content": {_JSON: {"schema": _inline(components[kind.__name__], components)}}}
    } | documented(*statuses)


def _inline(schema: Any, components: dict[str, Any]) -> Any:
    """The schema with what it refers to in place."""
    if isinstance(schema, list):
        return [_inline(each, components) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inline(components[schema["$ref"].rpartition("/")[2]], components)
    return {name: _inline(value, components) for name, value in schema.items()}
