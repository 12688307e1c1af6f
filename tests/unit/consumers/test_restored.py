"""Law 11 with real cases: what is lost with a ledger and given back leaves the stages of a case agreed."""

from pathlib import Path
from typing import Any

import pytest

from bus.backup import back_up
from cases import Phase, commands


@pytest.mark.parametrize("expired", [[], ["kuayu.acceptance.440100"]], ids=["still in Kafka", "expired"])
def test_what_pickup_told_its_own_acceptance_is_told_again(
    region: Any, tmp_path: Path, expired: list[str]
) -> None:
    """Both are in the ledger that was restored; where the topic has nothing either, only review knows of it."""
    [case] = region.arrived()
    region.review.act(case, commands.Accept())
    region.review.act(case, commands.Approve())
    region.settle()
    backup = tmp_path / "backup"
    back_up(region.pickup.ledger, backup)
    region.attempt(case, commands.MakeReady)
    region.settle()
    told = region.acceptance.ledger.case(region.acceptance.stream, case)
    assert told.status == Phase.READY
    for topic in expired:
        region.expire(topic)
    region.restore(region.pickup.node, backup)
    statuses = {desk.ledger.case(desk.stream, case).status for desk in region.desks}
    assert statuses == {Phase.READY}
    state = region.acceptance.node.engine.case(region.acceptance.stream, case).state
    assert (state.collection_code is None) is bool(expired), "the code was in the lost event alone"
    assert region.pickup.node.engine.books.held == {}
    alarms = region.pickup.node.observer.alarms
    assert [kind for kind, _ in alarms] == ["position_lost"] * len(expired)
    alarms.clear()
