"""One case at one stage of this node: reading it, what can be done with it, and doing it."""

import hashlib
from typing import Any, Final, NamedTuple

from starlette.concurrency import run_in_threadpool

from bus import Answer, Clock, Command
from cases import MAX_WRONG_CODES, PHASE_NAMES, Phase, PickupState, Step, Task, journey
from consumers.acts import ACTIONS, ActIn, Action, HandOverIn
from consumers.worklist import StageHandler
from jurisdictions import Stage
from schemas.models import AcceptedBy, DeliveryKind
from web import Caller, Context, FieldError, Problem, Role, etag, invalid, submit

WORKS_AT: Final = {Stage.ACCEPTANCE: Role.SUBMIT, Stage.REVIEW: Role.REVIEW, Stage.PICKUP: Role.PICKUP}
"""Whose work the tasks of a stage are."""
READERS: Final = frozenset({Role.READ, Role.OPERATE})
"""Who may look at the work lists of any stage, though not into its cases."""


class Here(NamedTuple):
    """A case as a stage of this node has it."""

    case: str
    stage: Stage
    version: int
    state: Any
    task: Task | None

    @property
    def phase(self) -> Phase:
        phase: Phase = self.state.phase
        return phase

    @property
    def names(self) -> tuple[str, str]:
        return PHASE_NAMES[self.phase]


def stream(context: Context, stage: Stage) -> str:
    """The stream of a stage of this node.

    Raises:
        Problem: 422, this node does not cover the stage.
    """
    name = f"{context.code}/{stage.value}"
    if name in context.engine.records.handlers:
        return name
    here = ", ".join(context.stages)
    raise invalid([FieldError("stage", "本节点没有此环节 / this node does not cover this stage", here)])


def handler(context: Context, stage: Stage) -> StageHandler:
    found: Any = context.engine.records.handlers[stream(context, stage)]
    return found  # type: ignore[no-any-return]


def check_works(caller: Caller, stage: Stage) -> None:
    """Raises Problem 403 if the stage's cases are none of the caller's business."""
    if WORKS_AT[stage] not in caller.roles:
        raise Problem(403, "forbidden", f"需要角色 / this role is needed: {WORKS_AT[stage]}")


def check_lists(caller: Caller, stage: Stage) -> None:
    """Raises Problem 403 if the caller may not see the stage's work list."""
    if READERS.isdisjoint(caller.roles):
        check_works(caller, stage)


def read(context: Context, caller: Caller, stage: Stage, case: str) -> Here:
    """The case as the ledger has it now.

    An accepting office sees what was taken in within its own place, as over /v1/cases; the other stages' cases are
    those of the node's offices all alike.

    Raises:
        Problem: 404, no such case at this stage, or none of the caller's; 403, not the caller's stage; 422, no such
            stage here.
    """
    check_works(caller, stage)
    found = context.engine.case(stream(context, stage), case)
    if found is not None:
        kind: Any = handler(context, stage)
        if stage is not Stage.ACCEPTANCE or context.directory.lies_in(
            found.state.file.accepting_office.jurisdiction, caller.jurisdiction
        ):
            return Here(case, stage, found.version, found.state, kind.task(found.state))
    raise Problem(404, "unknown_case", "本环节没有此办件 / there is no such case at this stage")


def steps(context: Context, stage: Stage, case: str) -> tuple[Step, ...]:
    """The journey of a case, as this stage knows it."""
    name = stream(context, stage)
    facts = context.engine.records.facts
    return journey(
        fact for entry in context.engine.ledger.history(case) if entry.stream == name for fact in facts(entry)
    )


def possible(context: Context, here: Here, caller: Caller) -> list[Action]:
    """What the caller can do now, if what he says holds. The stage judges; this only spares him what is hopeless."""
    if WORKS_AT[here.stage] not in caller.roles:
        return []
    rows = handler(context, here.stage).rows
    offered = [
        action
        for action in ACTIONS.values()
        if here.stage in action.stages
        and any((here.phase, command.__name__) in rows for command in action.commands)
    ]
    return [action for action in offered if _makes_sense(action.name, here.state, caller.caller)]


def _makes_sense(name: str, state: Any, actor: str) -> bool:
    holder = getattr(state, "claimed_by", None)
    lapsed = getattr(state, "accepted_by", None) is AcceptedBy.LAPSE or state.phase is not Phase.IN_REVIEW
    match name:
        case "claim":
            return holder is None
        case "release":
            return holder is not None
        case "attend":
            return state.attention is not None
        case "accept" | "not-accept" if state.phase is not Phase.SUPPLEMENTING:
            sensible = lapsed
        case "supplements":
            sensible = not state.supplement_requested
        case "extend":
            sensible = not state.extension_days
        case "ready":
            sensible = state.phase is not Phase.ISSUED or state.issued.delivery.kind is not DeliveryKind.POST
        case "mail":
            sensible = state.phase is not Phase.ISSUED or state.issued.delivery.kind is DeliveryKind.POST
        case _:
            sensible = True
    return sensible and holder in {None, actor}


class Request(NamedTuple):
    """Around an act: who, upon what, having seen which version, under which key and trace."""

    caller: Caller
    stage: Stage
    case: str
    expects: int | None = None
    key: str = ""
    trace: str = ""


async def perform(context: Context, clock: Clock, request: Request, action: Action, body: ActIn) -> Answer:
    """Act upon a case, and wait until it is durable.

    Raises:
        Problem: 403 the caller does not work here, 404 an accepting office's case is not the caller's, 422 the instant lies ahead or the collection code is wrong.
        BusError: what the stage or the bus says against it.
    """
    check_works(request.caller, request.stage)
    name = stream(context, request.stage)
    if request.stage is Stage.ACCEPTANCE:
        await run_in_threadpool(read, context, request.caller, request.stage, request.case)
    now = clock.now()
    if body.acted_at is not None and body.acted_at > now:
        raise invalid([FieldError("acted_at", "在将来 / lies in the future", "an instant that has passed")])
    canonical = f"{request.case}\n{request.stage}\n{action.name}\n{body.model_dump_json()}"
    answer = await submit(
        context,
        Command(
            stream=name,
            case=request.case,
            data=body.command(),
            actor=request.caller.caller,
            acted_at=body.acted_at or now,
            key=request.key,
            caller=request.caller.caller,
            digest=hashlib.sha256(canonical.encode()).digest(),
            expects=request.expects,
            trace=request.trace,
        ),
    )
    if isinstance(body, HandOverIn) and answer.state.phase is Phase.READY:
        raise _wrong_code(answer.state, answer.version)
    return answer


def _wrong_code(state: PickupState, version: int) -> Problem:
    left = max(0, MAX_WRONG_CODES - state.wrong_codes)
    detail = f"取件码不符,还可尝试{left}次 / the collection code does not match; {left} tries are left"
    wrong = FieldError("code", "取件码不符 / does not match", "the code that was sent to the applicant")
    return Problem(422, "code_mismatch", detail, [wrong], headers={"ETag": etag(version)})
