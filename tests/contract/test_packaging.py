"""What is installed with us does not stand in our way, and the lock file holds what we declare."""

import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PACKAGES = PROJECT["tool"]["importlinter"]["root_packages"]
DECLARED = [
    Requirement(text)
    for texts in [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    for text in texts
]


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_ships_a_package_of_our_name(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"kuayu"}


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_the_lock_file_satisfies_what_is_declared(requirement: Requirement) -> None:
    name = canonicalize_name(requirement.name)
    pinned = re.search(rf"^{re.escape(name)}==(\S+)", LOCK, re.MULTILINE)
    assert pinned, f"{name} is not in requirements.lock: run make lock"
    assert requirement.specifier.contains(pinned[1])


def test_the_lock_file_has_digests_for_all_and_no_addresses() -> None:
    entries = re.split(r"^(?=\S)", LOCK, flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "://" not in LOCK
    assert "--find-links" not in LOCK
