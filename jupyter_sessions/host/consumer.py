"""One client of one kernel, named by its ``session_id``: its place in the output, its replies, its open requests."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from jupyter_sessions.host.dealers import Dealers
from jupyter_sessions.host.frames import Parts, read_json
from jupyter_sessions.host.spool import Cursor

REPLIES = 8 << 20
"""Bytes of unread replies beyond which no further request is taken from the client that does not read them."""


class Consumer:
    """What is kept of a client while its websocket comes and goes.

    ``connect`` makes sockets with the client's identity; ``sign`` gives the signature of a message's four parts.
    Everything happens on the event loop.
    """

    def __init__(
        self,
        session_id: str,
        cursor: Cursor,
        connect: Callable[[Callable[[str, Parts], None]], Dealers],
        sign: Callable[[Parts], bytes],
    ) -> None:
        self.session_id = session_id
        self.cursor = cursor
        self.replies: deque[tuple[str, Parts]] = deque()
        self.wake = asyncio.Event()
        self.gone_at = 0.0
        self._connect = connect
        self._sign = sign
        self._dealers: Dealers | None = None
        self._requests: set[str] = set()
        self._comms: set[str] = set()
        self._asked_for_input = False
        self._unread = 0
        self._room = asyncio.Event()
        self._room.set()

    @property
    def attached(self) -> bool:
        """Whether a websocket serves this client now."""
        return self.gone_at == 0.0

    @property
    def waits(self) -> bool:
        """Whether something is still to come on the sockets: a reply, a comm's handling, an answer to input."""
        return bool(self._requests or self._comms or self._asked_for_input)

    def attach(self) -> None:
        """A websocket is there: connect, unless the sockets are still open for a reply."""
        self.gone_at = 0.0
        if self._unread > REPLIES:
            self._room.clear()
        if self._dealers is None:
            self._dealers = self._connect(self._received)

    def detach(self) -> None:
        """The websocket is gone: the sockets stay only while something is to come on them."""
        self.gone_at = time.monotonic()
        self.cursor.waiting = False
        # Nobody may wait for a reader that is gone: the websocket's own end would wait with it.
        self._room.set()
        self._close_if_done()

    def hang_up(self) -> None:
        """The kernel's process is no more: what it was asked is never answered."""
        self._requests.clear()
        self._comms.clear()
        self._asked_for_input = False
        self._disconnect()

    def reconnect(self) -> None:
        """The kernel has a new process: connect to that."""
        self.hang_up()
        if self.attached:
            self._dealers = self._connect(self._received)

    def close(self) -> None:
        """Forget the client."""
        self._disconnect()
        self.cursor.close()
        self.wake.set()

    def send(self, channel: str, parts: Parts) -> None:
        """Send a client's message to the kernel; it may have left meanwhile."""
        if self._dealers is None:
            self._dealers = self._connect(self._received)
        header = read_json(parts[0])
        name, kind = str(header.get("msg_id", "")), str(header.get("msg_type", ""))
        if channel == "stdin":
            self._asked_for_input = False
        elif kind.startswith("comm_") and kind != "comm_info_request":
            self._comms.add(name)
        else:
            self._requests.add(name)
        self._dealers.send(channel, parts, self._sign(parts[:4]))

    def done(self, request: str) -> None:
        """The kernel is idle after ``request``: a comm message has no other reply."""
        self._comms.discard(request)
        self._close_if_done()

    async def room(self) -> None:
        """Wait until the client has read enough of its replies to be given more."""
        await self._room.wait()

    def reply_read(self) -> None:
        """The oldest reply was handed to the websocket."""
        _, parts = self.replies.popleft()
        self._unread -= sum(map(len, parts))
        if self._unread <= REPLIES:
            self._room.set()

    def _received(self, channel: str, parts: Parts) -> None:
        self.replies.append((channel, parts))
        self._unread += sum(map(len, parts))
        if self._unread > REPLIES and self.attached:
            self._room.clear()
        if channel == "stdin":
            self._asked_for_input = True
        else:
            self._requests.discard(str(read_json(parts[1]).get("msg_id", "")))
        self.wake.set()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if not self.attached and not self.waits:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._dealers is not None:
            self._dealers.close()
            self._dealers = None
