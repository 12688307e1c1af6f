"""Clients of kafka-python that leave nothing behind when nobody answers, or when they go before they are in use.

Left to itself a client that finds no broker leaves its thread, which goes on looking for one. It forgets a refused
connection's socket, and one outage of the broker eats up file descriptors by the hundred until the garbage collector
comes; and a client that is closed while a connection is being made leaves that one's socket to the collector too. It
does the same with one whose TLS handshake fails.
"""

import ssl
from collections.abc import Callable
from socket import socket
from typing import Any

from kafka.errors import KafkaError
from kafka.net.inet import KafkaNetSocket

from bus.transport.base import RetriableError
from bus.transport.tls import Tls, TlsError, Way

BROKER_TIMEOUT_MS = 4_000
"""Milliseconds that a broker may take to answer a question."""
DIRECT = "direct://"
"""The `proxy_url` under which kafka-python finds the class below: its one way to bring sockets of one's own."""


class _Socket(socket):
    """Closed with its last reference, without a complaint: it has no other owner when a client goes early."""

    def __del__(self) -> None:
        self.close()


class _SecureSocket(ssl.SSLSocket):
    """Closed when its handshake fails, and with its last reference, as above."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - ssl.SSLSocket has it so
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise

    def __del__(self) -> None:
        self.close()


def security(tls: Tls | None) -> dict[str, Any]:
    """What clients of kafka-python are told of TLS; plain text without it.

    Raises:
        TlsError: a file can't be used.
    """
    if tls is None:
        return {}
    context = tls.context()
    context.sslsocket_class = _SecureSocket
    return {"security_protocol": "SSL", "ssl_context": context}


class DirectSocket(KafkaNetSocket):  # type: ignore[misc]  # kafka-python carries no types
    SCHEMES = ("direct",)

    def socket(self, family: int = -1, sock_type: int = -1, proto: int = -1) -> _Socket:
        return _Socket(family, sock_type, proto)

    async def sock_connect(self, net: Any, sock: _Socket, *args: Any, **options: Any) -> Any:
        try:
            return await super().sock_connect(net, sock, *args, **options)
        except Exception:
            sock.close()
            raise


def open_client(
    kind: Callable[..., Any], way: Way, client: str, *, timeout_ms: int = BROKER_TIMEOUT_MS, **config: Any
) -> Any:
    """A consumer, producer or admin client of kafka-python under this client id.

    Raises:
        RetriableError: no broker answers within the time-out, in milliseconds, or a file of the TLS settings can't be used.
    """
    begun = []

    def remember(**options: Any) -> Any:
        begun.append(kind.DEFAULT_CONFIG["kafka_client"](**options))  # type: ignore[attr-defined]
        return begun[-1]

    try:
        return kind(
            bootstrap_servers=way.bootstrap.split(","),
            client_id=client,
            kafka_client=remember,
            bootstrap_timeout_ms=timeout_ms,
            reconnect_backoff_max_ms=1_000,
            proxy_url=DIRECT,
            **security(way.tls),
            **config,
        )
    except TlsError as error:
        raise RetriableError(str(error)) from error
    except KafkaError as error:
        for opened in begun:
            opened.close()
        raise way.no_answer(error) from error
