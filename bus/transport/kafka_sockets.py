"""Sockets of kafka-python that are closed when nobody answers, or when their client goes before they are in use.

Left to itself it forgets a refused connection's socket, and one outage of the broker eats up file descriptors by the
hundred until the garbage collector comes; and a client that is closed while a connection is being made leaves that
one's socket to the collector too.
"""

from socket import socket
from typing import Any

from kafka.net.inet import KafkaNetSocket

DIRECT = "direct://"
"""The `proxy_url` under which kafka-python finds the class below: its one way to bring sockets of one's own."""


class _Socket(socket):
    """Closed with its last reference, without a complaint: it has no other owner when a client goes early."""

    def __del__(self) -> None:
        self.close()


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
