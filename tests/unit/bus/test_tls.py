"""The files of TLS: what they say, and what is wrong with them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from bus.transport import Tls, TlsError
from tests.certificates import Authority


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def tls(authority: Authority) -> Tls:
    return Tls(authority.file, *authority.issue("node", days=5))


def test_it_says_until_when_each_certificate_is_good(tls: Tls) -> None:
    expiry = tls.expiry()
    assert list(expiry) == [("ca", "CN=ours"), ("certificate", "CN=node")]
    _, node = expiry.values()
    assert abs(node - datetime.now(UTC) - timedelta(days=5)) < timedelta(minutes=10)


def test_of_an_authority_that_was_renewed_the_newest_certificate_counts(
    authority: Authority, tmp_path: Path
) -> None:
    ca = tmp_path / "both.pem"
    old = authority.file.read_bytes()
    newer = Authority(tmp_path, "ours", days=9_000).file
    ca.write_bytes(newer.read_bytes() + old + Authority(tmp_path, "other").file.read_bytes())
    expiry = Tls(ca).expiry()
    assert sorted(subject for _, subject in expiry) == ["CN=other", "CN=ours"]
    assert expiry["ca", "CN=ours"] == Tls(newer).expiry()["ca", "CN=ours"]  # type: ignore[index]


def _encrypt(key: Path) -> None:
    loaded = load_pem_private_key(key.read_bytes(), None)
    encryption = BestAvailableEncryption(b"secret")
    key.write_bytes(loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


@pytest.mark.parametrize(
    ("field", "spoil", "said"),
    [
        ("ca", Path.unlink, "No such file"),
        ("ca", lambda file: file.write_text("garbage"), "no certificate in PEM"),
        ("ca", lambda file: file.write_bytes(file.read_bytes()[:200]), "no certificate in PEM"),
        ("ca", lambda file: file.write_bytes(b""), "no certificate in PEM"),
        ("certificate", Path.unlink, "No such file"),
        ("certificate", lambda file: file.write_bytes(b"\xff\x00"), "no certificate in PEM"),
        ("key", Path.unlink, "No such file"),
        ("key", lambda file: file.write_text("garbage"), "no key in PEM"),
        ("key", _encrypt, "is encrypted; one without a passphrase"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tls: Tls, field: str, spoil: Callable[[Path], object], said: str
) -> None:
    file = getattr(tls, field)
    before = tls.stamp()
    spoil(file)
    with pytest.raises(TlsError, match=f"^TLS_{field.upper()}: {file}: .*{said}"):
        tls.expiry()
    with pytest.raises(TlsError):
        tls.context()
    assert tls.stamp() != before


def test_a_key_of_another_certificate_is_named(tls: Tls, authority: Authority) -> None:
    other = authority.issue("other")
    with pytest.raises(TlsError, match=f"^TLS_KEY: {other.key}: does not belong to the certificate"):
        tls._replace(key=other.key).expiry()


def test_a_link_that_is_turned_to_new_files_is_a_change(
    tls: Tls, authority: Authority, tmp_path: Path
) -> None:
    link = tmp_path / "link.pem"
    link.symlink_to(authority.file)
    linked = tls._replace(ca=link)
    before = linked.stamp()
    assert linked.stamp() == before
    link.unlink()
    link.symlink_to(Authority(tmp_path, "newer").file)
    assert linked.stamp() != before
