import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import jurisdictions
from jurisdictions import Directory, load_directory

DATA = Path(jurisdictions.__file__).parent / "data"


@pytest.fixture(scope="session")
def directory() -> Directory:
    return load_directory()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the packaged data that a test may break."""
    return Path(shutil.copytree(DATA, tmp_path / "data"))


@pytest.fixture
def edit(folder: Path) -> Callable[[str, str, str], None]:
    """Replace one text in one file of the copy, as an office's editor would."""

    def replace(file: str, old: str, new: str) -> None:
        text = (folder / file).read_text("utf-8")
        assert old in text, f"{file} has no {old!r}"
        (folder / file).write_text(text.replace(old, new, 1), "utf-8")

    return replace
