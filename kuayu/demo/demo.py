"""`kuayu demo`: the whole region on one machine, for as long as one likes, and a sum at the end that must add up."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

import httpx
from rich.console import Console

from bus.transport import TransportError
from jurisdictions import CHINA_TIME, Directory, Stage, load_directory
from kuayu.broker import BrokerInstallError, BrokerStartError
from kuayu.demo import sources, summary
from kuayu.demo.applicants import Applicants, Arrival
from kuayu.demo.book import Book
from kuayu.demo.intake import IntakeSystem
from kuayu.demo.mixes import MIXES
from kuayu.demo.offices import Offices
from kuayu.demo.readings import Readings, read
from kuayu.demo.region import CODES, Region, RegionError
from kuayu.demo.screen import Screen
from monitoring import Tally
from producers.feeds import PACKAGED, FeedError, load_mapping, read_plans
from schemas.models import SubmissionAnswered

_LOOK_SECONDS: Final = 1.0
_STALL_SECONDS: Final = 60.0
"""Nothing has moved for so long, and something should have."""
_SETTLE_SECONDS: Final = 20.0
"""After an interruption: for what is in transit to arrive."""
_QUIET_LOOKS: Final = 2
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_demo(cases: int | None, log: Path | None, seed: int, mix: str, mapping: Path | None = None) -> int:
    """Run the demonstration and say how it went: 0 if all numbers add up and all nodes agree, else 1; 2 if it can't run.

    Args:
        cases: stop after so many; None: go on until interrupted (a log ends by itself).
        log: replay this event log instead of simulating.
        seed: the same seed makes the same cases.
        mix: a name of `MIXES`.
        mapping: how to read the log; the packaged one by default.
    """
    console = Console(highlight=False)
    _listen()
    try:
        directory = load_directory()
        arrivals = _arrivals(cases, log, seed, mix, mapping, directory)
        begun = time.monotonic()
        with Region(console.print) as region:
            console.print(f"就绪 ready ({time.monotonic() - begun:.1f} s)")
            return _Run(console, region, directory).through(arrivals)
    except KeyboardInterrupt:
        console.print("已中止 interrupted before it began")
        return 1
    except (
        BrokerInstallError,
        BrokerStartError,
        RegionError,
        TransportError,
        FeedError,
        ValueError,
        OSError,
    ) as error:
        console.print(f"kuayu demo: {error}", style="red", soft_wrap=True, markup=False)
        return 2


def _listen() -> None:
    """Being told to end, or losing the terminal, is as good as Ctrl-C."""
    for number in _ENDING:
        signal.signal(number, _as_interrupt)


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _arrivals(
    cases: int | None, log: Path | None, seed: int, mix: str, mapping: Path | None, directory: Directory
) -> Iterator[Arrival]:
    today = datetime.now(CHINA_TIME).date()
    if log is None:
        if mix not in MIXES:
            raise ValueError(f"--mix {mix}: {' or '.join(MIXES)} would be right")
        return sources.simulated(directory, CODES, mix, seed, today, cases)
    rules = load_mapping(mapping or PACKAGED)
    plans = list(read_plans(log, rules))[:cases]
    if not plans:
        raise FeedError(log.name, "has no cases", "a log with at least one")
    return sources.logged(plans, rules, directory, CODES, seed, today)


class _Run:
    """One run over a region that is up."""

    def __init__(self, console: Console, region: Region, directory: Directory) -> None:
        self._console = console
        self._region = region
        self._directory = directory
        self._book = Book()
        self._begun = self._changed = time.monotonic()
        self._last: dict[str, Tally] = {}
        self._looks: dict[tuple[str, Stage], int] = {}

    def through(self, arrivals: Iterator[Arrival]) -> int:
        """From the first case to the summary; the nodes are stopped when it is printed."""
        try:
            readings, garbage = asyncio.run(self._work(arrivals))
        except ExceptionGroup as several:
            raise RegionError(f"{type(several.exceptions[0]).__name__}: {several.exceptions[0]}") from several
        _listen()  # the loop has put the defaults back
        seconds = time.monotonic() - self._begun
        self._region.stop_nodes()
        verdict = summary.ledgers(self._region.folder, CODES, self._book, readings)
        differences = [
            *self._book.failures,
            *summary.sums(readings, self._book, garbage),
            *verdict.differences,
        ]
        verdict = verdict._replace(differences=differences)
        summary.tell(self._console, readings, self._book, verdict, garbage, seconds)
        return 1 if differences else 0

    async def _work(self, arrivals: Iterator[Arrival]) -> tuple[Readings, int]:
        loop = asyncio.get_running_loop()
        stop, closing = asyncio.Event(), asyncio.Event()
        for number in _ENDING:
            loop.add_signal_handler(number, stop.set)
        nodes = self._region.nodes

        def replied(answer: SubmissionAnswered) -> None:
            loop.call_soon_threadsafe(applicants.answered, answer)

        region = self._region
        intake = IntakeSystem(region.driver, region.bootstrap, CODES, replied, region.tls)
        applicants = Applicants(nodes, self._book, intake)
        offices = Offices(nodes, self._book)
        intake.start()
        try:
            with Screen(self._console, self._region, self._directory, self._book) as screen:
                async with (
                    httpx.AsyncClient(timeout=20.0, trust_env=False) as client,
                    asyncio.TaskGroup() as group,
                ):
                    handing_in = group.create_task(applicants.hand_in(arrivals, stop))
                    working = group.create_task(offices.work(closing))
                    while not stop.is_set():
                        readings = await self._look(client, screen, applicants, intake)
                        if handing_in.done() and self._settled(readings, applicants, offices):
                            break
                        with suppress(TimeoutError):
                            await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)
                    closing.set()
                    await handing_in
                    await working
                    readings = await self._let_arrive(client, screen, applicants, intake)
            await applicants.close()
        finally:
            await asyncio.to_thread(intake.stop)
        return readings, intake.garbage

    async def _look(
        self, client: httpx.AsyncClient, screen: Screen, applicants: Applicants, intake: IntakeSystem
    ) -> Readings:
        for node in self._region.nodes.values():
            node.check()
        if intake.failure is not None:
            raise RegionError(f"the intake system had to stop: {intake.failure}")
        await applicants.withdraw_due()
        readings = await read(client, self._region.nodes)
        screen.show(readings)
        return readings

    def _settled(self, readings: Readings, applicants: Applicants, offices: Offices) -> bool:
        """Whether nothing is left to do: all offices have looked twice since anything changed, and found nothing."""
        now = time.monotonic()
        idle = not (applicants.pending or sum(offices.pending.values()) or readings.total("open_handovers"))
        if readings.tallies != self._last or not idle:
            if readings.tallies != self._last:
                self._changed = now
            self._last = readings.tallies
            self._looks = offices.looks.copy()
            if now - self._changed > _STALL_SECONDS:
                waiting = {
                    f"{code}/{stage}": number for (code, stage), number in offices.pending.items() if number
                }
                self._book.fail(f"nothing has moved for {_STALL_SECONDS:.0f} s, and work is left: {waiting}")
                return True
            return False
        return all(looks >= self._looks.get(desk, 0) + _QUIET_LOOKS for desk, looks in offices.looks.items())

    async def _let_arrive(
        self, client: httpx.AsyncClient, screen: Screen, applicants: Applicants, intake: IntakeSystem
    ) -> Readings:
        """The last reading, when nothing is in transit any more."""
        until = time.monotonic() + _SETTLE_SECONDS
        while True:
            readings = await self._look(client, screen, applicants, intake)
            in_transit = len(self._book.awaited) + readings.total("open_handovers")
            if (
                not in_transit
                and readings.total("quarantined") == intake.garbage
                and readings.tallies == self._last
            ):
                return readings
            if time.monotonic() > until:
                return readings  # the summary says what is missing
            self._last = readings.tallies
            await asyncio.sleep(0.3)
