"""The host's end of a relayed kernel websocket, dialed again if lost.

Nothing is copied into a queue between them: a frame of the host's is on its way to the browser before the next one is
read, and the other way round, so a slow end holds back the other and memory stays at a frame or two.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from jupyter_sessions.engines.hostlink import HostRefused, HostUnreachable, Sink
from jupyter_sessions.relay.outlet import Wait, observe, until_done

if TYPE_CHECKING:
    from jupyter_sessions.model.api import KernelSocket

HELD = 16 << 20
"""Bytes held from a browser while its host is not there; beyond them the browser is not read."""
PATIENCE = 60.0
"""Seconds without a host after which the browser is asked to come again."""
_FIRST_PAUSE, _LONGEST_PAUSE, _STEADY = 0.05, 1.0, 5.0


class HostLeg:
    """The host's end of one websocket.

    ``dial(sink)`` opens the host's websocket, ``deliver`` takes what the host sends. ``refused(error)`` is called
    when it opens none (it knows no such kernel), ``lost(code, reason)`` when an open one has ended (``code`` None: it
    broke), ``late(why)`` when there has been no host for PATIENCE; none of them ends the dialing, ``close`` does.
    """

    def __init__(
        self,
        dial: Callable[[Sink], Awaitable[KernelSocket]],
        deliver: Callable[[str | bytes], Wait],
        refused: Callable[[HostRefused], None],
        lost: Callable[[int | None, str], None],
        late: Callable[[str], None],
    ) -> None:
        self._dial, self._deliver, self._refused, self._lost, self._late = dial, deliver, refused, lost, late
        self.longest = _LONGEST_PAUSE
        """The most seconds between two dials."""
        self._socket: KernelSocket | None = None
        self._held: list[str | bytes] = []
        self._held_size = 0
        self._opened: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._farewell: int | None = None
        self._closed = False

    def start(self) -> None:
        """Begin to dial; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def connected(self) -> bool:
        """Whether the host's websocket is open."""
        return self._socket is not None

    def close(self, code: int | None = None) -> None:
        """Close the host's websocket, with this code, and dial no more."""
        self._farewell, self._closed = code, True
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
        written = asyncio.ensure_future(self._socket.write_message(message, binary=isinstance(message, bytes)))
        written.add_done_callback(observe)
        return written

    def _until_written(self, written: asyncio.Future[None]) -> Wait:
        protocol: Any = getattr(self._socket, "protocol", None)
        return until_done(written) if protocol is not None and protocol.stream.writing() else None

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
            pause = min(pause * 2, self.longest)

    async def _hold_open(self, ended: asyncio.Future[None]) -> KernelSocket:
        def receive(message: str | bytes | None) -> Wait:
            if message is not None:
                return self._deliver(message)
            if not ended.done():
                ended.set_result(None)
            return None

        socket = await self._dial(receive)
        try:
            if self._closed:
                # A dial may have forgotten that it was cancelled: what it opened is nobody's.
                raise asyncio.CancelledError
            self._socket = socket
            await self._send_held()
            await ended
            return socket
        finally:
            self._socket = None
            socket.close(self._farewell)

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
