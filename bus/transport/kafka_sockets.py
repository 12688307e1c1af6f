"""Sockets of kafka-python that are closed when nobody answers.

Left to itself it forgets a refused connection's socket, and one outage of the broker eats up file descriptors by the
hundred until the garbage collector comes.
"""

import socket
from typing import Any

from kafka.net.inet import KafkaNetSocket

DIRECT = "direct://"
"""The `proxy_url` under which kafka-python finds the class below: its one way to bring sockets of one's own."""


class DirectSocket(KafkaNetSocket):  # type: ignore[misc]  # kafka-python carries no types
    SCHEMES = ("direct",)

    async def sock_connect(self, net: Any, sock: socket.socket, *args: Any, **options: Any) -> Any:
        try:
            return await super().sock_connect(net, sock, *args, **options)
        except Exception:
            sock.close()
            raise
