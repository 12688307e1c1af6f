"""The work list follows the cases, and is the same after a rebuild."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from bus.backup import back_up
from bus.verification import rebuild
from cases import TaskKind, commands
from consumers.tables import task
from consumers.worklist import Order, at, counts, find, page
from schemas import models


def rows(node: Any) -> list[Any]:
    with node.ledger.read() as connection:
        return sorted(map(tuple, connection.execute(select(task))))


def listed(node: Any, **values: Any) -> list[str]:
    asked: dict[str, Any] = {"is_open": True, "order": Order.DUE, "limit": 50} | values
    return [row.case for row in page(node.ledger, node.stream, **asked).rows]


def test_a_case_comes_changes_and_leaves(region: Any, clock: Any) -> None:
    [case] = region.arrived()
    row = at(region.review.ledger, region.review.stream, case)
    assert row is not None
    assert (row.kind, row.open, row.applicant) == (TaskKind.REVIEW_ACCEPT, True, "张**")
    assert (row.item_zh, row.item_en) == (region.item.name_zh, region.item.name_en)
    assert row.due is not None
    assert not row.urgent(clock.now())
    assert row.urgent(row.due)
    assert row.late(row.due.replace(year=2027))
    assert listed(region.acceptance) == []

    region.review.act(case, commands.Claim())
    assert listed(region.review, claimed_by="clerk:li@430100") == [case]
    assert listed(region.review, claimed_by="clerk:wang@430100") == []
    region.review.act(case, commands.Accept())
    assert listed(region.review, kind=TaskKind.REVIEW_DECIDE) == [case]
    region.review.act(case, commands.Approve())
    region.settle()
    assert listed(region.review) == []
    assert listed(region.review, is_open=False) == [case]
    assert listed(region.pickup, kind=TaskKind.MAKE_READY) == [case]
    for desk in region.desks:
        row, known = at(desk.ledger, desk.stream, case), desk.ledger.case(desk.stream, case)
        assert row is None or (row.version, row.status) == (known.version, known.status)


def test_supplements_are_a_task_of_the_accepting_office(region: Any) -> None:
    [case] = region.arrived()
    first = at(region.review.ledger, region.review.stream, case)
    region.clock.move(days=1)
    asked = models.MaterialRequest(code="x", name="材料", problem="缺页")
    region.review.act(case, commands.RequestSupplement(materials=(asked,)))
    region.settle()
    assert listed(region.acceptance, kind=TaskKind.SUPPLEMENT_PROVIDE) == [case]
    now = at(region.review.ledger, region.review.stream, case)
    assert now is not None
    assert first is not None
    assert now.kind is TaskKind.SUPPLEMENT_WAIT
    assert now.opened == first.opened


def test_the_nearest_due_instant_comes_first(region: Any) -> None:
    [later] = region.arrived()
    region.review.act(later, commands.Accept())
    region.clock.move(days=1)
    [sooner] = region.arrived("李四")
    first = at(region.review.ledger, region.review.stream, later)
    second = at(region.review.ledger, region.review.stream, sooner)
    assert first is not None
    assert second is not None
    assert first.due
    assert second.due
    by_due = [later, sooner] if first.due < second.due else [sooner, later]
    assert listed(region.review) == by_due
    assert listed(region.review, order=Order.OPENED) == [later, sooner]


@pytest.mark.parametrize("order", list(Order))
@pytest.mark.parametrize("limit", [1, 2, 3, 5, 50])
def test_pages_join_to_the_whole_list(region: Any, order: Order, limit: int) -> None:
    cases = region.arrived("甲", "乙", "丙", "丁", "戊")
    found: list[str] = []
    after = None
    while True:
        part = page(
            region.review.ledger, region.review.stream, is_open=True, order=order, limit=limit, after=after
        )
        found += [row.case for row in part.rows]
        after = part.after
        if after is None:
            break
        assert len(part.rows) == limit
    assert found == listed(region.review, order=order)
    assert sorted(found) == sorted(cases)


def test_found_by_id_and_by_case_number(region: Any) -> None:
    [case] = region.arrived()
    ledger, stream = region.review.ledger, region.review.stream
    row = at(ledger, stream, case)
    assert row is not None
    assert find(ledger, [stream], row.case_number) == find(ledger, [stream], case) == [row]
    assert find(ledger, ["440100/pickup"], case) == []
    assert find(ledger, [stream], "nothing") == []


def test_counts_by_kind(region: Any) -> None:
    first, _second = region.arrived("甲", "乙")
    region.review.act(first, commands.Claim())
    row = at(region.review.ledger, region.review.stream, first)
    assert row is not None
    assert row.due
    assert row.urgent_from
    counted = counts(region.review.ledger, region.review.stream, region.clock.now())
    assert [(c.kind, c.open, c.urgent, c.late, c.claimed) for c in counted] == [
        (TaskKind.REVIEW_ACCEPT, 2, 0, 0, 1)
    ]
    assert counts(region.review.ledger, region.review.stream, row.urgent_from)[0].urgent == 2
    assert counts(region.review.ledger, region.review.stream, row.due.replace(year=2027))[0].late == 2


def test_a_name_that_a_database_can_not_store_is_still_shown(region: Any) -> None:
    [case] = region.arrived("\0张")
    row = at(region.review.ledger, region.review.stream, case)
    assert row is not None
    assert "\0" not in row.applicant


ACTS = [
    commands.Claim(),
    commands.Release(reason="换人"),
    commands.Accept(),
    commands.RequestSupplement(materials=(models.MaterialRequest(code="x", name="y", problem="z"),)),
    commands.Approve(),
    commands.Extend(days=3, approved_by="局长", notice_number="延1", reason="案情复杂"),
    commands.MakeReady,
    commands.Mail(carrier="EMS", tracking_number="1"),
    commands.ReturnResult(reason=models.ReturnReason.UNCLAIMED),
    "day",
    "settle",
]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.integers(0, 1), st.sampled_from(ACTS)), max_size=14))
def test_a_rebuild_gives_the_same_rows(
    tmp_path_factory: Any, region_at: Any, steps: list[tuple[int, Any]]
) -> None:
    region = region_at(tmp_path_factory.mktemp("region"))
    cases = region.arrived("甲", "乙")
    for which, what in steps:
        if what == "day":
            region.clock.move(days=1)
        elif what == "settle":
            region.settle()
        else:
            region.attempt(cases[which], what)
    region.settle()
    for node in region.nodes:
        before = rows(node)
        rebuild(node.ledger, node.engine.records, node.projections)
        assert rows(node) == before
        node.ledger.close()


def test_what_two_receivers_give_back_of_one_act_leaves_the_list_as_it_was(
    region: Any, tmp_path: Path
) -> None:
    """The second event has nothing new to tell its case, which takes another version all the same."""
    delivery = models.Delivery(kind=models.DeliveryKind.POST, jurisdiction="440100", address="黄兴路1号")
    case = region.hand_in(delivery=delivery)
    region.settle()
    region.review.act(case, commands.Accept())
    region.review.act(case, commands.Approve())
    region.settle()
    backup = tmp_path / "backup"
    back_up(region.pickup.ledger, backup)
    region.pickup.act(case, commands.Mail(carrier="EMS", tracking_number="E1"))
    region.settle()
    region.restore(region.pickup.node, backup)
    row = at(region.pickup.ledger, region.pickup.stream, case)
    known = region.pickup.ledger.case(region.pickup.stream, case)
    assert row is not None
    assert (row.version, row.status, row.kind) == (known.version, "mailed", TaskKind.CONFIRM_DELIVERY)
    assert region.pickup.node.engine.books.held == {}
