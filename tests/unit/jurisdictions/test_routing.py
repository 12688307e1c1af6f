import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from stdnum.cn import uscc

from jurisdictions import (
    Directory,
    InboxAddress,
    Mode,
    NoRoute,
    NoRouteCode,
    Power,
    ReceiptRule,
    Route,
    Stage,
    case_number,
    lint,
    load_directory,
    make_case_number,
    route,
)

Edit = Callable[[str, str, str], None]
DAY = date(2026, 11, 20)
DIPLOMA = "002012001001"  # online, or collect and forward
USED_CARS = "001021001001"  # direct only
TEACHER = "000105001001"
ZHUZHOU, CHANGSHA, XIANGTAN, GUANGZHOU = "430200", "430100", "430300", "440100"


def routed(
    directory: Directory,
    accepted_by: str = ZHUZHOU,
    belongs_to: str = CHANGSHA,
    pickup: str | None = XIANGTAN,
    basic_code: str = DIPLOMA,
    on: date = DAY,
) -> Route:
    code = directory.implement(basic_code, belongs_to).code
    return route(
        directory, item_code=code, accepted_by=accepted_by, belongs_to=belongs_to, pickup=pickup, on=on
    )


def refused(ask: Callable[[], Route]) -> NoRoute:
    with pytest.raises(NoRoute) as caught:
        ask()
    assert caught.value.reason_zh
    assert caught.value.reason_en in str(caught.value)
    return caught.value


def test_zhuzhou_takes_in_changsha_reviews_xiangtan_hands_over(directory: Directory) -> None:
    found = routed(directory)
    assert found.owner == CHANGSHA
    assert found.acceptance == InboxAddress(Stage.ACCEPTANCE, ZHUZHOU)
    assert found.review == InboxAddress(Stage.REVIEW, CHANGSHA)
    assert found.pickup == InboxAddress(Stage.PICKUP, XIANGTAN)
    assert (found.power, found.mode) == (Power.ACCEPT, Mode.COLLECT_AND_FORWARD)
    assert found.receipt_rule is ReceiptRule.WINDOW
    assert found.item is directory.implement(DIPLOMA, CHANGSHA)


def test_an_inbox_has_a_topic_and_a_stream() -> None:
    inbox = InboxAddress(Stage.REVIEW, "430100")
    assert (inbox.topic, inbox.stream) == ("kuayu.review.430100", "430100/review")


def test_guangzhou_only_collects_for_changsha(directory: Directory) -> None:
    found = routed(directory, accepted_by=GUANGZHOU, pickup=None)
    assert (found.power, found.receipt_rule, found.pickup) == (Power.COLLECT, ReceiptRule.OWNER, None)


def test_districts_work_under_their_cities(directory: Directory) -> None:
    city = routed(directory)
    district = route(
        directory,
        item_code=city.item.code,
        accepted_by="430212",
        belongs_to="430102",
        pickup="430304",
        on=DAY,
    )
    assert district == city


def test_an_item_that_cannot_go_the_agreed_way_goes_its_own(directory: Directory) -> None:
    assert routed(directory, basic_code=USED_CARS).mode is Mode.DIRECT
    assert routed(directory, accepted_by=CHANGSHA).mode is Mode.ONLINE


def test_every_owner_takes_in_all_its_own_items(directory: Directory) -> None:
    for item in directory.items:
        found = route(
            directory,
            item_code=item.code,
            accepted_by=item.owner,
            belongs_to=item.owner,
            pickup=item.owner,
            on=DAY,
        )
        assert found.review.code == item.owner


@pytest.mark.parametrize(
    ("owner", "acceptors"),
    [
        (CHANGSHA, {CHANGSHA, ZHUZHOU, XIANGTAN, GUANGZHOU, "610100", "420105"}),
        (ZHUZHOU, {ZHUZHOU, CHANGSHA, XIANGTAN}),
        ("431021", {"431021", "440200", "441200", "350100"}),
        ("440200", {"440200", "431021"}),
        ("430500", {"430500", "431200"}),
        ("433101", {"433101"}),
    ],
)
def test_the_arrangements_in_force(directory: Directory, owner: str, acceptors: set[str]) -> None:
    found = set()
    for acceptor in directory.nodes():
        try:
            routed(directory, accepted_by=acceptor, belongs_to=owner, pickup=None)
        except NoRoute as error:
            assert error.code is NoRouteCode.NO_AGREEMENT  # noqa: PT017 - both outcomes count here
        else:
            found.add(acceptor)
    assert found == acceptors


def test_shaoyang_and_jilin_agreed_on_teachers_only(directory: Directory) -> None:
    assert routed(directory, "430500", "220000", None, TEACHER).review.code == "220000"
    assert routed(directory, "220000", "430500", None, TEACHER).review.code == "430500"
    assert refused(lambda: routed(directory, "220000", "430500", None)).code is NoRouteCode.NO_AGREEMENT


def test_acceptors_of_one_item_never_give_the_same_number(directory: Directory) -> None:
    numbers = set()
    routes = [
        routed(directory, accepted_by=code, pickup=None) for code in (CHANGSHA, ZHUZHOU, XIANGTAN, GUANGZHOU)
    ]
    for found in routes:
        for n in range(600):  # more than a block of 500
            number = make_case_number(found.item.code, DAY, found.serials, n)
            assert case_number(number).item.text == found.item.code
            numbers.add(number)
    assert len(numbers) == 600 * len(routes)


# Refusals


def test_an_unknown_item(directory: Directory) -> None:
    error = refused(
        lambda: route(
            directory,
            item_code="430102199003070011",
            accepted_by=ZHUZHOU,
            belongs_to=CHANGSHA,
            pickup=None,
            on=DAY,
        )
    )
    assert (error.code, error.field) == (NoRouteCode.UNKNOWN_ITEM, "item_code")
    assert "430102199003070011" not in str(error)


def test_an_item_before_its_time(directory: Directory) -> None:
    error = refused(lambda: routed(directory, on=date(2019, 12, 31)))
    assert (error.code, error.field) == (NoRouteCode.ITEM_NOT_IN_FORCE, "on")
    assert "学历公证" in error.reason_zh


@pytest.mark.parametrize("field", ["accepted_by", "belongs_to", "pickup"])
def test_places_unknown_or_abolished(directory: Directory, field: str) -> None:
    item = directory.implement(DIPLOMA, ZHUZHOU)
    places: dict[str, Any] = {"accepted_by": ZHUZHOU, "belongs_to": ZHUZHOU, "pickup": ZHUZHOU}
    error = refused(lambda: route(directory, item_code=item.code, on=DAY, **(places | {field: "439999"})))
    assert (error.code, error.field) == (NoRouteCode.UNKNOWN_JURISDICTION, field)
    old = places | {field: "430221"}
    error = refused(lambda: route(directory, item_code=item.code, on=DAY, **old))
    assert (error.code, error.field) == (NoRouteCode.JURISDICTION_NOT_VALID, field)
    assert "430212" in error.reason_zh
    assert "430212" in error.reason_en


def test_a_matter_of_another_place_than_the_code(directory: Directory) -> None:
    code = directory.implement(DIPLOMA, CHANGSHA).code
    error = refused(
        lambda: route(directory, item_code=code, accepted_by=ZHUZHOU, belongs_to=ZHUZHOU, pickup=None, on=DAY)
    )
    assert (error.code, error.field) == (NoRouteCode.BELONGS_ELSEWHERE, "item_code")
    assert "长沙市" in error.reason_zh
    assert "Zhuzhou" in error.reason_en


def test_no_agreement(directory: Directory) -> None:
    error = refused(lambda: routed(directory, accepted_by=GUANGZHOU, belongs_to=ZHUZHOU))
    assert (error.code, error.field) == (NoRouteCode.NO_AGREEMENT, "accepted_by")
    assert "广州市" in error.reason_zh
    assert "Zhuzhou" in error.reason_en


def test_an_agreement_binds_from_its_first_to_its_last_day(folder: Path, edit: Edit) -> None:
    edit(
        "agreements.yaml", "    serials: [5000, 5499]\n", "    serials: [5000, 5499]\n    until: 2026-11-20\n"
    )
    directory = load_directory(folder)
    [ended] = [agreement for agreement in directory.agreements if agreement.until]
    acceptor, owner = ended.acceptors[0], ended.owner
    assert routed(directory, acceptor, owner, None, on=date(2026, 11, 20)).agreement is ended
    assert routed(directory, acceptor, owner, None, on=ended.since).agreement is ended
    for day in (date(2026, 11, 21), date.fromordinal(ended.since.toordinal() - 1)):
        error = refused(lambda day=day: routed(directory, acceptor, owner, None, on=day))  # type: ignore[misc]
        assert error.code is NoRouteCode.NO_AGREEMENT


def test_an_agreement_that_names_the_item_goes_before_one_for_all(folder: Path, edit: Edit) -> None:
    text = (folder / "agreements.yaml").read_text("utf-8")
    start = text.index("  - id: zhuzhou-for-changsha")
    general = text[start : text.index("  - id:", start + 5)]
    special = (
        general.replace("zhuzhou-for-changsha", "diplomas")
        .replace('"*"', DIPLOMA)
        .replace("accept\n", "collect\n")
    )
    edit("agreements.yaml", general, general + special)
    directory = load_directory(folder)
    assert routed(directory).agreement.id == "diplomas"
    assert routed(directory, basic_code=USED_CARS).agreement.id == "zhuzhou-for-changsha"
    assert lint(folder) == []


def test_a_pickup_place_outside_the_agreement(directory: Directory) -> None:
    error = refused(lambda: routed(directory, pickup=GUANGZHOU))
    assert (error.code, error.field) == (NoRouteCode.PICKUP_NOT_COVERED, "pickup")


@pytest.mark.parametrize(
    ("code", "kept", "field"),
    [
        (ZHUZHOU, "[review, pickup]", "accepted_by"),
        (CHANGSHA, "[acceptance, pickup]", "item_code"),
        (XIANGTAN, "[acceptance, review]", "pickup"),
    ],
)
def test_a_stage_nobody_runs(folder: Path, code: str, kept: str, field: str) -> None:
    path = folder / "jurisdictions.yaml"
    lines = path.read_text("utf-8").split("\n")
    start = lines.index(f"  - code: {code}")
    stages = next(n for n in range(start, len(lines)) if "stages:" in lines[n])
    lines[stages] = f"    stages: {kept}"
    if "partitions:" in lines[stages + 1]:
        del lines[stages + 1]
    path.write_text("\n".join(lines), "utf-8")
    directory = load_directory(folder)
    error = refused(lambda: routed(directory))
    assert (error.code, error.field) == (NoRouteCode.STAGE_NOT_OFFERED, field)


# Size


def province_of(size: int, folder: Path) -> Directory:
    """A directory of `size` counties that all accept for the four next to them."""
    codes = [f"43{n // 80 + 1:02d}{n % 80 + 1:02d}" for n in range(size)]
    places = [
        f"  - {{code: {code}, name_zh: 县{code}, name_en: County {code}, level: county, parent: 430000,"
        " valid_from: 2000-01-01, stages: [acceptance, review, pickup]}"
        for code in codes
    ]
    province = "  - {code: 430000, name_zh: 湖南省, name_en: Hunan, level: province, parent: null, valid_from: 1983-01-01}"
    bodies = []
    agreements = []
    for n, code in enumerate(codes):
        head = f"12{code}{n:09d}"
        bodies.append(f"  {code}: {{notary: {head}{uscc.calc_check_digit(head)}}}")
        for step in range(min(5, size)):
            acceptor = codes[(n + step) % size]
            agreements.append(
                f'  - {{id: {acceptor}-for-{code}, acceptors: [{acceptor}], owner: {code}, items: ["*"], power: accept,'
                f" mode: collect_and_forward, receipt_rule: window, pickup: [{acceptor}],"
                f" serials: [{step * 400 + 1}, {step * 400 + 400}], since: 2020-01-01}}"
            )
    for name, key, lines in (
        ("jurisdictions", "jurisdictions", [province, *places]),
        ("bodies", "bodies", bodies),
        ("agreements", "agreements", agreements),
    ):
        text = "\n".join(['version: "2026.1"', f"{key}:", *lines])
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return load_directory(folder)


def steps_of(call: Callable[[], object]) -> int:
    """How many lines of Python a call runs."""
    steps = 0

    def trace(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal steps
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return steps


def test_a_case_costs_the_same_among_4_and_among_340(folder: Path) -> None:
    steps = []
    for size in (4, 340):
        directory = province_of(size, folder)
        codes = directory.nodes()
        assert len(codes) == size
        for owner, acceptor in ((codes[0], codes[1]), (codes[-1], codes[0])):
            code = directory.implement(DIPLOMA, owner).code

            def ask(
                directory: Directory = directory,
                code: str = code,
                owner: str = owner,
                acceptor: str = acceptor,
            ) -> Route:
                return route(
                    directory, item_code=code, accepted_by=acceptor, belongs_to=owner, pickup=acceptor, on=DAY
                )

            assert ask().agreement.id == f"{acceptor}-for-{owner}"
            steps.append(steps_of(ask))
    assert len(set(steps)) == 1
