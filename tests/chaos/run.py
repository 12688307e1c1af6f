"""One run: load, faults in an order that the seed decides, then peace, and the proof.

`python -m tests.chaos.run --seed 7 --db postgres --duration 300 --driver confluent`
"""

import argparse
import json
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec

from jurisdictions import Stage, load_directory
from kuayu.audit import Kind, Report, audit
from kuayu.topology import DirectoryTopology
from schemas import load_catalogue
from tests.chaos.faults import FAULTS, ONLY_POSTGRES, Scene
from tests.chaos.load import Load
from tests.chaos.region import Lost, Node, Region, until
from tests.chaos.stores import UnavailableError
from tests.chaos.wire import Forger, Wire

WARM_UP: Final = 5.0
SETTLE: Final = 240.0
"""Seconds in which everything must have come to rest."""
SHOWN: Final = 20
ENDS: Final = ("collected", "refused", "not_accepted", "withdrawn")


class Fault(msgspec.Struct):
    """What one kind of fault did; seconds until a new case passed all stages again."""

    injected: int = 0
    survived: int = 0
    recovery_s: float = 0.0
    """The longest."""
    recoveries_s: list[float] = []


class Outcome(msgspec.Struct, kw_only=True):
    """What goes to build/chaos.json."""

    seed: int
    driver: str
    database: str
    seconds: float = 0.0
    partitions: dict[str, dict[Stage, int]] = {}
    """Of the inboxes, by jurisdiction and stage."""
    faults: dict[str, Fault] = {}
    order: list[str] = []
    not_possible_here: dict[str, str] = {}
    cases: int = 0
    events: int = 0
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    without_receipt: int = 0
    damaged: int = 0
    contradictions: int = 0
    longest_stall_s: float = 0.0
    lost_with_ledgers: int = 0
    """Cases that a restored node had told nobody else of: handed in again, they were new ones."""
    restarts: dict[str, int] = {}
    """Nodes that ended by themselves and were started again, as a service manager would."""
    checked: dict[str, int] = {}
    problems: list[str] = []

    @property
    def good(self) -> bool:
        return not self.problems


class Stalls:
    """Looks at the nodes all the time: how long was it, at most, that no case came to an end?"""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.longest = 0.0

    @contextmanager
    def watched(self) -> Iterator[None]:
        self._thread.start()
        yield
        self._stop.set()
        self._thread.join(30)

    def _watch(self) -> None:
        known: dict[str, int] = {}
        before, since = 0, time.monotonic()
        while not self._stop.wait(0.3):
            for node in self._nodes:
                tally = node.tally()
                if tally is not None:
                    known[node.code] = sum(tally[name] for name in ENDS)
            now = time.monotonic()
            self.longest = max(self.longest, now - since)
            if sum(known.values()) != before:
                before, since = sum(known.values()), now


def run(
    outcome: Outcome, folder: Path, *, rate: float, duration: float, kinds: Sequence[str], times: int = 0
) -> None:
    """Fill in the outcome.

    Args:
        outcome: says seed, driver and database.
        folder: empty; everything lies there afterwards.
        rate: cases a second.
        duration: seconds after which no further fault is begun; each kind is had at least once all the same.
        kinds: names of `FAULTS`.
        times: stop after so many faults; 0: by the duration alone.
    """
    begun = time.monotonic()
    chance = Random(outcome.seed)
    with Region(folder, outcome.driver, outcome.database, outcome.seed) as region:
        outcome.partitions = region.partitions
        load = Load(region.nodes, rate, outcome.seed)
        topology = DirectoryTopology(load_directory(region.directory), load_catalogue())
        forger = Forger(topology, Random(outcome.seed))
        scene = Scene(region, load, Wire(region), forger, chance)
        stalls = Stalls(list(region.nodes.values()))
        with load.running():
            time.sleep(WARM_UP)
            with stalls.watched():
                for kind in _order(kinds, chance, begun + duration, times):
                    _inject(kind, scene, outcome)
            load.no_more()
            _answered(load, outcome)
            _done_again(region)
        _settle(region, outcome)
        outcome.longest_stall_s = round(stalls.longest, 1)
        if load.failure is not None:
            outcome.problems.append(f"the load ended by itself: {load.failure!r}")
        # What was done while a clock ran ahead lies in the future: what follows it has to wait until then.
        jumped = "clock_jumped" in outcome.faults
        outcome.problems += [
            what for what in load.book.failures if not (jumped and "kuayu:problem:wrong_order" in what)
        ]
        outcome.lost_with_ledgers = load.book.counts["cases lost with a ledger"]
        outcome.restarts = dict(region.ended)
        region.stop_nodes()
        ledgers = {code: node.ledger for code, node in region.nodes.items()}
        accepted = set(load.book.cases) if not load.in_hand else None
        bootstrap = region.cluster.bootstrap
        _judge(outcome, audit(ledgers, bootstrap=bootstrap, accepted=accepted, directory=region.directory))
    outcome.seconds = round(time.monotonic() - begun, 1)


def _order(kinds: Sequence[str], chance: Random, until_: float, times: int) -> Iterator[str]:
    """All kinds in a new order each round: the first round whole, the others while there is time."""
    done = 0
    while True:
        round_ = list(kinds)
        chance.shuffle(round_)
        for kind in round_:
            if (times and done == times) or (done >= len(kinds) and time.monotonic() > until_):
                return
            yield kind
            done += 1


def _inject(kind: str, scene: Scene, outcome: Outcome) -> None:
    found = outcome.faults.setdefault(kind, Fault())
    begun = time.monotonic()
    try:
        FAULTS[kind](scene)
        found.injected += 1
        lasted = time.monotonic() - begun
        probes = scene.load.probe()
        seconds = until(lambda: scene.load.ended(probes), f"after {kind}: new cases pass all stages")
    except UnavailableError as impossible:
        del outcome.faults[kind]
        outcome.not_possible_here[kind] = str(impossible)
        return
    except Exception as error:  # noqa: BLE001 - the run goes on, and says so at its end
        outcome.problems.append(f"{kind} was not survived: {type(error).__name__}: {error}")
        print(f"  {kind}: {error!r}", flush=True)
        return
    finally:
        scene.region.proxy.calm()
        outcome.order.append(kind)
    recovery = round(time.monotonic() - begun - lasted, 1)
    found.survived += 1
    found.recoveries_s.append(recovery)
    found.recovery_s = max(found.recoveries_s)
    print(f"  {kind}: lasted {lasted:.1f} s, recovered in {recovery:.1f} s ({seconds:.1f})", flush=True)


def _answered(load: Load, outcome: Outcome) -> None:
    """Halls hear of all they have handed in; clerks may leave what they have not done: an open case is no loss."""
    try:
        until(lambda: not load.in_hand, "every application is answered", SETTLE)
    except Lost as lost:
        outcome.problems.append(f"{lost}; {load.in_hand} are not")
    time.sleep(WARM_UP)


def _done_again(region: Region) -> None:
    """Clerks find on their lists, and do again, what a restore lost for good: until then what followed from it waits."""
    with suppress(Lost):  # the next look says what is left
        seconds = until(partial(_at_rest, region), "every hand-over has its receipt", SETTLE)
        print(f"  all receipted {seconds:.1f} s later, clerks still there", flush=True)


def _settle(region: Region, outcome: Outcome) -> None:
    """Every hand-over has its receipt, and stays so."""
    try:
        seconds = until(partial(_at_rest, region), "every hand-over has its receipt", SETTLE)
        print(f"  at rest after {seconds:.1f} s", flush=True)
    except Lost as lost:
        left = {node.code: node.tally() for node in region.nodes.values()}
        outcome.problems.append(f"{lost}: {left}")


def _at_rest(region: Region) -> bool:
    tallies = [node.tally() for node in region.nodes.values()]
    return all(tally is not None and tally["open_handovers"] == 0 for tally in tallies)


def _judge(outcome: Outcome, report: Report) -> None:
    outcome.cases = report.counts["cases"]
    outcome.events = report.counts["events_sent"]
    outcome.lost = report.number_of(Kind.LOST)
    outcome.doubled = report.number_of(Kind.DOUBLED)
    outcome.out_of_order = report.number_of(Kind.OUT_OF_ORDER)
    outcome.without_receipt = report.number_of(Kind.WITHOUT_RECEIPT)
    outcome.damaged = report.number_of(Kind.DAMAGED)
    outcome.contradictions = report.number_of(Kind.CONTRADICTION)
    outcome.checked = dict(sorted(report.counts.items()))
    outcome.problems += [str(problem) for problem in report.problems]


def tell(outcome: Outcome) -> None:
    """Print the summary."""
    print(f"seed {outcome.seed}, {outcome.driver}, {outcome.database}: {outcome.seconds:.0f} s")
    for code, counts in outcome.partitions.items():
        print(f"  partitions of {code}: {', '.join(f'{stage} {count}' for stage, count in counts.items())}")
    for kind, fault in sorted(outcome.faults.items()):
        print(f"  {kind:24} {fault.survived} of {fault.injected} survived, back in {fault.recovery_s} s")
    for kind, why in outcome.not_possible_here.items():
        print(f"  {kind:24} not possible here: {why}")
    print(
        f"{outcome.cases} cases, {outcome.events} events; lost {outcome.lost}, doubled {outcome.doubled}, "
        f"out of order {outcome.out_of_order}, without receipt {outcome.without_receipt}, "
        f"damaged {outcome.damaged}, contradictions {outcome.contradictions}; "
        f"longest stall {outcome.longest_stall_s} s; restarts {outcome.restarts or 'none'}"
    )
    for problem in outcome.problems[:SHOWN]:
        print(f"✗ {problem}")
    if len(outcome.problems) > SHOWN:
        print(f"✗ … {len(outcome.problems) - SHOWN} more")
    print("✗ something is wrong" if outcome.problems else "✓ nothing lost, nothing doubled, all receipted")


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if everything was survived and the proof holds, else 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--db", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--driver", choices=("confluent", "kafka-python"), default="confluent")
    parser.add_argument("--duration", type=float, default=240.0, help="seconds of faults")
    parser.add_argument("--rate", type=float, default=15.0, help="cases a second")
    parser.add_argument("--kind", action="append", choices=sorted(FAULTS), help="only these; may be repeated")
    parser.add_argument("--folder", type=Path, help="kept afterwards; a temporary one by default")
    parser.add_argument("--out", type=Path, default=Path("build/chaos.json"))
    said = parser.parse_args(arguments)
    kinds = said.kind or [kind for kind in FAULTS if said.db == "postgres" or kind not in ONLY_POSTGRES]
    outcome = Outcome(seed=said.seed, driver=said.driver, database=said.db)
    print(f"seed {said.seed}", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is put away
    with tempfile.TemporaryDirectory(prefix="kuayu-chaos-", ignore_cleanup_errors=True) as scratch:
        folder = said.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)  # PostgreSQL may run as a user of its own, who must get there
        run(outcome, folder.resolve(), rate=said.rate, duration=said.duration, kinds=kinds)
    said.out.parent.mkdir(parents=True, exist_ok=True)
    plain: Any = msgspec.to_builtins(outcome)
    said.out.write_text(json.dumps(plain, indent=1, ensure_ascii=False), encoding="utf-8")
    tell(outcome)
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
