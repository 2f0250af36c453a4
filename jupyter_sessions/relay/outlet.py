"""The near end of a relayed kernel websocket: the browser's or another client's, written in batches."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketClosedError

if TYPE_CHECKING:
    from tornado.websocket import WebSocketHandler

Wait = Awaitable[None] | None
"""What a sender must wait for before its next frame; None: nothing."""

BATCH = 1 << 16
"""Bytes of frames that gather within one turn of the loop before they are written."""


class Outlet:
    """Writes to a browser's websocket; frames of one turn of the loop go out as one write.

    Tornado writes (and makes a task for) each message alone, which a flood of small ones pays for.
    """

    def __init__(self, handler: WebSocketHandler) -> None:
        self._handler = handler
        protocol = handler.ws_connection
        # With compression negotiated, tornado alone knows how to write a frame.
        plain = protocol is not None and getattr(protocol, "_compressor", None) is None
        self._stream: IOStream | None = getattr(protocol, "stream", None) if plain else None
        self._pending: list[bytes] = []
        self._size = 0
        self._scheduled = False
        self._written: asyncio.Future[None] | None = None

    def send(self, message: str | bytes) -> Wait:
        """Send one message; gives what to wait for before the next, None unless the browser is behind."""
        if self._stream is None:
            return self._send_tornado(message)
        payload = message.encode() if isinstance(message, str) else message
        head = _head(0x1 if isinstance(message, str) else 0x2, len(payload))
        self._size += len(payload)
        if len(payload) >= BATCH:
            self._pending.append(head)
            self._flush_pending()
            self._write(payload)
        else:
            self._pending += (head, payload)
            if self._size < BATCH and not self._behind():
                if not self._scheduled:
                    self._scheduled = True
                    asyncio.get_running_loop().call_soon(self.flush)
                return None
            self._flush_pending()
        return self._until_written()

    def flush(self) -> None:
        """Write what has gathered."""
        self._scheduled = False
        self._flush_pending()

    def _flush_pending(self) -> None:
        if self._pending:
            data = b"".join(self._pending)
            self._pending.clear()
            self._write(data)
        self._size = 0

    def _write(self, data: bytes) -> None:
        if self._stream is None or self._stream.closed():
            return
        try:
            self._written = self._stream.write(data)
        except StreamClosedError:
            # The handler's on_close is on its way.
            self._written = None

    def _behind(self) -> bool:
        return self._written is not None and not self._written.done()

    def _until_written(self) -> Wait:
        return None if self._written is None or self._written.done() else until_done(self._written)

    def _send_tornado(self, message: str | bytes) -> Wait:
        try:
            written = self._handler.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            return None
        return until_done(written)


def _head(opcode: int, size: int) -> bytes:
    """Give the head of one unmasked, whole websocket frame (RFC 6455, 5.2)."""
    if size < 126:
        return struct.pack("!BB", 0x80 | opcode, size)
    if size <= 0xFFFF:
        return struct.pack("!BBH", 0x80 | opcode, 126, size)
    return struct.pack("!BBQ", 0x80 | opcode, 127, size)


def observe(written: asyncio.Future[None]) -> None:
    """Take a write's exception: a lost host is dealt with where the websocket's end is read."""
    if not written.cancelled():
        written.exception()


def until_done(written: asyncio.Future[None]) -> asyncio.Future[None]:
    """Give what is done when a write is, without its exception: whoever waits only wants to go on."""
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(write: asyncio.Future[None]) -> None:
        observe(write)
        if not gate.done():
            gate.set_result(None)

    written.add_done_callback(done)
    return gate
