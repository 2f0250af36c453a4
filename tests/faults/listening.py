"""A listening port all of whose connections end with it, also those that are just being accepted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""Speaks on one connection until it is done; it need not close it."""
TURNS = 5
"""How many turns of the loop a transport takes from its close to its end."""


class Listener:
    """One port of this machine and a task for each of its connections; ``port`` is its number once it is open.

    Connections are accepted here and not by an ``asyncio.Server``: one that is closed while it accepts leaves the
    connection's transport unclosed (Python 3.11).
    """

    def __init__(self, serve: Serve) -> None:
        self.port = 0
        self._serve = serve
        self._tls: ssl.SSLContext | None = None
        self._limit = 0
        self._socket: socket.socket | None = None
        self._tasks: dict[asyncio.Task[None], socket.socket] = {}

    async def open(self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None, limit: int = 1 << 16) -> None:
        """Listen on a free port, or on the one that it had before."""
        self._tls, self._limit = tls, limit
        self._socket = socket.create_server((host, self.port))
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._socket, self._accept, self._socket)

    async def close(self) -> None:
        """Listen no more and end every connection; nothing of them is left for the loop's end."""
        assert self._socket is not None
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        open_ones = dict(self._tasks)
        for task in open_ones:
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
        for sock in open_ones.values():
            # A task that had not begun closed nothing.
            sock.close()
        for _ in range(TURNS):
            await asyncio.sleep(0)

    def _accept(self, listening: socket.socket) -> None:
        # A client that is gone already, or was taken before, leaves nobody to accept.
        with contextlib.suppress(BlockingIOError, ConnectionError):
            sock, _ = listening.accept()
            sock.setblocking(False)
            task = asyncio.get_running_loop().create_task(self._converse(sock))
            self._tasks[task] = sock
            task.add_done_callback(lambda done: self._tasks.pop(done, None))

    async def _converse(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(self._limit)
        protocol = asyncio.StreamReaderProtocol(reader)
        # A client that went away, in whatever way, ends its connection and nothing else.
        with contextlib.suppress(OSError, asyncio.CancelledError, ssl.SSLError):
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=self._tls)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            try:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError, ssl.SSLError):
                    await self._serve(reader, writer)
            finally:
                writer.close()
            # A reset that nobody hears is complained about at the loop's end.
            await writer.wait_closed()
