"""The small disks: what a killed run leaves mounted is cleared away by the next one."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.stores import SmallDisk


def mounted(at: Path) -> bool:
    return any(line.split(" ")[1] == str(at) for line in Path("/proc/mounts").read_text().splitlines())


def test_a_disk_whose_process_was_killed_is_gone_with_the_next_one(tmp_path: Path) -> None:
    ours, left = SmallDisk(tmp_path / "ours", 1 << 20), tmp_path / "left"
    try:
        if not ours.mounted:
            pytest.skip("this user may not mount file systems")
        killed = (
            "import os, pathlib, signal, sys; from tests.chaos.stores import SmallDisk; "
            "SmallDisk(pathlib.Path(sys.argv[1]), 1 << 20); os.kill(os.getpid(), signal.SIGKILL)"
        )
        subprocess.run([sys.executable, "-c", killed, str(left)], check=False)
        assert mounted(left)
        SmallDisk(tmp_path / "next", 1 << 20).close()
        assert not mounted(left)
        assert mounted(ours.at), "its process lives"
    finally:
        ours.close()
    assert not mounted(ours.at)


def test_what_lay_on_a_disk_is_kept_in_its_folder(tmp_path: Path) -> None:
    disk = SmallDisk(tmp_path / "disk", 1 << 20)
    (disk.at / "data").mkdir()
    (disk.at / "data" / "ledger.db").write_bytes(b"ledger")
    disk.close()
    assert not mounted(disk.at)
    assert (disk.at / "data" / "ledger.db").read_bytes() == b"ledger"
