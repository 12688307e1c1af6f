"""The bench: what the drivers do alone on this broker, and what the whole flow through three stages does on both.

Rates depend on the machine and on what else it does; ratios to the driver alone and CPU for each case depend on less.
"""

import json
import tempfile
from pathlib import Path

from rich.console import Console

from kuayu.bench import flow, raw, report
from kuayu.bench.flow import BenchError
from kuayu.broker import LocalBroker

CASES, CASES_QUICK = 10_000, 2_000
RECORDS, RECORDS_QUICK = 100_000, 20_000
DRIVERS = ("confluent", "kafka-python")


def run_bench(*, quick: bool, out: Path, cases: int | None = None, records: int | None = None) -> int:
    """Measure, print a table, write the figures to `out` as JSON; `cases` and `records` instead of the usual
    numbers.

    Every driver has a fresh broker of its own. Returns 0, or 1 if a case was lost or doubled or a ledger is not
    sound: there are no figures then.
    """
    console = Console()
    records = records or (RECORDS_QUICK if quick else RECORDS)
    cases = cases or (CASES_QUICK if quick else CASES)
    machine = report.machine()
    raws: dict[str, raw.Raw] = {}
    flows: dict[str, flow.Flow] = {}
    for driver in DRIVERS:
        with tempfile.TemporaryDirectory(prefix="kuayu-bench-") as folder:
            try:
                with LocalBroker(Path(folder) / "broker") as broker, console.status(f"{driver} …"):
                    raws[driver] = raw.measure(driver, broker.bootstrap, records)
                    flows[driver] = flow.measure(driver, broker, Path(folder), cases)
            except (BenchError, TimeoutError) as error:
                console.print(f"{driver}: {error}", style="red", highlight=False)
                return 1
    machine |= report.load_average()
    figures = report.figures(machine, raws, flows)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    report.show(console, figures)
    console.print(f"{out}", highlight=False)
    return 0


__all__ = ["BenchError", "run_bench"]
