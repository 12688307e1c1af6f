"""The short form of `make chaos`: a cluster, load through all stages, some faults of each sort, and the whole proof."""

from pathlib import Path

import pytest

from tests.chaos.run import Outcome, run

SHORT = ("node_killed", "broker_leader_killed", "network_cut", "duplicate_storm", "poison")


@pytest.mark.broker
@pytest.mark.long
@pytest.mark.timeout(600)
def test_nothing_is_lost_or_doubled_whatever_happens(tmp_path: Path) -> None:
    outcome = Outcome(seed=20261122, driver="confluent", database="sqlite")
    run(outcome, tmp_path, rate=5, duration=0, kinds=SHORT)
    assert outcome.problems == []
    assert {
        kind: (fault.injected, fault.survived) for kind, fault in outcome.faults.items()
    } == dict.fromkeys(SHORT, (1, 1))
    assert outcome.cases > 0
    assert outcome.events > outcome.cases
