"""The watch over certificates: one that expires is told once a day, a renewed one is taken up."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from bus.certificates import Certificates, days_left
from bus.transport import RetriableError, Tls
from tests.certificates import Authority
from tests.unit.bus.toys import Clock, Observed


class Watched:
    """A node's certificates, looked at when the test says so."""

    def __init__(self, folder: Path, *, days: float) -> None:
        self.authority = Authority(folder, "ours")
        self.files = self.authority.issue("node", days=days)
        self.clock = Clock()
        self.clock.time = datetime.now(UTC)
        self.observed = Observed()
        self.reconnected = 0
        self.failing = False
        tls = Tls(self.authority.file, *self.files)
        self.certificates = Certificates(tls, self.observed, self.clock, self._reconnect)

    def _reconnect(self) -> None:
        if self.failing:
            raise RetriableError("changed once more")
        self.reconnected += 1

    def look(self) -> dict[str, int]:
        """Days for which each certificate is good, by its subject."""
        found = self.certificates.look()
        return {name.subject: days_left(until, self.clock.now()) for name, until in found.items()}

    def alarms(self, kind: str) -> list[str]:
        return [detail for found, detail in self.observed.alarms if found == kind]


def test_what_expires_is_told_once_a_day(tmp_path: Path) -> None:
    watched = Watched(tmp_path, days=31.5)
    assert watched.look() == {"CN=node": 31, "CN=ours": 3650 - 1}
    assert watched.observed.alarms == []
    watched.clock.move(days=2)
    for _ in range(3):
        assert watched.look()["CN=node"] == 29
        watched.clock.move(hours=1)
    [told] = watched.alarms("certificate_expiring")
    assert told.startswith("certificate CN=node: until ")
    assert told.endswith(" UTC, 29 days")
    watched.clock.move(days=1)
    watched.look()
    watched.look()
    assert len(watched.alarms("certificate_expiring")) == 2
    watched.clock.move(days=30)
    assert watched.look()["CN=node"] < 0
    assert len(watched.alarms("certificate_expiring")) == 3


def test_a_clock_that_is_set_back_silences_nothing(tmp_path: Path) -> None:
    watched = Watched(tmp_path, days=5)
    watched.clock.move(days=3)
    watched.look()
    watched.clock.move(days=-3)
    watched.look()
    assert len(watched.alarms("certificate_expiring")) == 2


def test_renewed_files_are_taken_up_once_they_are_all_there(tmp_path: Path) -> None:
    watched = Watched(tmp_path, days=5)
    assert watched.look()["CN=node"] in (4, 5)
    (tmp_path / "newer").mkdir()
    newer = Authority(tmp_path / "newer", "ours").issue("node", days=300)
    watched.files.key.write_bytes(newer.key.read_bytes())
    assert watched.look()["CN=node"] in (4, 5)
    watched.files.certificate.write_bytes(newer.certificate.read_bytes())
    assert watched.look()["CN=node"] in (4, 5)
    assert watched.reconnected == 0
    for _ in range(3):
        assert watched.look()["CN=node"] in (299, 300)
    assert watched.reconnected == 1
    assert watched.alarms("certificate_unusable") == []
    [told] = watched.alarms("certificate_renewed")
    assert "certificate CN=node: until " in told
    watched.clock.move(days=2)
    watched.look()
    assert len(watched.alarms("certificate_expiring")) == 1  # the one before the renewal


def test_new_files_that_cannot_be_used_are_told_once_and_the_old_ones_stay(tmp_path: Path) -> None:
    watched = Watched(tmp_path, days=5)
    kept = watched.files.key.read_bytes()
    watched.files.key.write_bytes(watched.authority.issue("other").key.read_bytes())
    for _ in range(4):
        assert watched.look()["CN=node"] in (4, 5)
    assert watched.reconnected == 0
    [told] = watched.alarms("certificate_unusable")
    assert told.startswith(f"TLS_KEY: {watched.files.key}: does not belong to the certificate")
    watched.files.key.unlink()
    for _ in range(3):
        watched.look()
    assert len(watched.alarms("certificate_unusable")) == 2
    watched.files.key.write_bytes(kept)
    for _ in range(3):
        watched.look()
    assert watched.reconnected == 1
    assert len(watched.alarms("certificate_unusable")) == 2


def test_taking_up_is_tried_again_where_clients_cannot_be_made(tmp_path: Path) -> None:
    watched = Watched(tmp_path, days=5)
    watched.failing = True
    watched.files.replace_by(watched.authority.issue("other", days=300))
    watched.look()
    for _ in range(2):
        with pytest.raises(RetriableError):
            watched.look()
    watched.failing = False
    assert watched.look()["CN=other"] in (299, 300)
    assert watched.reconnected == 1
