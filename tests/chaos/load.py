"""Steady load through all stages: halls that hand in, clerks who work, applicants who withdraw; all over the real API.

Halls never give up: a case is sent again under its idempotency key until a node says that it has it. What a node has
once said it has is what must never be lost.
"""

import asyncio
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

import httpx
import msgspec
from msgspec.structs import replace

from cases import ENDS, Phase
from jurisdictions import CHINA_TIME, load_directory
from kuayu.demo.book import Book
from kuayu.demo.mixes import MIXES
from kuayu.demo.offices import Offices
from kuayu.demo.scripts import Act, Script, SimulatedCase
from kuayu.demo.simulator import Simulator
from schemas.models import Channel, Delivery, DeliveryKind
from tests.chaos.region import CODES, Node

AGAIN: Final = 0.5
"""Seconds before a hall tries again."""
AT_ONCE: Final = 300
"""Cases in the hands of halls and clerks; beyond, halls take no more applications: on a slow machine all is slower."""
MIX: Final = replace(MIXES["stress"], online=60, instant=0.6)
"""Every path, and fewer clerks."""
BATCH: Final = 50
"""Cases in one request."""
EVERY: Final = 0.25
"""Seconds between batches."""


class Load:
    """Runs in a thread of its own until it is stopped.

    Attributes:
        book: every case that a node said it has.
    """

    def __init__(self, nodes: Mapping[str, Node], rate: float, seed: int) -> None:
        """`rate`: cases a second over all halls."""
        self.book = Book()
        self._nodes = nodes
        self._rate = rate
        today = datetime.now(CHINA_TIME).date()
        directory = load_directory()
        self._simulator = Simulator(directory, CODES, MIX, seed, today)
        self._simulator_of_probes = Simulator(directory, CODES, MIX, seed + 1, today)
        self._quick = {item.code for item in directory.items if item.instant and item.result.electronic}
        self._probed = 0
        self._in_hand = 0
        self._withdrawing = 0
        self._ids: dict[str, str] = {}
        """Of cases, by their references."""
        self._closed = asyncio.Event()
        self._handing_in = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.failure: BaseException | None = None

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Load while the block runs."""
        self._thread.start()
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._closed.set)
            self._thread.join(60)

    def no_more(self) -> None:
        """Halls take no new applications; what is in hand goes on."""
        self._handing_in = False

    @property
    def in_hand(self) -> int:
        """Cases and withdrawals that no node has answered yet."""
        return self._in_hand + self._withdrawing

    def restored(self, codes: Collection[str], since: float) -> None:
        """Nodes went back to how they were at an instant of `time.monotonic`.

        What was handed in there since is handed in again under the same keys; what was withdrawn there is withdrawn
        again; clerks look at their cases as if they had done nothing yet.
        """
        asyncio.run_coroutine_threadsafe(self._restored(codes, since), self._loop).result(60)

    def pending(self) -> int:
        """What is in hand, and what the clerks still have to do."""
        return self.in_hand + sum(self._offices.pending.values())

    def probe(self) -> list[str]:
        """Hand in one case that needs no clerk at each node, for another; the ids, once all are taken."""
        cases = [self._probe(code, CODES[number - 1]) for number, code in enumerate(CODES)]
        taken = [
            asyncio.run_coroutine_threadsafe(self._hand_in(case.node, [case]), self._loop) for case in cases
        ]
        return [case_id for future in taken for case_id in future.result(300)]

    def _probe(self, node: str, owner: str) -> SimulatedCase:
        self._probed += 1
        while True:
            case = self._simulator_of_probes.case(online=True)
            if (case.node, case.submission.belonging) == (
                node,
                owner,
            ) and case.submission.item_code in self._quick:
                break
        delivery = Delivery(kind=DeliveryKind.ELECTRONIC, jurisdiction=owner)
        submission = replace(
            case.submission,
            reference=f"PROBE-{self._probed:06d}",
            delivery=delivery,
            channel=Channel.WEB,
        )
        return SimulatedCase(
            reference=submission.reference or "", node=node, submission=submission, script=Script(review=())
        )

    def ended(self, case_ids: list[str]) -> bool:
        """Whether the accepting nodes say that all these are at an end."""
        for case_id in case_ids:
            node = self._nodes[case_id.split("-", 1)[0]]
            headers = {"Authorization": f"Bearer {node.keys.hall}"}
            try:
                answer = httpx.get(
                    f"{node.url}/v1/cases/{case_id}", headers=headers, timeout=5, trust_env=False
                )
            except httpx.HTTPError:
                return False
            if not answer.is_success or Phase(answer.json()["status"]) not in ENDS:
                return False
        return True

    def refused(self, code: str) -> bool:
        """Hand in a case at a node once: whether it says that it can't take it. If it can, it is a case like others."""
        case = self._simulator_of_probes.case(online=True)
        while case.node != code:
            case = self._simulator_of_probes.case(online=True)
        case = replace(case, reference=f"TRIED-{case.reference}")
        node = self._nodes[code]
        body = [msgspec.to_builtins(case.submission) | {"key": case.reference}]
        headers = {"Authorization": f"Bearer {node.keys.hall}"}
        try:
            answer = httpx.post(
                f"{node.url}/v1/cases", json=body, headers=headers, timeout=10, trust_env=False
            )
            refused = not answer.is_success or answer.json()["results"][0]["status"] >= 500
        except httpx.HTTPError:
            refused = True
        asyncio.run_coroutine_threadsafe(self._hand_in(code, [case]), self._loop)  # until it is answered
        return refused

    # In the thread.

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._work())
        except BaseException as error:  # noqa: BLE001 - the run reports it
            self.failure = error
        finally:
            self._loop.close()

    async def _work(self) -> None:
        self._offices = Offices(self._nodes, self.book)
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(timeout=30.0, trust_env=False, limits=limits) as self._client:
            clerks = asyncio.create_task(self._offices.work(self._closed))
            halls = asyncio.create_task(self._halls())
            await self._closed.wait()
            halls.cancel()
            await asyncio.gather(halls, return_exceptions=True)
            await clerks

    async def _halls(self) -> None:
        async with asyncio.TaskGroup() as self._people:
            begun, made = time.monotonic(), 0
            while not self._closed.is_set():
                await asyncio.sleep(EVERY)
                due = int((time.monotonic() - begun) * self._rate) - made
                if not self._handing_in:
                    continue
                made += due
                batches: dict[str, list[SimulatedCase]] = {}
                for _ in range(min(due, AT_ONCE - self.pending())):
                    case = self._simulator.case()
                    batches.setdefault(case.node, []).append(case)
                for node, cases in batches.items():
                    self._people.create_task(self._bring(node, cases))

    async def _bring(self, node: str, cases: list[SimulatedCase]) -> None:
        for case_id in await self._hand_in(node, cases):
            tracked = self.book.cases.get(case_id)  # lost with a ledger meanwhile, it is brought again
            after = tracked.case.script.withdraw_after if tracked else None
            if after is not None:
                self._people.create_task(self._withdraw(node, case_id, after))

    async def _restored(self, codes: Collection[str], since: float) -> None:
        batches: dict[str, list[SimulatedCase]] = {}
        for tracked in self.book.cases.values():
            script = tracked.case.script
            if tracked.moved >= since and all(act.act is not Act.TRANSFER for act in script.review):
                tracked.acts_done = 0  # a transfer is not repeated: another office has the case now
            if tracked.case.node not in codes:
                continue
            if tracked.handed_in >= since:
                batches.setdefault(tracked.case.node, []).append(tracked.case)
            elif script.withdraw_after is not None and tracked.handed_in + script.withdraw_after >= since:
                self._people.create_task(self._withdraw(tracked.case.node, tracked.case_id, 0))
        for node, cases in batches.items():
            for first in range(0, len(cases), BATCH):
                self._people.create_task(self._bring(node, cases[first : first + BATCH]))

    async def _hand_in(self, code: str, cases: list[SimulatedCase]) -> list[str]:
        """Until the node has them all, under the same keys each time."""
        node = self._nodes[code]
        waiting = {case.reference: case for case in cases}
        self._in_hand += len(waiting)
        taken = []
        while waiting and not self._closed.is_set():
            sent = list(waiting.values())
            body = [msgspec.to_builtins(case.submission) | {"key": case.reference} for case in sent]
            answer = await self._post(node, "/v1/cases", body, {})
            if answer is None:
                continue
            if not answer.is_success:
                self.book.fail(f"handing in at {code}: {answer.status_code} {answer.text}")
                break
            for case, result in zip(sent, answer.json()["results"], strict=True):
                if result["status"] in {503, 504}:
                    continue
                del waiting[case.reference]
                self._in_hand -= 1
                if result["case"] is None:
                    self.book.fail(f"handing in {case.reference}: {result['problem']}")
                else:
                    taken.append(result["case"]["case_id"])
                    self._taken(case, taken[-1])
        self._in_hand -= len(waiting)
        return taken

    def _taken(self, case: SimulatedCase, case_id: str) -> None:
        """Write it down; a case that is handed in again after a restore may be the same, or another."""
        before = self._ids.get(case.reference)
        if before == case_id:
            return
        if before is not None:
            del self.book.cases[before]
            self.book.counts["cases lost with a ledger"] += 1
        self._ids[case.reference] = case_id
        self.book.taken(case, case_id)

    async def _withdraw(self, code: str, case_id: str, after: float) -> None:
        self._withdrawing += 1
        await asyncio.sleep(after)
        headers = {"Idempotency-Key": f"{case_id}-withdrawal"}
        path = f"/v1/cases/{case_id}/withdrawal"
        while not self._closed.is_set() and case_id in self.book.cases:
            answer = await self._post(self._nodes[code], path, {"reason": "申请人撤回"}, headers)
            if answer is None:
                continue
            if answer.status_code == 404:  # lost with a ledger: it will be handed in again, as another case
                await asyncio.sleep(AGAIN)
                continue
            if answer.status_code == 409 and "case_held" in answer.text:
                await asyncio.sleep(AGAIN)
                continue
            if not (answer.is_success or answer.status_code == 409):
                self.book.fail(f"withdrawal of {case_id}: {answer.status_code} {answer.text}")
            break
        self._withdrawing -= 1

    async def _post(
        self, node: Node, path: str, body: Any, headers: Mapping[str, str]
    ) -> httpx.Response | None:
        """None where it has to be sent again: nobody knows whether it was done."""
        authorised = {**headers, "Authorization": f"Bearer {node.keys.hall}"}
        try:
            answer = await self._client.post(f"{node.url}{path}", json=body, headers=authorised)
        except httpx.HTTPError:
            answer = None
        if answer is None or answer.status_code in {503, 504}:
            await asyncio.sleep(AGAIN)
            return None
        return answer
