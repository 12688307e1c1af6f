# ruff: noqa: SLF001 (librdkafka's own error codes are public names that begin with an underscore)
"""What every client of confluent-kafka is made with, and the errors that librdkafka tells only its error callback."""

from collections.abc import Callable
from typing import Any, TypeVar

import confluent_kafka as ck

from bus.transport.base import RetriableError
from bus.transport.tls import Tls, TlsError, Way

_Client = TypeVar("_Client")

BROKER_TIMEOUT = 4.0
"""Seconds that a broker may take to answer a question."""
CLOSE_TIMEOUT = 5.0
"""Seconds that a client may take to say goodbye."""

_TROUBLE = {
    ck.KafkaError._ALL_BROKERS_DOWN,
    ck.KafkaError._AUTHENTICATION,
    ck.KafkaError._SSL,
    ck.KafkaError._FATAL,
}
"""What librdkafka tells only its error callback and what must not stay there."""


def opened(kind: Callable[[dict[str, Any]], _Client], way: Way, client: str, **more: Any) -> _Client:
    """A client of librdkafka; it asks for no broker yet, but reads the files of TLS.

    Raises:
        RetriableError: these can't be used now.
    """
    try:
        return kind(_config(way, client, **more))
    except (ck.KafkaException, TlsError) as error:
        raise RetriableError(str(error)) from error


def _config(way: Way, client: str, **more: Any) -> dict[str, Any]:
    return {
        "bootstrap.servers": way.bootstrap,
        **_security(way.tls),
        "client.id": client,
        "socket.timeout.ms": 10_000,
        "socket.connection.setup.timeout.ms": 5_000,
        "reconnect.backoff.max.ms": 1_000,
        "allow.auto.create.topics": False,
        "log_level": 2,  # what matters comes as errors; librdkafka writes the rest to stderr past all logging
        **more,
    }


def _security(tls: Tls | None) -> dict[str, str]:
    if tls is None:
        return {}
    tls.context()  # what librdkafka says of a file names none
    files = {
        "ssl.ca.location": tls.ca,
        "ssl.certificate.location": tls.certificate,
        "ssl.key.location": tls.key,
    }
    return {"security.protocol": "ssl", **{name: str(file) for name, file in files.items() if file}}


class Trouble:
    """The last error that librdkafka told only its error callback; it is called from `poll`, by the owner."""

    def __init__(self) -> None:
        self.error: Any = None

    def __call__(self, error: Any) -> None:
        if error.fatal() or error.code() in _TROUBLE:
            self.error = error

    def take(self) -> Any:
        error, self.error = self.error, None
        return error
