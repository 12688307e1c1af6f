from collections.abc import Callable
from datetime import date, time
from pathlib import Path

import pytest

from jurisdictions import (
    DEFAULT_PARTITIONS,
    Directory,
    Invalid,
    Level,
    Limit,
    LimitStart,
    LimitUnit,
    Mode,
    Period,
    Regime,
    Required,
    Stage,
    item_code,
    load_directory,
)

Edit = Callable[[str, str, str], None]
DIPLOMA = "002012001001"
HUNAN_NODES = ("430100", "430200", "430300", "430500", "430781", "431021", "431200", "433101")


def test_the_members_run_all_three_stages(directory: Directory) -> None:
    assert set(directory.nodes()) >= {"430100", "430200", "430300", "440100"}
    assert directory.nodes() == tuple(sorted(directory.nodes()))
    for code in directory.nodes():
        assert set(directory.jurisdiction(code).stages) == set(Stage)


def test_versions_name_the_data(directory: Directory, folder: Path, edit: Edit) -> None:
    assert directory.version == "2026.1"
    assert directory.calendar.version == "2025.1+2026.1+2027.0"
    edit("agreements.yaml", 'version: "2026.1"', 'version: "2026.10"')
    edit("items.yaml", 'version: "2026.1"', 'version: "2026.9"')
    assert load_directory(folder).version == "2026.10"


@pytest.mark.parametrize(
    ("old", "new", "day"), [("430221", "430212", date(2018, 6, 19)), ("430124", "430182", date(2017, 4, 10))]
)
def test_a_renamed_place_has_dates(directory: Directory, old: str, new: str, day: date) -> None:
    eve = date.fromordinal(day.toordinal() - 1)
    assert directory.jurisdiction_on(old, eve).successor == new
    assert directory.jurisdiction_on(new, day).code == new
    with pytest.raises(Invalid) as caught:
        directory.jurisdiction_on(old, day)
    assert caught.value.expected == new
    with pytest.raises(Invalid, match="not yet valid"):
        directory.jurisdiction_on(new, eve)


def test_a_code_may_mean_two_places_one_after_the_other(folder: Path, edit: Edit) -> None:
    edit(
        "jurisdictions.yaml",
        "  - code: 430102\n",
        "  - code: 430102\n    name_zh: 东区\n    name_en: East\n    level: county\n    parent: 430100\n"
        "    valid_from: 1983-01-01\n    valid_to: 1996-06-30\n  - code: 430102\n",
    )
    directory = load_directory(folder)
    assert directory.jurisdiction_on("430102", date(1990, 1, 1)).name_zh == "东区"
    assert directory.jurisdiction_on("430102", date(2026, 1, 1)).name_zh == "芙蓉区"
    assert directory.jurisdiction("430102").name_zh == "芙蓉区"


def test_places_without_a_node_are_served_from_above(directory: Directory) -> None:
    assert directory.lineage("430102") == ("430102", "430100", "430000")
    assert directory.serving(Stage.REVIEW, "430102") == "430100"
    assert directory.serving(Stage.REVIEW, "431021") == "431021"
    assert directory.serving(Stage.REVIEW, "430700") is None
    assert directory.serving(Stage.REVIEW, "999999") is None


def test_partitions_are_those_of_the_file_or_the_default(directory: Directory) -> None:
    assert directory.partitions(Stage.REVIEW, "430100") == 2
    assert directory.partitions(Stage.PICKUP, "430200") == DEFAULT_PARTITIONS
    with pytest.raises(Invalid, match="not offered"):
        directory.partitions(Stage.REVIEW, "430102")


def test_office_hours_are_those_of_the_file_or_the_usual_ones(directory: Directory) -> None:
    assert directory.jurisdiction("430100").office_hours == (
        Period(time(9), time(12)),
        Period(time(13), time(17)),
    )


def test_every_owner_has_codes_of_its_own_for_the_same_item(directory: Directory) -> None:
    owners = [code for code in directory.nodes() if code != "220000"]
    items = [directory.implement(DIPLOMA, owner) for owner in owners]
    assert [item.owner for item in items] == owners
    assert len({item.code for item in items}) == len(owners)
    assert {item.reviewed_at for item in items} == {Level.CITY, Level.COUNTY}
    for item in items:
        assert item_code(item.code).basic == DIPLOMA
        assert item.code[:18] == item.body.credit_code
        assert directory.item(item.code) is item
        assert directory.item(item.code, item.version) is item


def test_a_district_offers_what_its_city_offers(directory: Directory) -> None:
    assert directory.implement(DIPLOMA, "430102").owner == "430100"


def test_an_item_is_offered_at_the_levels_that_exercise_it(directory: Directory) -> None:
    assert directory.implement("000105001001", "220000").reviewed_at is Level.PROVINCE
    with pytest.raises(Invalid, match="not offered"):
        directory.implement(DIPLOMA, "220000")


def test_a_new_version_stands_beside_the_old_one(folder: Path, edit: Edit) -> None:
    text = (folder / "items.yaml").read_text("utf-8")
    record = text[text.index(f"  - basic_code: {DIPLOMA}") : text.index("  # 2  ")]
    newer = record.replace("version: 1", "version: 2").replace("2020-01-01", "2026-07-01")
    newer = newer.replace(
        "promised: {unit: working_days, amount: 5}", "promised: {unit: working_days, amount: 3}"
    )
    edit("items.yaml", record, record + newer)
    directory = load_directory(folder)
    code = directory.implement(DIPLOMA, "430100").code
    assert directory.item(code).promised == Limit(LimitUnit.WORKING_DAYS, 3)
    assert directory.item(code, 1).promised == Limit(LimitUnit.WORKING_DAYS, 5)
    versions = [directory.item_on(code, date(year, 6, 1)) for year in (2019, 2025, 2027)]
    assert [item and item.version for item in versions] == [None, 1, 2]
    assert [item.version for item in directory.items if item.code == code] == [2]
    with pytest.raises(Invalid, match="one of 1, 2"):
        directory.item(code, 3)


def test_what_is_unknown_is_refused_without_repeating_it(directory: Directory) -> None:
    secret = "430102199003070011"
    for look_up in (
        lambda: directory.jurisdiction(secret),
        lambda: directory.jurisdiction_on(secret, date(2026, 1, 1)),
        lambda: directory.lineage(secret),
        lambda: directory.partitions(Stage.REVIEW, secret),
        lambda: directory.item(secret),
        lambda: directory.implement(secret, "430100"),
        lambda: directory.implement(DIPLOMA, secret),
    ):
        with pytest.raises(Invalid) as caught:
            look_up()
        assert secret not in str(caught.value)
        assert caught.value.field
        assert caught.value.expected


def test_a_broken_folder_is_not_loaded(folder: Path, edit: Edit) -> None:
    edit("agreements.yaml", "power: accept", "power: accepts")
    with pytest.raises(Invalid, match=r"agreements\.yaml.*accepts"):
        load_directory(folder)
    (folder / "agreements.yaml").write_text("agreements: [", "utf-8")
    with pytest.raises(Invalid, match=r"agreements\.yaml: is not YAML"):
        load_directory(folder)
    (folder / "agreements.yaml").unlink()
    with pytest.raises(Invalid, match=r"agreements\.yaml: does not exist"):
        load_directory(folder)


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("jurisdictions.yaml", "parent: 430100", "parent: 430199", "parent: of 430102 is unknown"),
        ("jurisdictions.yaml", "parent: null", "parent: 430102", "unknown or below it"),
        ("bodies.yaml", "  430100:", "  430199:", "430199 is not in jurisdictions.yaml"),
        ("bodies.yaml", "    notary:", "    notaries:", "notaries is not in items.yaml"),
        ("items.yaml", "{id_card: yes,", "{card: yes,", "materials: of 002012001001 lack a name"),
    ],
)
def test_files_that_do_not_fit_together_are_not_loaded(
    folder: Path, edit: Edit, file: str, old: str, new: str, problem: str
) -> None:
    edit(file, old, new)
    with pytest.raises(Invalid, match=problem):
        load_directory(folder)


# The fifty items


def test_fifty_items_are_offered_by_each_city(directory: Directory) -> None:
    for owner in HUNAN_NODES:
        items = [item for item in directory.items if item.owner == owner]
        assert len(items) == len({item.basic_code for item in items}) == 50
        for item in items:
            assert 2 <= len(item.materials) <= 6
            assert item.promised is not None
            assert item_code(item.code)


WORKING = LimitUnit.WORKING_DAYS
CALENDAR = LimitUnit.CALENDAR_DAYS


@pytest.mark.parametrize(
    ("name", "regime", "statutory", "promised"),
    [
        ("学历公证", Regime.NOTARIAL, Limit(WORKING, 15), Limit(WORKING, 5)),
        ("失业登记", Regime.PUBLIC_SERVICE, None, Limit(LimitUnit.AT_ONCE)),
        ("异地购房提取住房公积金", Regime.PAYMENT, Limit(CALENDAR, 3), Limit(WORKING, 3)),
        (
            "企业简易注销登记",
            Regime.REGISTRATION,
            Limit(WORKING, 3, LimitStart.NOTICE_END),
            Limit(WORKING, 1, LimitStart.NOTICE_END),
        ),
        ("食品经营许可", Regime.PERMIT, Limit(WORKING, 10), Limit(WORKING, 5)),
        (
            "教师资格认定",
            Regime.PERMIT,
            Limit(CALENDAR, 30, LimitStart.WINDOW_END),
            Limit(WORKING, 20, LimitStart.WINDOW_END),
        ),
        ("居民身份证换领、补领", Regime.CONFIRMATION, Limit(CALENDAR, 60), Limit(WORKING, 20)),
        ("二手车经营主体备案", Regime.FILING, None, Limit(WORKING, 5)),
        ("无福利分房证明", Regime.CERTIFICATE, None, Limit(WORKING, 2)),
    ],
)
def test_limits_are_those_of_the_law(
    directory: Directory, name: str, regime: Regime, statutory: Limit | None, promised: Limit
) -> None:
    [item] = [item for item in directory.items if item.name_zh == name and item.owner == "430100"]
    assert (item.regime, item.statutory, item.promised) == (regime, statutory, promised)


def test_an_item_says_how_it_is_handled(directory: Directory) -> None:
    items = {item.name_zh: item for item in directory.items if item.owner == "430200"}
    assert items["学历公证"].modes == (Mode.ONLINE, Mode.COLLECT_AND_FORWARD)
    assert items["入托入学预防接种证明"].instant
    assert not items["学历公证"].instant
    diploma = {material.code: material.required for material in items["学历公证"].materials}
    assert diploma["id_card"] is Required.YES
    assert diploma["academic_verification"] is Required.MAY_FOLLOW
    assert diploma["authorisation"] is Required.NO
    assert items["学历公证"].body.name_zh == "株洲市公证处"
