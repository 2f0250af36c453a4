"""The two ends of a relayed kernel websocket: the browser's, written in batches, and the host's, dialed again if lost.

Nothing is copied into a queue between them: a frame of the host's is on its way to the browser before the next one is
read, and the other way round, so a slow end holds back the other and memory stays at a frame or two.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketClosedError

from jupyter_sessions.engines.hostlink import HostRefused, HostSocket, HostUnreachable, Sink

if TYPE_CHECKING:
    from tornado.websocket import WebSocketHandler

Wait = Awaitable[None] | None
"""What a sender must wait for before its next frame; None: nothing."""

BATCH = 1 << 16
"""Bytes of frames that gather within one turn of the loop before they are written."""
HELD = 16 << 20
"""Bytes held from a browser while its host is not there; beyond them the browser is not read."""
PATIENCE = 60.0
"""Seconds without a host after which the browser is asked to come again."""
_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY = 0.05, 1.0, 5.0


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
        return None if self._written is None or self._written.done() else _gate(self._written)

    def _send_tornado(self, message: str | bytes) -> Wait:
        try:
            written = self._handler.write_message(message, binary=isinstance(message, bytes))
        except WebSocketClosedError:
            return None
        return _gate(written)


class HostLeg:
    """The host's end of one websocket.

    ``dial(sink)`` opens the host's websocket, ``deliver`` takes what the host sends. ``refused(error)`` is called
    when it opens none (it knows no such kernel), ``lost(code, reason)`` when an open one has ended (``code`` None: it
    broke), ``late(why)`` when there has been no host for PATIENCE; none of them ends the dialing, ``close`` does.
    """

    def __init__(
        self,
        dial: Callable[[Sink], Awaitable[HostSocket]],
        deliver: Callable[[str | bytes], Wait],
        refused: Callable[[HostRefused], None],
        lost: Callable[[int | None, str], None],
        late: Callable[[str], None],
    ) -> None:
        self._dial, self._deliver, self._refused, self._lost, self._late = dial, deliver, refused, lost, late
        self._socket: HostSocket | None = None
        self._held: list[str | bytes] = []
        self._held_size = 0
        self._opened: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to dial; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def connected(self) -> bool:
        """Whether the host's websocket is open."""
        return self._socket is not None

    def close(self) -> None:
        """Close the host's websocket and dial no more."""
        if self._task is not None:
            self._task.cancel()
        self._held.clear()
        self._release()

    def send(self, message: str | bytes) -> Wait:
        """Send one frame of the browser's, or hold it until the host is there."""
        if self._socket is not None:
            try:
                return self._until_written(self._write(message))
            except (WebSocketClosedError, StreamClosedError):
                self._socket = None
        self._held.append(message)
        self._held_size += len(message)
        if self._held_size < HELD:
            return None
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._opened)

    def _write(self, message: str | bytes) -> asyncio.Future[None]:
        if self._socket is None:
            raise WebSocketClosedError()
        written = self._socket.write_message(message, binary=isinstance(message, bytes))
        written.add_done_callback(_observe)
        return written

    def _until_written(self, written: asyncio.Future[None]) -> Wait:
        protocol: Any = self._socket.protocol if self._socket is not None else None
        return _gate(written) if protocol is not None and protocol.stream.writing() else None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        pause, seen = _FIRST_PAUSE, loop.time()
        while True:
            ended: asyncio.Future[None] = loop.create_future()
            why = "the host closed the connection"
            opened_at = loop.time()
            try:
                socket = await self._hold_open(ended)
                self._lost(socket.close_code, socket.close_reason or "")
                seen = loop.time()
                if seen - opened_at > _STEADY:
                    pause = _FIRST_PAUSE
            except HostRefused as error:
                why = error.reason
                self._refused(error)
            except HostUnreachable as error:
                why = error.reason
            if loop.time() - seen > PATIENCE:
                self._late(why)
                seen = loop.time()
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads dials, keeps no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _hold_open(self, ended: asyncio.Future[None]) -> HostSocket:
        def receive(message: str | bytes | None) -> Wait:
            if message is not None:
                return self._deliver(message)
            if not ended.done():
                ended.set_result(None)
            return None

        socket = await self._dial(receive)
        try:
            self._socket = socket
            await self._send_held()
            await ended
            return socket
        finally:
            self._socket = None
            socket.close()

    async def _send_held(self) -> None:
        held, self._held, self._held_size = self._held, [], 0
        try:
            written = [self._write(message) for message in held]
            self._release()
            for write in written:
                await write
        except (WebSocketClosedError, StreamClosedError):
            # Which of them the host has read is not known; sending them again could run a cell twice.
            return

    def _release(self) -> None:
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)
        self._opened = None


def _head(opcode: int, size: int) -> bytes:
    """Give the head of one unmasked, whole websocket frame (RFC 6455, 5.2)."""
    if size < 126:
        return struct.pack("!BB", 0x80 | opcode, size)
    if size <= 0xFFFF:
        return struct.pack("!BBH", 0x80 | opcode, 126, size)
    return struct.pack("!BBQ", 0x80 | opcode, 127, size)


def _observe(written: asyncio.Future[None]) -> None:
    """Take a write's exception: a lost host is dealt with where the websocket's end is read."""
    if not written.cancelled():
        written.exception()


def _gate(written: asyncio.Future[None]) -> asyncio.Future[None]:
    """Give what is done when a write is, without its exception: whoever waits only wants to go on."""
    gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(write: asyncio.Future[None]) -> None:
        _observe(write)
        if not gate.done():
            gate.set_result(None)

    written.add_done_callback(done)
    return gate
