"""What is installed with us does not stand in our way, the lock files hold what we declare, the wheels all we need."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SDK = tomllib.loads((ROOT / "producers/sdk/pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
LOCKED = {  # file: the extras that are installed from it
    "requirements.lock": list(EXTRAS),
    "requirements-node.lock": ["confluent", "postgres"],
}
PEERS = {"requirements-bench.lock": "peers", "requirements-bench-quix.lock": "quix"}
"""file: the dependency group that is installed from it, in an environment of its own."""
PACKAGES = PROJECT["tool"]["importlinter"]["root_packages"]


def declared(extras: list[str]) -> list[Requirement]:
    groups = [
        PROJECT["project"]["dependencies"],
        SDK["project"]["dependencies"],
        PROJECT["build-system"]["requires"],
        *(EXTRAS[extra] for extra in extras),
    ]
    return [Requirement(text) for group in groups for text in group]


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_ships_a_package_of_our_name(name: str) -> None:
    assert set(packages_distributions().get(name, [])) <= {"kuayu"}


@pytest.mark.parametrize(
    ("file", "requirement"),
    [
        *((file, requirement) for file, extras in LOCKED.items() for requirement in declared(extras)),
        *(
            (file, Requirement(text))
            for file, group in PEERS.items()
            for text in PROJECT["dependency-groups"][group]
        ),
    ],
    ids=str,
)
def test_the_lock_files_satisfy_what_is_declared(file: str, requirement: Requirement) -> None:
    name = canonicalize_name(requirement.name)
    pinned = re.search(rf"^{re.escape(name)}==(\S+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert pinned, f"{name} is not in {file}: run make lock"
    assert requirement.specifier.contains(pinned[1])


@pytest.mark.parametrize("file", [*LOCKED, *PEERS])
def test_the_lock_files_have_digests_for_all(file: str) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert "--find-links" not in text


def test_a_node_runs_what_the_tests_ran() -> None:
    everything, node = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))
        for file in LOCKED
    )
    assert node.items() <= everything.items()


def test_the_peers_of_the_bench_have_the_drivers_that_ours_has() -> None:
    everything, peers = (
        dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE))
        for file in ("requirements.lock", "requirements-bench.lock")
    )
    for name in ("confluent-kafka", "fastavro"):
        assert peers[name] == everything[name]


def test_the_wheels_hold_every_file_of_the_packages(tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / "src" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path / "src")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    ]
    sources = [tmp_path / "src", tmp_path / "src/producers/sdk"]
    expected = {
        path.relative_to(tmp_path / "src")
        for name in PACKAGES
        for path in (tmp_path / "src" / name).rglob("*")
        if path.is_file()
    }
    subprocess.run([*build, "--wheel-dir", tmp_path / "wheels", *sources], check=True)
    built = {
        Path(name) for wheel in (tmp_path / "wheels").iterdir() for name in zipfile.ZipFile(wheel).namelist()
    }
    sdk = {path for path in expected if path.is_relative_to("producers/sdk")}
    about = {Path("producers/sdk/pyproject.toml"), Path("producers/sdk/README.md")}
    assert expected - sdk - built == set()
    assert {path.relative_to("producers/sdk") for path in sdk - about} - built == set()


@pytest.mark.parametrize(
    "file", ["Makefile", "Dockerfile", ".ci/run", "pyproject.toml", "producers/sdk/pyproject.toml", *LOCKED]
)
def test_where_packages_come_from_is_the_installing_machines_business(file: str) -> None:
    hosts = re.findall(r"://([^/\s:]+)", (ROOT / file).read_text(encoding="utf-8"))
    assert set(hosts) <= {"127.0.0.1"}
