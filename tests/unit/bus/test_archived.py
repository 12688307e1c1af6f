"""What comes for a case whose rows have gone to an archive (decision 16)."""

from contextlib import closing
from typing import Any

import pytest

from bus import CommandRefused
from bus.archive import archive
from bus.envelope import partition_of


def put_away(node: Any) -> int:
    """Archive all that can be, while the node is stopped; how many cases."""
    node.kill()
    with closing(node.reach_ledger()) as ledger:
        moved = archive(ledger, node.folder / "archive", node.clock.now())
    node.open()
    return moved.cases


def test_it_is_told_so_and_does_not_begin_anew(pair: Any) -> None:
    of_one_lane = [case for case in map(str, range(20)) if partition_of(case, 2) == 0]
    old, last = of_one_lane[:2]
    for case in (old, last):
        pair.ask.act(case)
    pair.settle()
    pair.clock.move(days=500)
    assert put_away(pair.answer) == 1
    pair.ask.act(old)
    pair.ask.act(last)
    pair.settle()
    assert pair.answer.observed.outcomes[-2:] == ["refused", "applied"]
    assert pair.answer.notes(old) == ()
    lane = pair.ask.lane(outward=True, case=old)
    assert (lane.number, lane.mark) == (4, 4)
    [(number, refused)] = pair.ask.engine.books.exceptions(lane, 1, 4).items()
    assert (number, refused.status, refused.code) == (3, "refused", "archived")
    with pytest.raises(CommandRefused, match="archived"):
        pair.answer.act(old)
    pair.answer.restart()
    with pytest.raises(CommandRefused, match="archived"):
        pair.answer.act(old)
