"""The kernels of a session, asked of a host that speaks on a Unix socket."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.model.errors import Unavailable
from jupyter_sessions.model.states import State
from jupyter_sessions.service.kernel_models import read_kernels
from tests.service.servers import named


def kernel(kernel_id: str, started: float, memory: int) -> dict[str, Any]:
    """Give one kernel as a host tells it."""
    usage = {"cpu_percent": 1.5, "memory_bytes": memory}
    return {"id": kernel_id, "name": "python3", "execution_state": "idle", "started": started, "usage": usage}


@contextlib.asynccontextmanager
async def telling(folder: Path, *messages: Any) -> AsyncIterator[KernelHost]:
    """Serve a host that tells these messages to everyone who brings its token."""

    class Stream(WebSocketHandler):
        def open(self, *args: str, **kwargs: str) -> None:
            if self.request.headers["Authorization"] == "token secret":
                for message in messages:
                    self.write_message(json.dumps(message))
            else:
                self.close()

    path = folder / "s"
    server = HTTPServer(Application([("/host/stream", Stream)]))
    server.add_socket(bind_unix_socket(str(path)))
    try:
        yield KernelHost(named("asked"), "u", "d", State.ACTIVE, "", (), f"unix:{path}", "secret", os.geteuid())
    finally:
        server.stop()
        await server.close_all_connections()


async def test_kernels_come_oldest_first_with_their_usage(tmp_path: Path) -> None:
    first = {"type": "kernels", "kernels": [kernel("young", 9.0, 5), kernel("old", 1.0, 7)]}
    async with telling(tmp_path, {"type": "hello"}, first) as host:
        found = await read_kernels(host)
    assert [model["id"] for model in found] == ["old", "young"]
    assert found[0]["usage"] == {"cpu_percent": 1.5, "memory_bytes": 7} and "started" not in found[0]


async def test_a_first_measure_is_waited_for(tmp_path: Path) -> None:
    first = {"type": "kernels", "kernels": [kernel("one", 1.0, 0), kernel("two", 2.0, 0)]}
    news = ({"type": "kernel", "kernel": kernel("one", 1.0, 11)}, {"type": "gone", "id": "two", "reason": "x"})
    async with telling(tmp_path, first, *news) as host:
        found = await read_kernels(host)
    assert [(model["id"], model["usage"]["memory_bytes"]) for model in found] == [("one", 11)]


@pytest.mark.parametrize("message", [["no object"], {"type": "kernels"}, {"type": "kernels", "kernels": [{}]}])
async def test_a_host_that_talks_nonsense_is_unavailable(tmp_path: Path, message: Any) -> None:
    async with telling(tmp_path, message) as host:
        with pytest.raises(Unavailable, match="does not answer"):
            await read_kernels(host)


async def test_a_host_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    async with telling(tmp_path) as host:
        pass
    (tmp_path / "s").unlink(missing_ok=True)
    with pytest.raises(Unavailable, match="no socket"):
        await read_kernels(host)
    with pytest.raises(Unavailable, match="cannot be reached"):
        await read_kernels(KernelHost(named("asked"), "u", "d", State.ACTIVE, ""))
