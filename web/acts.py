"""Acts handed to the writer, and waited for."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import count

from bus import Answer, BusError, Command
from web.context import Context
from web.problems import Problem

WAIT_SECONDS = 30.0
"""Longer than any commit that succeeds; callers give up soon after."""


async def submit(context: Context, command: Command) -> Answer:
    """Hand an act in and wait until the ledger has it durably.

    Raises:
        BusError: what the bus says against it; nothing was changed.
        Problem: 503 `no_answer_yet`, not known within 30 s; safe to repeat with the same key.
    """
    [answer] = await submit_all(context, [command])
    if isinstance(answer, Exception):
        raise answer
    return answer


async def submit_all(context: Context, commands: Sequence[Command]) -> list[Answer | Exception]:
    """Hand acts in together, in this order, and wait for all. Each has its own answer, or the error against it.

    Raises:
        Problem: as `submit`, for all of them.
    """
    taken = [_hand_in(context, command) for command in commands]
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await _all_done([each for each in taken if isinstance(each, Future)])
    except TimeoutError:
        detail = "尚不知是否已处理,请用同一幂等键重试 / not known yet whether it was done; repeat with the same key"
        raise Problem(503, "no_answer_yet", detail, headers={"Retry-After": "5"}) from None
    return [_outcome(each) if isinstance(each, Future) else each for each in taken]


def _hand_in(context: Context, command: Command) -> Future[Answer] | BusError:
    try:
        return context.engine.writer.submit(command)
    except BusError as error:
        return error


async def _all_done(futures: Sequence[Future[Answer]]) -> None:
    """Wait for the writer's futures without ever cancelling them: it would trip over one that is.

    Only the last one wakes the loop, so that a batch costs one wake-up.
    """
    if not futures:
        return
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()
    numbers = count(1)

    def wake() -> None:
        if not arrived.done():
            arrived.set_result(None)

    def one(_: Future[Answer]) -> None:
        if next(numbers) == len(futures):
            loop.call_soon_threadsafe(wake)

    for future in futures:
        future.add_done_callback(one)
    await arrived


def _outcome(future: Future[Answer]) -> Answer | Exception:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, Exception):
        return error
    raise error
