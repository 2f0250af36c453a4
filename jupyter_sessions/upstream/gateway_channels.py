"""A gateway's channels that may stay mute: proved by a probe before the browser's frames are trusted to them.

Some gateways open a kernel's websocket and then say nothing. Whatever a channel says proves it; a kernel that is busy
may have good reason for silence.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from typing import Any

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from jupyter_sessions.engines.hostlink import HostSocket, HostUnreachable, Sink
from jupyter_sessions.engines.patience import within

log = logging.getLogger(__name__)

SILENCE = 30.0
"""Seconds of silence to the probe after which a channel is mute."""
BUSY_SILENCE = 5.0
"""The same for a kernel that is busy, after which the channel is taken as it is."""

_SWALLOWED_FOR = 60.0


class Probe:
    """The sink of one websocket: hands on all but the answers to its own ``request``, and says when one came."""

    def __init__(self, sink: Sink, session_id: str) -> None:
        self._sink = sink
        self._mark = uuid.uuid4().hex
        self._until = asyncio.get_running_loop().time() + _SWALLOWED_FOR
        self._own = True
        self.heard: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.request = self._request(session_id)

    def _request(self, session_id: str) -> str:
        header = {
            "msg_id": self._mark,
            "msg_type": "kernel_info_request",
            "username": "jupyter_sessions",
            "session": session_id,
            "date": datetime.now(timezone.utc).isoformat().replace("+00:00", "Z"),
            "version": "5.3",
        }
        rest: dict[str, Any] = {"parent_header": {}, "metadata": {}, "content": {}, "buffers": []}
        return json.dumps({"header": header, "channel": "control", **rest})

    def take(self, message: str | bytes | None) -> Awaitable[None] | None:
        """Take one message of the gateway's."""
        if not self.heard.done():
            if message is None:
                self.heard.set_exception(HostUnreachable("the gateway closed the kernel's channels at once"))
                self.heard.exception()
            else:
                self.heard.set_result(None)
        if self._own and isinstance(message, str) and self._answers(message):
            return None
        return self._sink(message)

    def _answers(self, message: str) -> bool:
        """Whether it answers the probe: reply, or the status around it. Looked for a while, then no more."""
        if asyncio.get_running_loop().time() > self._until:
            self._own = False
            return False
        if self._mark not in message:
            return False
        try:
            read = json.loads(message)
            return bool(read["parent_header"]["msg_id"] == self._mark)
        except (ValueError, KeyError, TypeError):
            return False


async def proved(
    opening: Callable[[Sink], Awaitable[HostSocket]], sink: Sink, session_id: str, busy: Callable[[], bool]
) -> HostSocket:
    """Open a kernel's channels and give them once they have said something; raises HostUnreachable while mute.

    ``busy()`` says whether the kernel was last known to be.
    """
    probe = Probe(sink, session_id)
    socket = await opening(probe.take)
    try:
        # Nobody waits for it: that the far end is gone shows in what is heard.
        socket.write_message(probe.request).add_done_callback(lambda write: write.cancelled() or write.exception())
        await within(asyncio.shield(probe.heard), BUSY_SILENCE if busy() else SILENCE)
    except asyncio.TimeoutError:
        if busy():
            return socket
        socket.close()
        raise HostUnreachable(f"the kernel's channels stayed mute for {SILENCE:.0f} s; opening them again") from None
    except (WebSocketClosedError, StreamClosedError):
        socket.close()
        raise HostUnreachable("the gateway closed the kernel's channels at once") from None
    except BaseException:
        socket.close()
        raise
    return socket
