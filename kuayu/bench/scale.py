"""Whether work grows with the cases and with nothing else: ten times the cases, and a directory of the whole country."""

from pathlib import Path
from typing import NamedTuple

from kuayu.bench import flow, region, speed
from kuayu.broker import LocalBroker

_FACTOR = 10
_DRIVER = "confluent"


class Scale(NamedTuple):
    """All on one driver, without pauses."""

    cases: int
    ten_times_the_cases: float
    """How many times as long ten times as many cases took, on the same ledgers; 11 at most is the goal."""
    jurisdictions: int
    python_us_per_case_of_four: float
    python_us_per_case_of_all: float
    all_to_four: float
    """Python CPU a case with the large directory, against that with four jurisdictions."""


def measure(folder: Path, cases: int, *, warm_up: int = 200) -> Scale:
    """Run so many cases, then ten times as many; and those again with the large directory.

    Raises:
        BenchError: a case was lost, or a process ended.
        TimeoutError: a run did not end.
    """
    once, ten_times, four_us = _run(folder, len(region.FOUR), cases, warm_up)
    _, _, all_us = _run(folder, region.PREFECTURES, cases, warm_up)
    return Scale(
        cases=cases,
        ten_times_the_cases=ten_times / once,
        jurisdictions=region.PREFECTURES,
        python_us_per_case_of_four=four_us,
        python_us_per_case_of_all=all_us,
        all_to_four=all_us / four_us,
    )


def _run(folder: Path, prefectures: int, cases: int, warm_up: int) -> tuple[float, float, float]:
    """Seconds for the cases and for ten times as many, and the Python CPU of one of the latter."""
    home = folder / f"of-{prefectures}"
    region.write(home / "directory", prefectures)
    with (
        LocalBroker(home / "broker") as broker,
        flow.workers(_DRIVER, broker, home, home / "directory") as workers,
    ):
        speed.took(workers, warm_up)
        once = speed.took(workers, cases)
        before = speed.usages(workers)
        ten_times = speed.took(workers, _FACTOR * cases)
        used = speed.python_us(speed.costs(workers, before, _FACTOR * cases))
        flow.check(speed.ask_all(workers, "audit"), warm_up + (1 + _FACTOR) * cases)
    return once, ten_times, used
