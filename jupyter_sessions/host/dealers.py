"""One client's own sockets to a kernel: shell, control and stdin, read and written on the event loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

import zmq

from jupyter_sessions.host.drain import DELIMITER
from jupyter_sessions.host.frames import Parts

_COPY = 1 << 16
_TURN = 64
log = logging.getLogger(__name__)


class Dealer:
    """A DEALER socket; ``on_parts`` gets each message that comes, without identities and signature."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        url: str,
        identity: bytes,
        on_parts: Callable[[Parts], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_parts = on_parts
        self._socket = context.socket(zmq.DEALER)
        self._socket.linger = 0
        # Neither side's count of messages may make a send fail: what bounds them is the websocket.
        self._socket.sndhwm = 0
        self._socket.rcvhwm = 0
        self._socket.reconnect_ivl = 5
        self._socket.identity = identity
        self._socket.connect(url)
        self._handle = self._socket.fileno()
        self._loop.add_reader(self._handle, self._read)

    def send(self, parts: Parts, signature: bytes) -> None:
        """Send a message; large parts are not copied."""
        size = sum(map(len, parts))
        self._socket.send_multipart([DELIMITER, signature, *parts], zmq.NOBLOCK, copy=size < _COPY)
        # ZMQ's descriptor tells of new messages only at its edges, and a send may have swallowed one.
        self._loop.call_soon(self._read)

    def close(self) -> None:
        """Close the socket; what was not sent yet is dropped."""
        if not self._socket.closed:
            self._loop.remove_reader(self._handle)
            self._socket.close(0)

    def _read(self) -> None:
        for _ in range(_TURN):
            if self._socket.closed:
                return
            try:
                received = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            if DELIMITER in received and len(received) - received.index(DELIMITER) >= 6:
                self._on_parts(received[received.index(DELIMITER) + 2 :])
        self._loop.call_soon(self._read)


class Dealers:
    """The three sockets of one client: same identity on each, as the kernel's stdin answers whom its shell heard."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        urls: Mapping[str, str],
        identity: bytes,
        on_reply: Callable[[str, Parts], None],
    ) -> None:
        def reader(channel: str) -> Callable[[Parts], None]:
            return lambda parts: on_reply(channel, parts)

        # stdin first: a request may ask for input as soon as shell is there.
        self._dealers = {
            channel: Dealer(context, urls[channel], identity, reader(channel))
            for channel in ("stdin", "control", "shell")
        }

    def send(self, channel: str, parts: Parts, signature: bytes) -> None:
        """Send on one of the three channels."""
        self._dealers[channel].send(parts, signature)

    def close(self) -> None:
        """Close all three."""
        for dealer in self._dealers.values():
            dealer.close()
