"""Peers below HTTP: a proxy that tunnels, a listener whose queue is full, a port where nobody listens."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from types import TracebackType

from tests.faults.listening import Listener
from tests.faults.server import Request, read


class Proxy:
    """``async with Proxy({"host:port": port}) as proxy``: an HTTP proxy that leads CONNECT to ports of this machine.

    ``requests`` holds each CONNECT as it came: what a proxy gets to see. A host that is not in the table gets 502.
    """

    def __init__(self, table: Mapping[str, int]) -> None:
        self.requests: list[Request] = []
        self._table = dict(table)
        self._listener = Listener(self._serve)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The proxy's address."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Proxy:
        await self._listener.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (request := await read(reader)) is not None:
            self.requests.append(request)
            port = self._table.get(request.target) if request.method == "CONNECT" else None
            if port is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            else:
                await _tunnel(reader, writer, port)


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int) -> None:
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    pumps = [asyncio.create_task(_pump(reader, there_writer)), asyncio.create_task(_pump(there_reader, writer))]
    try:
        await asyncio.gather(*pumps)
    finally:
        for pump in pumps:
            pump.cancel()
        await _closed(there_writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection and hear how it ended: a reset that nobody hears is complained about at the loop's end."""
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


@contextlib.asynccontextmanager
async def full_queue() -> AsyncIterator[int]:
    """Give a port whose accept queue is full: a connect to it hangs as one to a host that swallows packets does."""
    listener = socket.socket()
    waiting: list[socket.socket] = []
    try:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            sock = socket.socket()
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(listener.getsockname())
            waiting.append(sock)
        yield listener.getsockname()[1]
    finally:
        for sock in (*waiting, listener):
            sock.close()


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    """Give a port that refuses connections: taken, so that nobody else gets it, and not listening."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
