"""A kernel's channels on a websocket: what a client says goes to the kernel, what it has not read yet goes to it.

Output waits in the spool until the websocket has taken what it was given before: a client that does not read costs
no memory here, whatever its kernel says.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import logging
import uuid
from collections.abc import Sequence

from tornado.iostream import IOStream, StreamClosedError
from tornado.web import HTTPError

from jupyter_sessions.host.consumer import Consumer
from jupyter_sessions.host.door import SocketHandler
from jupyter_sessions.host.frames import (
    CHANNELS,
    V1,
    MalformedFrame,
    Part,
    Parts,
    join_legacy,
    join_v1,
    split_legacy,
    split_v1,
    websocket_head,
)
from jupyter_sessions.host.kernel import Kernel, TooManyClients
from jupyter_sessions.host.spool import Entry, Taken
from jupyter_sessions.model.hostfile import CLIENT_DONE

_TURN = 1 << 18
_WHOLE = 1 << 16
_LONGEST_ID = 255
log = logging.getLogger(__name__)


class ChannelsHandler(SocketHandler):
    """``/api/kernels/{id}/channels?session_id=``: both websocket protocols, one client."""

    kernel: Kernel
    consumer: Consumer | None = None
    _pump: asyncio.Task[None] | None = None

    async def get(self, *args: str, **kwargs: str) -> None:
        """Find kernel and client, then shake hands; 404 for an unknown kernel, 503 for one client too many."""
        self.kernel = self.find_kernel(kwargs["kernel_id"])
        self._session_id = self.get_argument("session_id", "")
        if not self._session_id.isascii() or len(self._session_id) > _LONGEST_ID:
            raise HTTPError(400, "session_id is ASCII and at most %d characters; use a UUID", _LONGEST_ID)
        await super().get(*args, **kwargs)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """Take v1 where the client knows it."""
        return V1 if V1 in subprotocols else None

    async def open(self, *args: str, **kwargs: str) -> None:
        """Take the client's place; another websocket of the same client is closed."""
        self.widen()
        self._v1 = self.selected_subprotocol == V1
        name = self._session_id or uuid.uuid4().hex
        # Again after each: while one leaves, another of the same name may have come.
        while (stale := self.kernel.sockets.pop(name, None)) is not None:
            log.warning("a second websocket of client %s closes the first", name)
            await stale.leave()
            stale.close()
        try:
            self.consumer = self.kernel.attach(name)
        except TooManyClients as error:
            self.close(1013, str(error))
            return
        self.kernel.sockets[name] = self
        self._pump = asyncio.create_task(self._run())

    async def on_message(self, message: str | bytes) -> None:
        """Hand a client's message on; a malformed one ends the websocket."""
        split = split_v1 if self._v1 else split_legacy
        try:
            channel, parts = split(message)
        except MalformedFrame as error:
            log.warning("a malformed message of client %s: %s", self._session_id, error)
            self.close(1007, f"malformed message: {error}"[:120])
            return
        if channel not in CHANNELS:
            log.warning("client %s wrote to %r, which is no channel of requests", self._session_id, channel)
            return
        if self.consumer is not None:
            await self.kernel.send(self.consumer, channel, parts)
            await self.consumer.room()

    def on_close(self) -> None:
        """Leave the client's place to whoever comes with its name."""
        if self._pump is not None:
            self._pump.cancel()
        self._give_up(done=self.close_code == CLIENT_DONE)

    async def leave(self) -> None:
        """Stop writing, so that another websocket can go on from here."""
        if self._pump is not None:
            self._pump.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pump
        self._give_up()

    def _give_up(self, done: bool = False) -> None:
        consumer, self.consumer = self.consumer, None
        if consumer is None:
            return
        if self.kernel.sockets.get(consumer.session_id) is self:
            del self.kernel.sockets[consumer.session_id]
        # What it has sent is to arrive, also of one that will not come back.
        self.kernel.detach(consumer, keep=bool(self._session_id) and (consumer.waits or not done))

    # Writing

    async def _run(self) -> None:
        consumer = self.consumer
        if consumer is None or self.ws_connection is None or self.ws_connection.stream is None:
            return
        stream = self.ws_connection.stream
        try:
            while await self._turn(consumer, stream):
                pass
            self.close(1000, "the kernel is dead")
        except StreamClosedError:
            # The peer is gone; what it was not given waits for it.
            self._give_up()
        except Exception:
            log.exception("the websocket of client %s ends", consumer.session_id)
            self.close(1011, "the host failed")

    async def _turn(self, consumer: Consumer, stream: IOStream) -> bool:
        """Write what there is and wait until it is written, or wait for something; False after a kernel's last word."""
        consumer.wake.clear()
        if consumer.replies:
            await self._write_replies(consumer, stream)
            return True
        if consumer.cursor.behind:
            cursor = consumer.cursor
            taken = cursor.take(_TURN) if cursor.quick else await asyncio.to_thread(cursor.take, _TURN)
            await self._write_output(consumer, stream, taken)
            return True
        if self.kernel.dead.is_set():
            return False
        consumer.cursor.waiting = True
        await consumer.wake.wait()
        return True

    async def _write_replies(self, consumer: Consumer, stream: IOStream) -> None:
        frames, size = [], 0
        for channel, parts in consumer.replies:
            frames.append(self._frame(channel, parts))
            size += sum(map(len, parts))
            if size >= _TURN:
                break
        writing = _Writing(stream, frames)
        try:
            await writing.out
        finally:
            for _ in range(writing.whole()):
                consumer.reply_read()

    async def _write_output(self, consumer: Consumer, stream: IOStream, taken: Taken) -> None:
        frames = [self._frame("iopub", entry.parts) for entry in taken.entries]
        notices = self._notices(taken)
        writing = _Writing(stream, [*notices, *frames])
        try:
            await writing.out
        finally:
            count = writing.whole() - len(notices)
            if count > 0:
                consumer.cursor.advance(taken.entries[count - 1])

    def _notices(self, taken: Taken) -> list[list[Part]]:
        if not taken.lost_messages:
            return []
        text = f"{taken.lost_messages} messages of output ({taken.lost_bytes / 1e6:.1f} MB) were dropped here\n"
        following: Entry | None = taken.entries[0] if taken.entries else None
        return [self._frame("iopub", self.kernel.stderr(text, following.parts[1] if following else b"{}"))]

    def _frame(self, channel: str, parts: Parts) -> list[Part]:
        if self._v1:
            binary, pieces = True, join_v1(channel, parts)
        else:
            binary, pieces = join_legacy(channel, parts)
        return [websocket_head(binary, sum(map(len, pieces))), *pieces]


class _Writing:
    """Whole frames on their way out, as few pieces; await ``out`` until the system has taken all."""

    def __init__(self, stream: IOStream, frames: Sequence[Sequence[Part]]) -> None:
        self._stream = stream
        self._begun = stream._total_write_index
        self._ends: list[int] = []
        end = 0
        small: list[Part] = []
        for frame in frames:
            for piece in frame:
                end += len(piece)
                if len(piece) < _WHOLE:
                    small.append(piece)
                    continue
                # A large part is written as it is: joining would copy it.
                stream.write(b"".join(small))
                stream.write(piece)
                small = []
            self._ends.append(end)
        self.out = stream.write(b"".join(small))

    def whole(self) -> int:
        """Give how many frames have gone out whole."""
        out = self._stream._total_write_done_index - self._begun
        return bisect.bisect_right(self._ends, out)
