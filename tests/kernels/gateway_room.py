"""A Jupyter server with the kernels room in it, a kernel gateway beside it, and their levers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from tornado import httpclient
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.relay import frames
from jupyter_sessions.upstream.gateway import LocationGateway
from tests.kernels.gateway_peer import Gateway, a_gateway, host_of, starter_of
from tests.kernels.peer import until
from tests.kernels.room import Hosts, Room

MINE = "p.l.etl-1.python3"
TEMPLATE = "tpl-daily"


class GatewayRoom(Room):
    """One server and one gateway; ``hosts`` are what the proxy would tell of it."""

    def __init__(self, app: Any, far: Gateway, gateway: LocationGateway) -> None:
        self.app, self.far, self.gateway = app, far, gateway
        self.server = HTTPServer(app.web_app)
        listener, self.port = bind_unused_port()
        self.server.add_socket(listener)
        self.hosts = Hosts()

    def known(self, kernel_id: str) -> Any:
        """Give a kernel of the registry's."""
        return self.mounted.registry.get(kernel_id)

    async def post(self, name: str, status: int = 201, **body: Any) -> dict[str, Any]:
        """Ask for a start, and give what was answered."""
        answer = await self.call("POST", "api/kernels", {"name": name, **body})
        assert answer.code == status, (answer.code, answer.body)
        return dict(json.loads(answer.body))

    @contextlib.asynccontextmanager
    async def browser(self, kernel_id: str, v1: bool = True) -> AsyncIterator[WebSocketClientConnection]:
        """Open a kernel's websocket as a browser does, which offers both protocols."""
        url = f"ws://127.0.0.1:{self.port}{self.app.base_url}api/kernels/{kernel_id}/channels?session_id=b"
        request = httpclient.HTTPRequest(url, headers={"Authorization": f"token {self.app.identity_provider.token}"})
        socket = await websocket_connect(request, subprotocols=[frames.V1] if v1 else None)
        try:
            yield socket
        finally:
            socket.close()

    def tell(self, *hosts: KernelHost) -> None:
        """Say that hosts have come or changed."""
        for host in hosts:
            self.hosts.tell(host)


@contextlib.asynccontextmanager
async def a_gateway_room(app: Any, streams: bool = False, far: Gateway | None = None) -> AsyncIterator[GatewayRoom]:
    """Serve a server that was made with ``EXTENSION``, its gateway looked at, the session and the starter told."""
    async with contextlib.AsyncExitStack() as stack:
        peer = await stack.enter_async_context(a_gateway(streams=streams)) if far is None else far
        gateway = peer.made()
        stack.push_async_callback(gateway.close)
        room = GatewayRoom(app, peer, gateway)
        gateway.start()
        await until(gateway.loose)
        await room.mounted.start()
        room.mounted.attach(room.hosts)
        room.tell(host_of(gateway), starter_of(gateway))
        try:
            yield room
        finally:
            await room.mounted.close()
            room.server.stop()


async def read_json(socket: WebSocketClientConnection) -> dict[str, Any]:
    """Read one legacy text frame."""
    read = await asyncio.wait_for(socket.read_message(), 10)
    assert isinstance(read, str), read
    return dict(json.loads(read))


def request_frame(kind: str, channel: str = "shell", **content: Any) -> str:
    """Write one request as a browser does in the legacy protocol."""
    header = {"msg_id": f"m-{kind}", "msg_type": kind, "session": "b", "username": "", "version": "5.3", "date": ""}
    rest: dict[str, Any] = {"parent_header": {}, "metadata": {}, "content": content, "buffers": []}
    return json.dumps({"header": header, "channel": channel, **rest})


async def a_cell(room: GatewayRoom, kernel_id: str, v1: bool = False) -> None:
    """Run a cell and see every message of it, in order, and none that was not asked for."""
    async with room.browser(kernel_id) as browser:
        assert browser.selected_subprotocol == (frames.V1 if v1 else None)
        asked = json.loads(request_frame("execute_request", code="print(6 * 7); 'done'", silent=False))
        parts = [json.dumps(asked[key]).encode() for key in ("header", "parent_header", "metadata", "content")]
        await browser.write_message(frames.pack_v1("shell", parts) if v1 else json.dumps(asked), binary=v1)
        told: list[str] = []
        contents: dict[str, Any] = {}
        while contents.get("status", {}).get("execution_state") != "idle" or "execute_reply" not in contents:
            frame = await (_read_v1(browser) if v1 else read_json(browser))
            # What our own probe is answered is nobody's business.
            assert "kernel_info" not in str(frame["header"]) + str(frame["parent_header"].get("msg_id"))
            if frame["parent_header"].get("msg_id") == "m-execute_request":
                told.append(frame["header"]["msg_type"])
                contents[told[-1]] = frame["content"]
        kinds = [kind for kind in told if kind not in ("status", "execute_reply")]
        assert kinds == ["execute_input", "stream", "execute_result"]
        assert contents["stream"]["text"] == "42\n" and contents["execute_result"]["data"] == {"text/plain": "'done'"}
        assert contents["execute_reply"]["status"] == "ok"


async def _read_v1(socket: WebSocketClientConnection) -> dict[str, Any]:
    read = await asyncio.wait_for(socket.read_message(), 10)
    assert isinstance(read, bytes), read
    count = int.from_bytes(read[:8], "little")
    table = [int.from_bytes(read[8 * n : 8 * n + 8], "little") for n in range(1, count + 1)]
    parts = [read[start:end] for start, end in itertools.pairwise(table)]
    names = ("header", "parent_header", "metadata", "content")
    return {name: json.loads(part) for name, part in zip(names, parts[1:5], strict=True)}
