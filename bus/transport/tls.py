"""TLS to the brokers: which files it needs, whether they can be used, and until when their certificates are good."""

import socket
import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from bus.transport.base import RetriableError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

ASK_SECONDS = 2.0
"""How long a broker may take to say that it refuses our certificate; one that takes it waits for us to speak."""

Part = Literal["ca", "certificate", "key"]


class TlsError(ValueError):
    """A file can't be used: which part (as its setting is called), the file, and what would be right."""

    def __init__(self, part: Part, problem: str) -> None:
        super().__init__(f"TLS_{part.upper()}: {problem}")


class CertificateName(NamedTuple):
    """Which certificate: the file it stands in, and its subject (RFC 4514)."""

    file: Part
    subject: str


class Tls(NamedTuple):
    """The files (PEM). They may be replaced at any time: each new client reads them anew."""

    ca: Path
    """Who may vouch for the brokers: one certificate or several. Their names are always checked as well (RFC 9525)."""
    certificate: Path | None = None
    """Ours, where brokers ask for one (mutual TLS), with the intermediate ones behind it."""
    key: Path | None = None
    """Of our certificate, not encrypted."""

    def expiry(self) -> Mapping[CertificateName, datetime]:
        """Until when each certificate is good; of several with one name in one file, the one that is good for longest.

        Raises:
            TlsError: a file is missing or no PEM, or the key does not fit the certificate.
        """
        found: dict[CertificateName, datetime] = {}
        files: tuple[tuple[Part, Path | None], ...] = (("ca", self.ca), ("certificate", self.certificate))
        for part, file in files:
            for certificate in _certificates(part, file) if file else ():
                subject = certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"
                name, until = CertificateName(part, subject), certificate.not_valid_after_utc
                found[name] = max(until, found.get(name, until))
        if self.certificate and self.key:
            _check_key(self.key, _certificates("certificate", self.certificate)[0])
        self.context()
        return found

    def context(self) -> ssl.SSLContext:
        """What a client in Python connects with.

        Raises:
            TlsError: as above, though less precise.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificate and host name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(self.ca)
        except OSError as error:  # ssl.SSLError is one
            raise TlsError("ca", f"{self.ca}: {error.strerror or error}") from error
        if self.certificate and self.key:
            try:
                context.load_cert_chain(
                    self.certificate, self.key, password=""
                )  # or OpenSSL would ask the terminal
            except (OSError, ValueError) as error:
                raise TlsError("certificate", f"{self.certificate} and {self.key}: {error}") from error
        return context

    def stamp(self) -> tuple[tuple[int, ...] | None, ...]:
        """Changes whenever one of the files does; None stands for a file that is not there."""
        return tuple(_stamp(file) for file in (self.ca, self.certificate, self.key) if file)

    def refusal(self, bootstrap: str) -> str:
        """Why TLS with a broker fails; empty where it does not, or none listens. Takes some seconds for each address.

        To be asked when no broker answers: drivers say only that.
        """
        for address in bootstrap.split(","):
            host, _, port = address.strip().rpartition(":")
            try:
                self._greet(host.strip("[]"), int(port))
            except (TlsError, ssl.SSLCertVerificationError) as error:
                return f"TLS with {address}: {getattr(error, 'verify_message', error)}"
            except ssl.SSLError as error:
                return f"TLS with {address}: {error.reason or error}"
            except OSError:  # nobody listens, or somebody who says nothing
                continue
        return ""

    def _greet(self, host: str, port: int) -> None:
        context = self.context()
        with (
            socket.create_connection((host, port), ASK_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            secured.recv(
                1
            )  # since TLS 1.3 (RFC 8446) a client learns only here what became of its certificate


class Way(NamedTuple):
    """Where the brokers are, and how they are spoken to."""

    bootstrap: str
    tls: Tls | None

    def no_answer(self, cause: object) -> RetriableError:
        """No broker answers, as a driver met it; where that lies in TLS, what is wrong there, which takes some seconds."""
        refused = self.tls.refusal(self.bootstrap) if self.tls else ""
        return RetriableError(f"{self.bootstrap}: no broker answers: {refused or cause}")


def _certificates(part: Part, file: Path) -> "list[Certificate]":
    from cryptography.x509 import load_pem_x509_certificates  # noqa: PLC0415 - costs start-up time where there is no TLS

    text = _read(part, file)
    try:
        return load_pem_x509_certificates(text)
    except ValueError as error:
        raise TlsError(
            part, f"{file}: no certificate in PEM (-----BEGIN CERTIFICATE-----) can be read"
        ) from error


def _check_key(file: Path, certificate: "Certificate") -> None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415

    text = _read("key", file)
    try:
        key = load_pem_private_key(text, None)
    except TypeError as error:
        raise TlsError(
            "key", f"{file}: the key is encrypted; one without a passphrase would be right"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise TlsError("key", f"{file}: no key in PEM (-----BEGIN PRIVATE KEY-----) can be read") from error
    if key.public_key() != certificate.public_key():
        raise TlsError("key", f"{file}: does not belong to the certificate")


def _read(part: Part, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TlsError(part, f"{file}: {error.strerror}") from error


def _stamp(file: Path) -> tuple[int, ...] | None:
    try:
        stat = file.stat()  # of what a link leads to: secrets are often replaced by turning a link
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_ctime_ns
