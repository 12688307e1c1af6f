"""The sums at the end: what does not add up, and what nodes say differently, is found and named."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert

from bus import Ledger
from bus.ledger import tables
from kuayu.demo.book import Book
from kuayu.demo.readings import Readings, hops
from kuayu.demo.scripts import Script, SimulatedCase
from kuayu.demo.summary import ledgers, sums
from monitoring import Tally
from schemas.models import Applicant, CaseSubmitted, Channel, Delivery, DeliveryKind

SUBMISSION = CaseSubmitted(
    item_code="X",
    belonging="430100",
    channel=Channel.WEB,
    applicant=Applicant(),
    delivery=Delivery(kind=DeliveryKind.COUNTER, jurisdiction="430100"),
)


def tally(code: str, **numbers: int) -> Tally:
    fields = [field.name for field in msgspec.structs.fields(Tally) if field.name != "node"]
    return Tally(node=code, **(dict.fromkeys(fields, 0) | numbers))


def book(*case_ids: str) -> Book:
    made = Book()
    for case_id in case_ids:
        made.taken(
            SimulatedCase(reference=case_id, node="430100", submission=SUBMISSION, script=Script(review=())),
            case_id,
        )
    return made


def test_sums_that_hold_are_passed_over() -> None:
    tallies = {
        "430100": tally("430100", handed_in=2, collected=1, open=1),
        "430200": tally("430200", handed_in=1, withdrawn=1, quarantined=3),
    }
    assert sums(Readings(tallies, {}), book("a", "b", "c"), 3) == []


@pytest.mark.parametrize(
    ("numbers", "cases", "garbage", "problem"),
    [
        ({"handed_in": 2, "collected": 1}, ("a", "b"), 0, "all outcomes together are 1"),
        ({"handed_in": 1, "open": 1}, ("a", "b"), 0, "2 were handed in"),
        ({"handed_in": 1, "open": 1, "open_handovers": 4}, ("a",), 0, "4 hand-overs"),
        ({"handed_in": 1, "open": 1}, ("a",), 2, "2 records of garbage"),
    ],
)
def test_sums_that_do_not_hold_are_named(
    numbers: dict[str, int], cases: Sequence[str], garbage: int, problem: str
) -> None:
    [found] = sums(Readings({"430100": tally("430100", **numbers)}, {}), book(*cases), garbage)
    assert problem in found


def test_two_cases_with_one_id_are_a_failure() -> None:
    assert "a" in book("a", "a").failures[0]


Row = tuple[str, str, str]


def write(folder: Path, code: str, rows: Sequence[Row]) -> None:
    ledger = Ledger(f"sqlite:///{folder / code}.db")
    ledger.create()
    ledger.claim()
    with ledger.engine.begin() as connection:
        for stage, case_id, status in rows:
            values = {"stream": f"{code}/{stage}", "subject": case_id, "status": status}
            connection.execute(insert(tables.case).values(**values, version=1, open=True))
    ledger.close()


CHANGSHA, ZHUZHOU = "430100", "430200"


@pytest.mark.parametrize(
    ("changsha", "zhuzhou", "problem"),
    [
        (
            [("review", "a", "collected"), ("pickup", "a", "collected")],
            [("acceptance", "a", "collected")],
            "",
        ),
        (
            [("review", "a", "refused")],
            [("acceptance", "a", "refused"), ("review", "a", "transferred")],
            "",
        ),
        ([], [], "is in no ledger"),
        (
            [("review", "a", "in_review")],
            [("acceptance", "a", "refused")],
            "refused at acceptance, but in_review",
        ),
        ([], [("acceptance", "a", "in_review")], "in_review at acceptance, but nowhere at review"),
        (
            [("review", "a", "ready"), ("pickup", "a", "collected")],
            [("acceptance", "a", "ready")],
            "ready at acceptance, but collected at pickup",
        ),
        (
            [("acceptance", "a", "in_review"), ("review", "a", "in_review")],
            [("acceptance", "a", "in_review")],
            "at 2 accepting stages",
        ),
        (
            [("review", "a", "in_review"), ("review", "b", "in_review")],
            [("acceptance", "a", "in_review")],
            "b is at review and was never accepted",
        ),
        (
            [("acceptance", "b", "in_review"), ("review", "a", "in_review"), ("review", "b", "in_review")],
            [("acceptance", "a", "in_review")],
            "never handed in",
        ),
    ],
)
def test_ledgers_that_disagree_are_named(
    tmp_path: Path, changsha: Sequence[Row], zhuzhou: Sequence[Row], problem: str
) -> None:
    write(tmp_path, CHANGSHA, changsha)
    write(tmp_path, ZHUZHOU, zhuzhou)
    verdict = ledgers(tmp_path, (CHANGSHA, ZHUZHOU), book("a"), Readings({}, {}))
    between = [
        found
        for found in verdict.differences
        if not found.startswith("ledger of") and "by the tallies" not in found
    ]
    if problem:
        assert any(problem in found for found in between), between
    else:
        assert between == []


def test_a_ledger_that_is_missing_is_named(tmp_path: Path) -> None:
    verdict = ledgers(tmp_path, (CHANGSHA,), book(), Readings({}, {}))
    assert "no ledger" in verdict.differences[0]


def test_latencies_are_taken_over_all_nodes() -> None:
    one = (
        'kuayu_hop_seconds_bucket{counterpart="430100",le="0.1",source_stage="review",stage="pickup"} 6\n'
        'kuayu_hop_seconds_bucket{counterpart="430100",le="0.2",source_stage="review",stage="pickup"} 8\n'
        'kuayu_hop_seconds_bucket{counterpart="430100",le="+Inf",source_stage="review",stage="pickup"} 8\n'
    )
    other = one.replace("} 6", "} 2").replace("} 8", "} 4")
    [(stage, found)] = hops(["# HELP kuayu_other A gauge.\n" + one, other]).items()
    assert (stage, found.events) == ("pickup", 12)
    assert found.p50 == pytest.approx(0.075)
    assert 0.1 < found.p99 < 0.2
