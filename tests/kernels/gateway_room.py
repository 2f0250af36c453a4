"""A Jupyter server with the kernels room in it, a kernel gateway beside it, and their levers."""

from __future__ import annotations

import asyncio
import contextlib
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
