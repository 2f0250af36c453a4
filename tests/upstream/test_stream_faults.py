"""A change stream that breaks at once, or says what is not known here: neither hammered nor stuck."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

from jupyter_sessions.model.api import Caller, Change, Reset
from jupyter_sessions.upstream import stream
from tests.upstream.proxies import FAR, proxy, until, upstream_at

Opened = Callable[["Watched"], None]
NAME = f"{FAR}/sessions/one"


class Described(RequestHandler):
    """Says that it is a jupyter_sessions, without a session or gateway."""

    def get(self, *path: str) -> None:
        self.write({"sessions": []} if self.request.path.endswith("/sessions") else {"metadata": WHAT})


class Watched(WebSocketHandler):
    """A change stream; ``opened`` says what becomes of each."""

    def initialize(self, opened: Opened) -> None:
        self.told = opened

    def open(self, *path: str) -> None:
        self.told(self)


WHAT = {"service": "jupyter_sessions"}


@contextlib.asynccontextmanager
async def streaming(opened: Opened) -> AsyncIterator[str]:
    """Serve an upstream with such a stream and give its URL."""
    app = Application([(r"/v1/.*sessions:watch", Watched, {"opened": opened}), (r"/v1/.*", Described)])
    socket, port = bind_unused_port()
    server = HTTPServer(app)
    server.add_socket(socket)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await server.close_all_connections()


def change(sequence: int, state: str) -> dict[str, Any]:
    """Write one change of a session."""
    fields = {"session": NAME, "sessionUuid": "u", "oldState": "STATE_UNSPECIFIED", "newState": state}
    return {"sequence": sequence, "time": "2026-01-01T00:00:00Z", **fields}


async def test_a_stream_that_breaks_at_once_is_opened_ever_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(stream, "PAUSE", (0.02, 10.0))
    dialed: list[float] = []

    def opened(socket: Watched) -> None:
        dialed.append(time.monotonic())
        socket.close()

    async with streaming(opened) as url, proxy(upstream_at(url), tmp_path):
        await until(lambda: len(dialed) >= 6, "the stream to be opened again and again")
    # The fifth pause is 16 times the first, of which at least half is waited.
    assert dialed[5] - dialed[4] > 0.16
    assert caplog.text.count("are not told now") == 1


async def test_a_change_of_a_kind_that_is_not_known_here_does_not_end_the_news(tmp_path: Path) -> None:
    dialed: list[Watched] = []
    async with streaming(dialed.append) as url, proxy(upstream_at(url), tmp_path) as api:
        await until(lambda: api._place.read.is_set(), "the first list")
        told: list[Change | Reset] = []

        async def watch() -> None:
            async for item in api.watch(Caller("me"), FAR, {}):
                told.append(item)

        watching = asyncio.ensure_future(watch())
        try:
            for sequence, state in ((1, "ACTIVE"), (2, "SLEEPING"), (3, "ACTIVE")):
                dialed[0].write_message(json.dumps(change(sequence, state)))
                await until(lambda: len(told) >= sequence, f"change {sequence}")  # noqa: B023 - called at once
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
    assert [item.sequence for item in told] == [1, 2, 3]
    assert [type(item) for item in told] == [Change, Reset, Change] and len(dialed) == 1
