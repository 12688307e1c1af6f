"""A TCP proxy between nodes and brokers that delays, stalls and cuts what passes; it never changes a byte."""

import asyncio
import socket
import threading
from collections.abc import Sequence
from random import Random
from types import TracebackType
from typing import Self

CHUNK = 65_536
LOOK_EVERY = 0.05
"""Seconds between two looks of a stalled connection at whether it may go on."""


class Proxy:
    """One listening port for each target port, all on 127.0.0.1, served by a thread of its own.

    Attributes:
        ports: where to connect, in the order of the targets.
        targets: the port that each of ours stands for; may be changed for connections to come.
        delay: seconds that each chunk is held back at most, by chance (in each direction).
        stalled: while True nothing passes, and no connection is closed: packets vanish.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._random = Random(seed)
        self._sockets = [_listener() for _ in range(count)]
        self.ports = [listener.getsockname()[1] for listener in self._sockets]
        self.targets = [0] * count
        self.delay = 0.0
        self.stalled = False
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def start(self, targets: Sequence[int]) -> None:
        """Begin to serve: connections to the n-th port go to the n-th target."""
        self.targets = list(targets)
        self._thread.start()
        for number, listener in enumerate(self._sockets):
            asyncio.run_coroutine_threadsafe(self._serve(number, listener), self._loop).result(10)

    def cut(self) -> None:
        """Reset every connection there is; new ones may be made at once."""
        self._loop.call_soon_threadsafe(self._cut)

    def calm(self) -> None:
        """No more faults."""
        self.delay, self.stalled = 0.0, False

    def stop(self) -> None:
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
        for listener in self._sockets:
            listener.close()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def _serve(self, number: int, listener: socket.socket) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                back, forth = await asyncio.open_connection("127.0.0.1", self.targets[number])
            except OSError:
                writer.transport.abort()
                return
            self._open |= {writer, forth}
            await asyncio.gather(self._pass_on(reader, forth), self._pass_on(back, writer))

        await asyncio.start_server(accept, sock=listener)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self._random.uniform(0, self.delay))
                while self.stalled:  # noqa: ASYNC110 - another thread sets it
                    await asyncio.sleep(LOOK_EVERY)
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _end(self) -> None:
        self.calm()
        self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _listener() -> socket.socket:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener
