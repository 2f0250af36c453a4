"""A data frame of 100 MB to a session's kernel and back, against a websocket echo of the same bytes.

The echo is one plain tornado server in a process of its own, and the same websocket library at this end, in the same
run and in frames of the same size. Frames are looked at in a round that is not timed.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import numpy
import pandas
import websocket

from jupyter_sessions.client import SessionHandle, SessionsClient, transfer, values
from tests.benchmarks.figures import measured, table, verdict
from tests.benchmarks.servers import Server

ROWS, COLUMNS = 1_250_000, 10
ROUNDS = 5
MOST = 4.0
"""How many times as long as the echo it may take."""
MIB = 1 << 20


def transfers() -> None:
    """Print how long a frame takes there and back, and the largest websocket message of it."""
    frame = pandas.DataFrame(numpy.random.default_rng(4).random((ROWS, COLUMNS)), columns=list("abcdefghij"))
    with Server(extension=True) as server, SessionsClient(f"http://127.0.0.1:{server.port}", server.token) as client:
        with client.session("bench", end=True) as handle, _echoing() as echo:
            largest = _looked_at(handle, frame)
            times = measured({"there and back": lambda: _there_and_back(handle, frame), "echo": echo}, ROUNDS)
    title = f"{frame.memory_usage(index=False).sum() / 1e6:.0f} MB of pandas to a session's kernel and back, equal"
    table(title, times, {"echo": MOST})
    print(f"  the largest websocket message: {verdict(largest / MIB, transfer.FRAME / MIB, 'MiB')}")


def _there_and_back(handle: SessionHandle, frame: pandas.DataFrame) -> pandas.DataFrame:
    handle.push(frame=frame)
    return handle.pull("frame")


def _looked_at(handle: SessionHandle, frame: pandas.DataFrame) -> int:
    """Move it once, check that it is equal, and give the bytes of the largest websocket message."""
    sizes = [0]
    send, receive = websocket.WebSocket.send_frame, websocket.WebSocket.recv_data_frame

    def sent(self: Any, made: Any) -> Any:
        sizes.append(len(made.data))
        return send(self, made)

    def received(self: Any, *words: Any, **options: Any) -> Any:
        found = receive(self, *words, **options)
        sizes.append(len(found[1].data))
        return found

    patch = mock.patch.object
    with patch(websocket.WebSocket, "send_frame", sent), patch(websocket.WebSocket, "recv_data_frame", received):
        handle.close()
        pandas.testing.assert_frame_equal(_there_and_back(handle, frame), frame)
    if sum(sizes) < 2 * frame.memory_usage(index=False).sum():
        raise RuntimeError(f"only {sum(sizes)} bytes were seen on their way")
    return max(sizes)


class _Echo:
    """Sends frame after frame and reads each back."""

    def __init__(self, port: int, frames: Sequence[bytes]) -> None:
        self._socket = websocket.create_connection(f"ws://127.0.0.1:{port}/")
        self._frames = frames

    def __call__(self) -> None:
        for frame in self._frames:
            self._socket.send_binary(frame)
            if self._socket.recv() != frame:
                raise RuntimeError("the echo is not what was sent")

    def close(self) -> None:
        """Close the websocket."""
        self._socket.close()


@contextlib.contextmanager
def _echoing() -> Iterator[_Echo]:
    # The same bytes: what the data frame is on its way.
    frame = pandas.DataFrame(numpy.random.default_rng(4).random((ROWS, COLUMNS)), columns=list("abcdefghij"))
    data = b"".join(map(bytes, values.encode(frame).pieces))
    frames = [data[place : place + transfer.CHUNK] for place in range(0, len(data), transfer.CHUNK)]
    words = [sys.executable, "-m", "tests.benchmarks.transfer"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        try:
            echo = _Echo(int(process.stdout.readline() if process.stdout else 0), frames)
            with contextlib.closing(echo):
                yield echo
        finally:
            process.terminate()


async def serve() -> None:
    """Echo every message, on a free port that is printed; for ever."""
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application
    from tornado.websocket import WebSocketHandler

    class Echo(WebSocketHandler):
        async def on_message(self, message: str | bytes) -> None:
            await self.write_message(message, binary=isinstance(message, bytes))

    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/", Echo)])).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
