"""Environments for the peers, made once: what they need is no part of the program's own."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv-bench"
_SECONDS = 300.0


class NotInstalledError(Exception):
    """A peer's environment could not be made; the message says why."""


def python_for(lock: Path) -> Path:
    """The interpreter of the environment that a lock file describes; it is made where it is missing or out of date.

    Raises:
        NotInstalledError: there is no such file, or its packages can't be had.
    """
    if not lock.exists():
        raise NotInstalledError(f"there is no {lock.name}; run the bench from a checkout")
    folder = FOLDER / lock.stem
    python, stamp = folder / "bin" / "python", folder / "made-from"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(folder))
    _run(
        str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--require-hashes", "--requirement", str(lock),
    )  # fmt: skip
    stamp.write_text(digest, encoding="ascii")
    return python


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=_SECONDS)  # noqa: S603 - our own
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"not installed within {_SECONDS:.0f} s") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotInstalledError(said[-1] if said else f"exit code {done.returncode}")
