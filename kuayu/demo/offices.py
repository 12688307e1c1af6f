"""The clerks: they look at their work lists, and do with each case what its script says, when it is time.

All go through the task API, as any office's own system would.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, Protocol

import httpx

from cases import TaskKind
from jurisdictions import Stage
from kuayu.demo.book import Book, Tracked
from kuayu.demo.caller import Caller
from kuayu.demo.region import Keys
from kuayu.demo.scripts import Act
from schemas.models import NotAcceptedKind, ReturnReason, SuspensionKind, TransferReason

_LATER: Final = {
    HTTPStatus.NOT_FOUND,
    HTTPStatus.PRECONDITION_FAILED,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_LOOK_SECONDS: Final = 0.4
_PAGE: Final = 200
_AT_ONCE: Final = 6
"""Acts of one office under way at the same time."""

_BEFORE_ACCEPTANCE: Final = frozenset({Act.ACCEPT, Act.NOT_ACCEPT, Act.ASK, Act.TRANSFER})
_AFTER_ACCEPTANCE: Final = frozenset(
    {Act.ASK, Act.TRANSFER, Act.SUSPEND, Act.EXTEND, Act.APPROVE, Act.REFUSE}
)
_GROUND: Final = {"source": "中华人民共和国行政许可法", "article": "第三十二条第一款第一项"}
_REMEDY: Final = {"body": "同级人民政府", "period_days": 60, "text": "可依法申请行政复议"}


class Reached(Protocol):
    """A node, as those who call it see it."""

    @property
    def url(self) -> str: ...
    @property
    def keys(self) -> Keys: ...


class Offices:
    """The clerks of all nodes.

    Attributes:
        pending: what each office still has to do, as of its last look: at once, or when its time comes.
        looks: how often each office has looked.
    """

    def __init__(self, nodes: Mapping[str, Reached], book: Book) -> None:
        self._book = book
        self._halls = {code: Caller(node.url, node.keys.hall) for code, node in nodes.items()}
        self._reviewers = {code: Caller(node.url, node.keys.review) for code, node in nodes.items()}
        self._pickups = {code: Caller(node.url, node.keys.pickup) for code, node in nodes.items()}
        self.pending: dict[tuple[str, Stage], int] = {}
        self.looks: dict[tuple[str, Stage], int] = {}

    async def work(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; what is under way then is finished."""
        try:
            async with asyncio.TaskGroup() as desks:
                for code in self._halls:
                    desks.create_task(
                        self._desk(code, Stage.ACCEPTANCE, self._halls[code], self._supplements, stop)
                    )
                    desks.create_task(
                        self._desk(code, Stage.REVIEW, self._reviewers[code], self._reviews, stop)
                    )
                    desks.create_task(self._desk(code, Stage.PICKUP, self._pickups[code], self._serves, stop))
        finally:
            for caller in (*self._halls.values(), *self._reviewers.values(), *self._pickups.values()):
                await caller.close()

    async def _desk(
        self,
        code: str,
        stage: Stage,
        caller: Caller,
        plan: Callable[[Caller, Tracked, dict[str, Any]], "_Planned | None"],
        stop: asyncio.Event,
    ) -> None:
        key = (code, stage)
        while not stop.is_set():
            started = time.monotonic()
            try:
                tasks = await self._list(caller, stage)
            except httpx.HTTPError:  # a node that was too busy; one that has died is noticed elsewhere
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            self._book.late[code, stage.value] = sum(task["late"] for task in tasks)
            now = time.monotonic()
            planned = [
                (found, one)
                for task in tasks
                if (found := self._book.cases.get(task["case_id"]))
                and (one := self._attend(caller, task, stage) or plan(caller, found, task))
            ]
            due = [(tracked, do) for tracked, (at, do) in planned if at <= now]
            limit = asyncio.Semaphore(_AT_ONCE)
            await asyncio.gather(*(self._do(tracked, do, limit) for tracked, do in due))
            # What is not in our book yet was handed in on the topic, and its answer is under way.
            unknown = sum(task["case_id"] not in self._book.cases for task in tasks)
            self.pending[key] = len(planned) + unknown
            self.looks[key] = self.looks.get(key, 0) + 1
            rest = max(0.05, _LOOK_SECONDS - (time.monotonic() - started))
            try:
                await asyncio.wait_for(stop.wait(), rest)
            except TimeoutError:
                continue

    async def _list(self, caller: Caller, stage: Stage) -> list[dict[str, Any]]:
        tasks: list[dict[str, Any]] = []
        query: dict[str, Any] = {"stage": stage.value, "order": "opened", "limit": _PAGE}
        while True:
            answer = await caller.get("/v1/tasks", **query)
            answer.raise_for_status()
            page = answer.json()
            tasks += page["tasks"]
            if page["next"] is None:
                return tasks
            query["cursor"] = page["next"]

    async def _do(self, tracked: Tracked, do: "_Do", limit: asyncio.Semaphore) -> None:
        async with limit:
            try:
                done = await do()
            except httpx.TransportError:  # seen again at the next look, done or not
                return
            if done:
                tracked.moved = time.monotonic()

    async def _act(self, caller: Caller, task: dict[str, Any], act: str, body: dict[str, Any]) -> bool:
        """True once it is dealt with; False where the case had moved on, and the next look shows how."""
        path = f"/v1/tasks/{task['case_id']}/{act}"
        if act == "attend":
            path += f"?stage={task['stage']}"
        return self._dealt_with(act, task, await caller.post(path, body, version=task["version"]))

    def _dealt_with(self, act: str, task: dict[str, Any], answer: httpx.Response) -> bool:
        if answer.is_success:
            self._book.counts[act] += 1
            return True
        if _moved_on(answer):
            return False
        if (
            answer.status_code == HTTPStatus.CONFLICT
        ):  # an act that does not fit the case: a log may have some
            self._book.counts[f"not applicable: {act}"] += 1
        else:
            self._book.fail(
                f"{act} of {task['case_id']} ({task['status']}): {answer.status_code} {answer.text}"
            )
        return True

    def _attend(self, caller: Caller, task: dict[str, Any], stage: Stage) -> "_Planned | None":
        """A hand-over of the case was refused, which crossing paths can cause: somebody notes it."""
        if not task["attention"]:
            return None

        async def attend() -> bool:
            self._book.counts[f"attention at {stage}: {task['attention']}"] += 1
            return await self._act(caller, task, "attend", {"note": "已核实,两地操作交叉所致"})

        return 0.0, attend

    # Acceptance: the applicant brings what was asked for.

    def _supplements(self, caller: Caller, tracked: Tracked, task: dict[str, Any]) -> "_Planned | None":
        after = tracked.case.script.supplement_after
        if task["kind"] != TaskKind.SUPPLEMENT_PROVIDE or after is None:
            return None
        material = tracked.case.submission.materials[0]
        body = {"materials": [{"code": material.code, "name": material.name, "form": "original"}]}

        async def provide() -> bool:
            answer = await caller.post(
                f"/v1/cases/{tracked.case_id}/supplements", body, key=f"{tracked.case.reference}-supplement"
            )
            if answer.is_success:
                self._book.counts["supplements provided"] += 1
            elif not (_moved_on(answer) or answer.status_code == HTTPStatus.CONFLICT):  # decided meanwhile
                self._book.fail(f"supplement of {tracked.case_id}: {answer.status_code} {answer.text}")
            return answer.is_success

        return _opened(task) + after, provide

    # Review.

    def _reviews(self, caller: Caller, tracked: Tracked, task: dict[str, Any]) -> "_Planned | None":
        kind = task["kind"]
        if kind == TaskKind.SUPPLEMENT_WAIT:
            return None
        fitting = _BEFORE_ACCEPTANCE if kind == TaskKind.REVIEW_ACCEPT else _AFTER_ACCEPTANCE
        if kind == TaskKind.SUSPENSION_WAIT:
            fitting = frozenset({Act.RESUME})
        following = tracked.next_act
        while following is not None and following.act not in fitting:
            if kind == TaskKind.REVIEW_ACCEPT:  # nothing can be done about it before it is accepted
                return tracked.moved, lambda: self._act(caller, task, Act.ACCEPT.value, {})
            tracked.acts_done += 1
            following = tracked.next_act
        if following is None:
            return None
        act = following.act

        async def review() -> bool:
            path, body = _review_body(act, tracked, task)
            done = await self._act(caller, task, path, body)
            tracked.acts_done += done
            return done

        return tracked.moved + following.after, review

    # Pickup.

    def _serves(  # noqa: PLR0911 - one return for each kind of task
        self, caller: Caller, tracked: Tracked, task: dict[str, Any]
    ) -> "_Planned | None":
        script = tracked.case.script
        delivery = tracked.case.submission.delivery
        match task["kind"]:
            case TaskKind.MAKE_READY:
                place = {"place": delivery.address or "政务服务大厅取证窗口"}
                return 0.0, lambda: self._act(caller, task, "ready", place)
            case TaskKind.MAIL:
                parcel = {"carrier": "邮政速递", "tracking_number": f"DEMO{task['version']:09d}"}
                return 0.0, lambda: self._act(caller, task, "mail", parcel)
            case TaskKind.CONFIRM_DELIVERY:
                at = tracked.moved + script.post_seconds
                if script.comes_back and not tracked.came_back:
                    return at, lambda: self._comes_back(caller, tracked, task, ReturnReason.UNDELIVERABLE)
                return at, lambda: self._act(
                    caller, task, "delivered", {"proof": f"签收{task['version']:09d}"}
                )
            case TaskKind.HAND_OVER if script.fetch_after is not None:
                at = tracked.moved + script.fetch_after
                if script.comes_back and not tracked.came_back:
                    return at, lambda: self._comes_back(caller, tracked, task, ReturnReason.DAMAGED)
                return at, lambda: self._hand_over(caller, tracked, task)
        return None

    async def _comes_back(
        self, caller: Caller, tracked: Tracked, task: dict[str, Any], reason: ReturnReason
    ) -> bool:
        tracked.came_back = await self._act(caller, task, "returned", {"reason": reason.value})
        return tracked.came_back

    async def _hand_over(self, caller: Caller, tracked: Tracked, task: dict[str, Any]) -> bool:
        """The applicant has the code from the office where the case was accepted, and shows a document."""
        answer = await self._halls[tracked.case.node].get(f"/v1/cases/{tracked.case_id}")
        collection = answer.json().get("collection") if answer.is_success else None
        if collection is None or collection["code"] == tracked.outdated_code:
            return False  # the news has not reached the accepting office yet
        applicant = tracked.case.submission.applicant
        holder = applicant.agent.person if applicant.agent else applicant.person
        if holder is None and applicant.organisation is not None:
            holder = applicant.organisation.representative
        path = f"/v1/tasks/{task['case_id']}/hand-over"
        shown = {"document_number": holder.document_number if holder else ""}
        if tracked.case.script.wrong_code and not tracked.wrong_code_tried:
            tracked.wrong_code_tried = True
            wrong = await caller.post(path, shown | {"code": "WRONG222"}, version=task["version"])
            if wrong.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
                self._book.counts["wrong code refused"] += 1
            elif _moved_on(wrong):
                tracked.wrong_code_tried = False
            else:
                self._book.fail(f"a wrong code for {task['case_id']} was answered with {wrong.status_code}")
            return False
        shown["code"] = collection["code"]
        answer = await caller.post(path, shown, version=task["version"])
        if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY and "code_mismatch" in answer.text:
            tracked.outdated_code = collection["code"]
            self._book.counts["outdated code refused"] += 1
            return False
        return self._dealt_with("hand-over", task, answer)


_Do = Callable[[], Awaitable[bool]]
_Planned = tuple[float, _Do]
"""When (`time.monotonic`), and what; it answers whether it was done."""


def _moved_on(answer: httpx.Response) -> bool:
    """Whether the act is to be left for the next look.

    The case changed meanwhile, or waits for an event of its own, or the node can't do it now.
    """
    if answer.status_code in _LATER:
        return True
    return answer.status_code == HTTPStatus.CONFLICT and "case_held" in answer.json().get("type", "")


def _opened(task: dict[str, Any]) -> float:
    """When the task came to the list, on our own clock."""
    ago = datetime.now(UTC) - datetime.fromisoformat(task["opened_at"])
    return time.monotonic() - ago.total_seconds()


def _review_body(act: Act, tracked: Tracked, task: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Path and body of an act of the reviewing office."""
    body: dict[str, Any] = {}
    path = act.value
    match act:
        case Act.NOT_ACCEPT:
            body = {
                "kind": NotAcceptedKind.NOT_NEEDED.value,
                "reason": "依法不需要取得行政许可",
                "grounds": [_GROUND],
                "remedy": _REMEDY,
            }
        case Act.ASK:
            material = tracked.case.submission.materials[0]
            wanted = {"code": material.code, "name": material.name, "problem": "影像不清晰,请重新提交"}
            body = {"materials": [wanted], "reason": "材料不齐全"}
        case Act.SUSPEND:
            body = {
                "kind": SuspensionKind.TESTING.value,
                "notice_number": f"特{task['version']}",
                "reason": "需要检测",
                "expected_end": (datetime.now(UTC) + timedelta(days=10)).isoformat(),
            }
        case Act.RESUME:
            body = {"result": "合格"}
        case Act.EXTEND:
            body = {
                "days": 5,
                "approved_by": "负责人",
                "notice_number": f"延{task['version']}",
                "reason": "情况复杂",
            }
        case Act.TRANSFER:
            body = {
                "to": tracked.case.script.transfer_to,
                "kind": TransferReason.WRONG_OFFICE.value,
                "reason": "不属本机关职权",
            }
        case Act.APPROVE:
            path, body = "decide", {"outcome": "approved"}
        case Act.REFUSE:
            path = "decide"
            body = {
                "outcome": "refused",
                "reason": "不符合法定条件",
                "grounds": [_GROUND],
                "remedy": _REMEDY,
            }
    return path, body
