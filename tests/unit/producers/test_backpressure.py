"""What callers hear while the writer has too much to do, is away, or takes too long."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import httpx
import pytest

import web
from bus import Answer, Busy, Command, Engine, Ledger
from bus.transport import MemoryBroker
from cases import AcceptanceStage
from producers import Producers, Submissions
from producers.models import EXAMPLE, Submission
from tests.running import PATIENCE
from web import Callers, Context, Problem

APPLICATION = Submission.model_validate(EXAMPLE).event()


class Still(NamedTuple):
    """A node whose writer works only when the test steps it."""

    context: Context
    engine: Engine
    submissions: Submissions
    producers: Producers

    def command(self) -> Command:
        now = datetime.now(UTC).replace(microsecond=0)
        return self.submissions.command(APPLICATION, caller="system:a", key="", acted_at=now, trace="")


@pytest.fixture
def still(world: Any, keys: dict[str, Any], ledger: Ledger) -> Iterator[Still]:
    made = Producers("430200", ledger)
    apart = world.on(MemoryBroker())  # a second 430200 beside the hall would write into its lanes
    engine = apart.engine(ledger, [AcceptanceStage("430200", world.directory)], made.projections)
    context = Context(
        code="430200",
        stages=("acceptance",),
        engine=engine,
        directory=world.directory,
        schemas=world.schemas,
        catalogue=world.catalogue,
        callers=Callers([key.caller for key in keys.values()]),
    )
    yield Still(context, engine, Submissions("430200", ledger), made)
    engine.stop()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_answers_come_in_the_order_of_the_acts(still: Still) -> None:
    commands = [still.command() for _ in range(50)]
    waiting = asyncio.create_task(web.submit_all(still.context, commands))
    await asyncio.sleep(0)
    still.engine.writer.step(0)
    answers = await waiting
    assert [answer.case for answer in answers if isinstance(answer, Answer)] == [c.case for c in commands]


@pytest.mark.anyio
async def test_nothing_to_do_takes_no_time(still: Still) -> None:
    assert await web.submit_all(still.context, []) == []


@pytest.mark.anyio
async def test_too_long_a_wait_is_told_as_unknown(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.acts.WAIT_SECONDS", 0.01)
    command = still.command()
    with pytest.raises(Problem, match="no_answer_yet") as raised:
        await web.submit(still.context, command)
    assert raised.value.headers["Retry-After"]
    still.engine.writer.step(0)  # the act is done all the same, and nobody waits for it
    assert still.context.engine.ledger.case("430200/acceptance", command.case)


@pytest.mark.anyio
async def test_who_goes_away_does_not_disturb_the_writer(still: Still) -> None:
    command = still.command()
    waiting = asyncio.create_task(web.submit(still.context, command))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    still.engine.writer.step(0)
    assert still.context.engine.ledger.case("430200/acceptance", command.case)


@pytest.mark.anyio
async def test_a_full_queue_refuses_what_is_beyond_it(still: Still, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bus.writer.QUEUE_ITEMS", 2)
    commands = [still.command() for _ in range(3)]
    waiting = asyncio.create_task(web.submit_all(still.context, commands))
    await asyncio.sleep(0)
    still.engine.writer.step(0)
    first, second, third = await waiting
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert isinstance(third, Busy)


def test_a_full_queue_is_503_with_retry_after(
    still: Still,
    keys: dict[str, Any],
    application: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    served: Callable[[Any], str],
) -> None:
    monkeypatch.setattr("bus.writer.QUEUE_ITEMS", 0)
    address = served(web.create_app(still.context, [still.producers.router(still.context)]))
    answer = httpx.post(
        f"{address}/v1/cases", json=application, headers=keys["hall"].headers, timeout=PATIENCE
    )
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["type"] == "urn:kuayu:problem:busy"


def test_a_disk_that_fills_is_503_until_there_is_room(
    still: Still,
    keys: dict[str, Any],
    application: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    served: Callable[[Any], str],
) -> None:
    free = 1 << 20
    monkeypatch.setattr(still.engine.watch, "_disk", lambda _folder: (1 << 40, (1 << 40) - free, free))
    still.engine.watch.step(0)
    address = served(web.create_app(still.context, [still.producers.router(still.context)]))
    answer = httpx.post(
        f"{address}/v1/cases", json=application, headers=keys["hall"].headers, timeout=PATIENCE
    )
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.json()["type"] == "urn:kuayu:problem:unavailable"
    free = 1 << 30
    still.engine.watch.step(0)
    still.engine.start()
    answer = httpx.post(
        f"{address}/v1/cases", json=application, headers=keys["hall"].headers, timeout=PATIENCE
    )
    assert answer.status_code == 202


def test_a_node_without_acceptance_has_no_cases_to_take(still: Still) -> None:
    other = replace(still.context, stages=("review",))
    app = web.create_app(other, [still.producers.router(other)])
    assert not any(path.startswith("/v1") for path in app.openapi()["paths"])
