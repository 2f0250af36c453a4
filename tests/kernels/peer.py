"""A small host on a Unix socket, and a browser's end, for the tests of what lies between."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from jupyter_client.session import Session
from tornado import httpclient, web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.testing import bind_unused_port
from tornado.websocket import WebSocketClientConnection, WebSocketHandler, websocket_connect

from jupyter_sessions.kernels.connection import RemoteConnection, wrap_connection
from jupyter_sessions.kernels.registry import Registry, RemoteKernel
from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.model.names import LOCAL, SessionName
from jupyter_sessions.model.states import State
from jupyter_sessions.relay import frames

TOKEN = "f00d" * 16
KERNEL = "6f0cc9e4-22c8-4a8e-8c5e-9a0d1c3b2e71"


async def until(met: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until ``met()`` is true, polling; fails after ``seconds``."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not met():
        assert asyncio.get_running_loop().time() < deadline, "the condition was not met in time"
        await asyncio.sleep(0.005)


class Peer:
    """What the small host was asked, and its levers."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.models: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.received: list[str | bytes] = []
        self.dialed: list[tuple[str, str, str | None]] = []
        self.sockets: list[Channels] = []
        self.streams: list[Stream] = []
        self.tokens: set[str] = set()
        self.answer: tuple[int, Any] | None = None
        self.gate: Awaitable[None] | None = None

    def host(self, state: State = State.ACTIVE, message: str = "") -> KernelHost:
        """Give this host as the service would."""
        name = SessionName(LOCAL, "etl")
        return KernelHost(name, "uuid-1", "ETL", state, message, (), f"unix:{self.path}", TOKEN, os.getuid())

    def tell(self, event: dict[str, Any]) -> None:
        """Send an event to every reader of the side stream."""
        for stream in self.streams:
            stream.write_message(json.dumps(event))


class _Base(web.RequestHandler):
    def initialize(self, peer: Peer) -> None:
        self.peer = peer

    def prepare(self) -> None:
        self.peer.tokens.add(self.request.headers.get("Authorization", ""))


class Kernels(_Base):
    """The REST half."""

    def _done(self) -> bool:
        body = json.loads(self.request.body) if self.request.body else None
        self.peer.requests.append((str(self.request.method), str(self.request.path), body))
        if self.peer.answer is None:
            return False
        self.set_status(self.peer.answer[0])
        self.write(self.peer.answer[1])
        return True

    def post(self, rest: str) -> None:
        if self._done():
            return
        if rest:
            self.write(self.peer.models.get(rest.split("/")[1], {}))
            return
        body = json.loads(self.request.body)
        model = {"id": body["kernel_id"], "name": body["name"], "execution_state": "starting", "connections": 0}
        self.peer.models[model["id"]] = model
        self.set_status(201)
        self.write(model)

    def delete(self, rest: str) -> None:
        if not self._done():
            self.set_status(204 if self.peer.models.pop(rest[1:], None) else 404)


class _Socket(WebSocketHandler):
    def initialize(self, peer: Peer) -> None:
        self.peer = peer

    def get_compression_options(self) -> None:
        return None


class Channels(_Socket):
    """The websocket half: notes what comes, sends what the test says."""

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return frames.V1 if frames.V1 in subprotocols else None

    async def prepare(self) -> None:
        if self.peer.answer is not None:
            self.set_status(self.peer.answer[0])
            self.finish()

    def open(self, kernel_id: str) -> None:
        self.peer.tokens.add(self.request.headers.get("Authorization", ""))
        self.peer.dialed.append((kernel_id, self.get_argument("session_id"), self.selected_subprotocol))
        self.peer.sockets.append(self)

    async def on_message(self, message: str | bytes) -> None:
        if self.peer.gate is not None:
            await self.peer.gate
        self.peer.received.append(message)

    def on_close(self) -> None:
        self.peer.sockets.remove(self)


class Stream(_Socket):
    """The side stream."""

    def open(self) -> None:
        self.peer.tokens.add(self.request.headers.get("Authorization", ""))
        self.peer.streams.append(self)
        self.write_message(json.dumps({"type": "kernels", "kernels": list(self.peer.models.values())}))

    def on_close(self) -> None:
        self.peer.streams.remove(self)


@contextlib.contextmanager
def listening(peer: Peer) -> Iterator[None]:
    """Serve a peer; at the end its open websockets are cut too."""
    app = web.Application(
        [
            (r"/api/kernels/([^/]+)/channels", Channels, {"peer": peer}),
            (r"/api/kernels(.*)", Kernels, {"peer": peer}),
            (r"/host/stream", Stream, {"peer": peer}),
        ],
        websocket_max_message_size=64 << 20,
    )
    server = HTTPServer(app)
    server.add_socket(bind_unix_socket(peer.path))
    try:
        yield
    finally:
        server.stop()
        for open_socket in [*peer.sockets, *peer.streams]:
            open_socket.close()
        os.unlink(peer.path)


@contextlib.contextmanager
def a_path() -> Iterator[str]:
    """Give a socket path short enough for every system."""
    with tempfile.TemporaryDirectory(prefix="js") as folder:
        yield os.path.join(folder, "s")


class Bench:
    """A server with one remote kernel, and the way to its websocket."""

    def __init__(self, app: Any, peer: Peer) -> None:
        self.app, self.peer = app, peer
        self.server = HTTPServer(app.web_app)
        listener, self.port = bind_unused_port()
        self.server.add_socket(listener)
        self.registry = Registry()
        self.kernel = RemoteKernel(
            kernel_id=KERNEL,
            name="etl.python3",
            host_kernel="python3",
            session_uuid="uuid-1",
            session=str(SessionName(LOCAL, "etl")),
            execution_state="idle",
        )
        self.kernel.parent = app.kernel_manager
        self.registry.add(self.kernel)

    @property
    def url(self) -> str:
        """The websocket's address without its query."""
        return f"ws://127.0.0.1:{self.port}{self.app.base_url}api/kernels/{self.kernel.kernel_id}/channels"

    @contextlib.asynccontextmanager
    async def browser(
        self, v1: bool = True, session_id: str = "browser-1", **options: Any
    ) -> AsyncIterator[WebSocketClientConnection]:
        """Open the kernel's websocket as a browser does."""
        url = f"{self.url}?session_id={session_id}"
        request = httpclient.HTTPRequest(
            url, headers={"Authorization": f"token {self.app.identity_provider.token}"}, request_timeout=10
        )
        socket = await websocket_connect(
            request, subprotocols=[frames.V1] if v1 else None, max_message_size=1 << 30, **options
        )
        try:
            yield socket
        finally:
            socket.close()

    async def host_side(self) -> Channels:
        """Wait for the host's end of the websocket."""
        await until(lambda: self.peer.sockets)
        return self.peer.sockets[-1]


@contextlib.contextmanager
def bench(app: Any, known: bool = True) -> Iterator[Bench]:
    """Put one remote kernel into a running server; ``known``: its host is there from the start."""
    manager = app.kernel_manager
    own = manager.get_kernel
    with a_path() as path, contextlib.ExitStack() as stack:
        made = Bench(app, Peer(path))
        manager.get_kernel = lambda kernel_id: made.registry.get(kernel_id) or own(kernel_id)
        settings = app.web_app.settings
        settings["kernel_websocket_connection_class"] = wrap_connection(settings["kernel_websocket_connection_class"])
        if known:
            stack.enter_context(listening(made.peer))
            made.registry.set_host(made.peer.host())
        try:
            yield made
        finally:
            for connection in list(RemoteConnection.open_connections.values()):
                connection.disconnect()
                connection.websocket_handler.close()
            made.server.stop()
            manager.get_kernel = own


def message(kind: str, parent: str = "execute_request", channel: str = "iopub", **content: Any) -> bytes:
    """Write one v1 frame."""
    session = Session()
    header, above = session.msg_header(kind), session.msg_header(parent) if parent else {}
    return frames.pack_v1(channel, [session.pack(part) for part in (header, above, {}, content)])


def raw_browser(bench: Bench, session_id: str = "raw") -> socket.socket:
    """Open the websocket by hand on a socket that reads nothing unless told to (its receive buffer is small)."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.connect(("127.0.0.1", bench.port))
    path = bench.url.split(str(bench.port), 1)[1]
    sock.sendall(
        f"GET {path}?session_id={session_id} HTTP/1.1\r\nHost: 127.0.0.1:{bench.port}\r\n"
        f"Authorization: token {bench.app.identity_provider.token}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: {frames.V1}\r\n\r\n".encode()
    )
    return sock
