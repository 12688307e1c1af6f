"""Directories of many jurisdictions are sound, and their members work for one another."""

from datetime import date
from pathlib import Path

import pytest

from jurisdictions import DEFAULT_PARTITIONS, Directory, Stage, lint, load_directory
from kuayu.bench import region
from kuayu.bench.load import ACCEPTANCE, REVIEW, instant_item

DAY = date(2026, 3, 2)


@pytest.mark.parametrize("prefectures", [4, 40])
def test_a_directory_of_any_size_is_sound(tmp_path: Path, prefectures: int) -> None:
    region.write(tmp_path / "directory", prefectures)
    assert lint(tmp_path / "directory") == []
    directory = load_directory(tmp_path / "directory")
    assert len(directory.nodes()) == prefectures
    assert directory.agreement(ACCEPTANCE, instant_item(directory), DAY) is not None


def test_the_four_are_as_they_are_in_the_real_one(tmp_path: Path) -> None:
    region.write(tmp_path / "directory", 40)
    made, real = load_directory(tmp_path / "directory"), load_directory()
    for code in region.FOUR:
        assert made.jurisdiction(code) == real.jurisdiction(code)
    assert [item for item in made.items if item.owner == REVIEW] == [
        item for item in real.items if item.owner == REVIEW
    ]


def test_the_others_accept_for_their_neighbours(tmp_path: Path) -> None:
    region.write(tmp_path / "directory", 40)
    directory = load_directory(tmp_path / "directory")
    [item, *_] = [item for item in directory.items if item.owner == "110100"]
    assert _acceptors(directory, "110100") == 11
    assert directory.partitions(Stage.REVIEW, item.owner) == DEFAULT_PARTITIONS


def _acceptors(directory: Directory, owner: str) -> int:
    item = next(item for item in directory.items if item.owner == owner)
    return sum(directory.agreement(code, item, DAY) is not None for code in directory.nodes())
