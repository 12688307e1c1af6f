"""What kafka-python leaves behind when a client goes early."""

import asyncio
import gc
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bus.transport.kafka_client import DirectSocket


class Net:
    """A loop that is stopped while a connection is being made."""

    async def wait_write(self, _: socket.socket, timeout_at: float | None = None) -> None:
        assert timeout_at is None
        await asyncio.sleep(0)


@contextmanager
def nothing_unclosed() -> Iterator[None]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("made", [False, True], ids=["half-made", "made"])
def test_a_connection_nobody_waits_for_any_more_is_closed(*, made: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, nothing_unclosed():
        address = (socket.AF_INET, socket.SOCK_STREAM, 0, "", server.getsockname())
        connecting = DirectSocket("direct://").connect(Net(), address)
        connecting.send(None)
        if made:
            with pytest.raises(StopIteration) as done:
                connecting.send(None)
            del done
        del connecting
        accepted, _ = server.accept()
        with accepted:
            accepted.settimeout(5)
            assert accepted.recv(1) == b""
