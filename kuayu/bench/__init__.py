"""The bench: our flow through three stages beside what others do with the same events in the same run.

Rates depend on the machine and on what else it does; ratios and CPU for each case depend on less.
"""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from jurisdictions import load_directory
from kuayu.bench import codec, figures, floor, flow, history, intake, node, peering, raw, report, scale
from kuayu.bench.history import HistoryError
from kuayu.bench.peering import PEERS, Peer, Result
from kuayu.bench.speed import BenchError
from kuayu.broker import LocalBroker
from schemas import load_schemas

_WIDTH = 140
"""Characters, where the output is no terminal that has a width of its own."""
DRIVERS = ("confluent", "kafka-python")
_WARM_UP_RECORDS = 250_000
"""Written and read by a driver alone before anything is measured: for as long Java compiles what a broker does, and
whoever came first would pay for all."""


class Size(NamedTuple):
    """How much is measured."""

    records: int
    """Of a driver alone."""
    cases: int
    """Of a round of a flow."""
    rounds: int
    seconds: float
    """A round has fewer cases where it would take longer than this."""
    floor_cases: int
    """Of the flow's last ones, for which the libraries alone are measured."""
    intake_cases: int
    codec_cases: int
    scale_cases: int
    """And ten times as many."""
    idle_seconds: float
    """For which a node is watched that does nothing."""


FULL = Size(
    records=100_000,
    cases=20_000,
    rounds=3,
    seconds=8.0,
    floor_cases=3_000,
    intake_cases=5_000,
    codec_cases=2_000,
    scale_cases=2_000,
    idle_seconds=20.0,
)
QUICK = Size(
    records=20_000,
    cases=8_000,
    rounds=1,
    seconds=2.5,
    floor_cases=1_000,
    intake_cases=2_000,
    codec_cases=300,
    scale_cases=400,
    idle_seconds=8.0,
)


class Kept(NamedTuple):
    """What is done with the history of results."""

    file: Path
    record: bool
    """Append this run."""
    compare: bool
    """With the newest run of the same kind."""


def run_bench(
    *,
    quick: bool,
    out: Path,
    size: Size | None = None,
    peers: tuple[Peer, ...] = PEERS,
    kept: Kept | None = None,
) -> int:
    """Measure, print tables, write the figures to `out` as JSON; `size` instead of the usual one.

    Returns 0; or 1 if a case was lost or doubled or a ledger is not sound: there are no figures then; or if ratios are
    worse than in the run they are compared with.

    Raises:
        HistoryError: there is something else in the history.
    """
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    before = history.last(kept.file, quick=quick) if kept and kept.compare else None
    with tempfile.TemporaryDirectory(prefix="kuayu-bench-") as folder:
        try:
            found = _measure(console, Path(folder), size or (QUICK if quick else FULL), peers, quick=quick)
        except (BenchError, TimeoutError) as error:
            console.print(str(error), style="red", highlight=False)
            return 1
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    report.show(console, found)
    console.print(f"{out}", highlight=False)
    worse = _compare(console, found, before) if kept and kept.compare else False
    if kept and kept.record:
        history.record(kept.file, found, datetime.now(UTC))
    return int(worse)


def _measure(
    console: Console, folder: Path, size: Size, peers: tuple[Peer, ...], *, quick: bool
) -> dict[str, Any]:
    machine = figures.machine()
    raws: dict[str, raw.Raw] = {}
    flows: dict[str, flow.Flow] = {}
    floors: dict[str, floor.Floor] = {}
    nodes: dict[str, node.Node] = {}
    results: list[Result] = []
    for driver in DRIVERS:
        with _broker(console, driver, folder) as broker:
            raw.measure("confluent", broker.bootstrap, _WARM_UP_RECORDS)
            raws[driver] = raw.measure(driver, broker.bootstrap, size.records)
            ledgers = folder / f"{driver}-ledgers"
            flows[driver] = flow.measure(
                driver,
                broker,
                ledgers,
                size.cases,
                rounds=size.rounds,
                seconds=size.seconds,
            )
            floors[driver] = floor.measure(ledgers, size.floor_cases, raws[driver])
            nodes[driver] = node.measure(
                driver, broker.bootstrap, folder / f"{driver}-node", size.idle_seconds
            )
            if driver == DRIVERS[0]:  # the same broker, as warm as ours was
                measured = peering.measure(
                    peers, broker, folder, load_directory(), load_schemas(), size.cases,
                    rounds=size.rounds, seconds=size.seconds,
                )  # fmt: skip
                for result in measured:
                    console.print(_progress(result), highlight=False)
                    results.append(result)
    with console.status("codec …"):
        encoded = codec.measure(size.codec_cases)
    with console.status("intake …"):
        taken = intake.measure(folder / "intake", size.intake_cases)
    with console.status("scale …"):
        scaled = scale.measure(folder / "scale", size.scale_cases)
    machine |= figures.load_average()
    return figures.figures(
        machine,
        quick=quick,
        raws=raws,
        flows=flows,
        floors=floors,
        peers=results,
        intake=taken,
        codec=encoded,
        scale=scaled,
        nodes=nodes,
    )


@contextmanager
def _broker(console: Console, name: str, folder: Path) -> Iterator[LocalBroker]:
    """A fresh broker, named in what goes wrong while it runs."""
    with LocalBroker(folder / name) as broker, console.status(f"{name} …"):
        try:
            yield broker
        except (BenchError, TimeoutError) as error:
            raise BenchError(f"{name}: {error}") from error


def _progress(result: Result) -> str:
    if result.speed is None:
        return f"{result.peer.name}: {result.error}"
    return f"{result.peer.name}: {result.speed.cases_per_s:,.0f} cases/s"


def _compare(console: Console, found: dict[str, Any], before: dict[str, Any] | None) -> bool:
    """Print each ratio then and now; whether one is worse by more than the tolerance."""
    if before is None:
        console.print("还没有可比的结果 / there is no such run in the history yet", highlight=False)
        return False
    changes = history.compare(found, before)
    for change in changes:
        mark = f"  变差 worse by more than {history.TOLERANCE:.0%}" if change.worse else ""
        line = f"{change.ratio}: {change.before:g} ({before['at']}) → {change.now:g}{mark}"
        console.print(line, style="red" if change.worse else "", highlight=False)
    return any(change.worse for change in changes)


__all__ = ["FULL", "QUICK", "BenchError", "HistoryError", "Kept", "Size", "run_bench"]
