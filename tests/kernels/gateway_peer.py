"""A kernel gateway as Google's: its own ids, JSON text frames, starts that take their time; and every way to misbehave.

It runs no kernels: its channels answer ``kernel_info_request`` and send what the test says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from jupyter_client.session import Session
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.websocket import WebSocketHandler

from jupyter_sessions.config.locations import LocationConfig, Provider
from jupyter_sessions.model.api import KernelHost
from jupyter_sessions.model.names import LocationName, SessionName
from jupyter_sessions.model.states import State
from jupyter_sessions.relay import frames
from jupyter_sessions.upstream.gateway import LocationGateway, make_gateway
from tests.upstream.carrying import Passes

PARENT = LocationName("p", "l")
SESSION = SessionName(PARENT, "etl-1")
SERVICE = "//dataproc.googleapis.com/"
TOKEN = "ya29.secret"


def spec(name: str, parent: str = "", **more: Any) -> dict[str, Any]:
    """Write one kernelspec as a gateway lists it."""
    body = {"display_name": f"The {name}", "language": "python", "argv": ["/secret/argv"], "metadata": {"a": 1}, **more}
    return {"name": name, "spec": body, "resources": {"endpointParentResource": f"{SERVICE}{parent}"} if parent else {}}


class Gateway:
    """What the gateway was asked, and its levers.

    ``gate``: a start waits for it; ``failure``: what a start answers instead; ``lose``: a start breaks off after its
    kernel is there; ``session``: the session that a started kernel names; ``refuse``: so many 401 come first; ``mute``:
    so many websockets say nothing; ``streams``: it is a jupyter_sessions.
    """

    def __init__(self) -> None:
        self.port = 0
        self.tls: ssl.SSLContext | None = None
        self.streams = False
        self.specs: dict[str, dict[str, Any]] = {}
        self.warnings: list[dict[str, Any]] = []
        self.models: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.received: list[Any] = []
        self.sockets: list[Channels] = []
        self.side: list[SideStream] = []
        self.opened = 0
        self.gate: asyncio.Event | None = None
        self.failure: tuple[int, Any] | None = None
        self.answers: dict[str, tuple[int, Any]] = {}
        self.lose = False
        self.session = str(SESSION)
        self.refuse = 0
        self.mute = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def asked(self, method: str, path: str) -> int:
        """Count the requests of a method and path."""
        return sum(request[:2] == (method, path) for request in self.requests)

    def make(self, name: str, kernel_id: str = "", state: str = "idle", session: str | None = None) -> dict[str, Any]:
        """Make a kernel without having been asked."""
        parent = self.session if session is None else session
        model = {
            "id": kernel_id or str(uuid.uuid4()),
            "name": name,
            "execution_state": state,
            "last_activity": "2026-11-24T10:00:00.000000Z",
            "connections": 0,
            "metadata": {"endpointParentResource": f"{SERVICE}{parent}"} if parent else {},
        }
        self.models[str(model["id"])] = model
        return model

    def made(self, credentials: Passes | None = None, **config: Any) -> LocationGateway:
        """Make our end, with short patience."""
        settings: dict[str, Any] = {"request_timeout": 5.0, "start_timeout": 20.0, "gateway": self.url, **config}
        kind = "jupyter_sessions" if self.streams else "google"
        made = make_gateway(
            LocationConfig(PARENT, Provider.UPSTREAM, **settings), kind, credentials or Passes([TOKEN, "second"]), {}
        )
        assert made is not None
        return made


def host_of(gateway: LocationGateway, session: SessionName = SESSION, state: State = State.ACTIVE) -> KernelHost:
    """Give a session's host as the proxy would."""
    kernels = tuple(gateway.offered(session))
    return KernelHost(session, f"uuid-{session.id}", "", state, "", kernels, gateway.url, gateway=gateway)


def starter_of(gateway: LocationGateway) -> KernelHost:
    """Give the host of what belongs to no session."""
    name, uuid_ = SessionName(PARENT, "gateway"), f"gateway:{PARENT}"
    kernels = tuple(gateway.loose())
    return KernelHost(name, uuid_, "", State.ACTIVE, "", kernels, gateway.url, gateway=gateway, starter=True)


class _Ruled:
    peer: Gateway

    def initialize(self, peer: Gateway) -> None:
        self.peer = peer

    def prepare(self) -> None:
        handler: Any = self
        self.peer.headers.append(dict(handler.request.headers))
        if self.peer.refuse:
            self.peer.refuse -= 1
            handler.set_status(401)
            handler.finish({"message": "no"})
        elif handler.request.path in self.peer.answers:
            status, body = self.peer.answers[handler.request.path]
            handler.set_status(status)
            handler.finish(body)


class Specs(_Ruled, web.RequestHandler):
    """The kernelspecs."""

    def get(self) -> None:
        self.peer.requests.append(("GET", self.request.path, None))
        default = next(iter(self.peer.specs), "")
        self.write({"default": default, "kernelspecs": self.peer.specs, "warnings": self.peer.warnings})


class Kernels(_Ruled, web.RequestHandler):
    """The kernels."""

    def get(self) -> None:
        self.peer.requests.append(("GET", self.request.path, None))
        self.finish(json.dumps(list(self.peer.models.values())))

    async def post(self) -> None:
        body = json.loads(self.request.body)
        self.peer.requests.append(("POST", self.request.path, body))
        if self.peer.gate is not None:
            await self.peer.gate.wait()
        if self.peer.failure is not None:
            self.set_status(self.peer.failure[0])
            self.finish(self.peer.failure[1])
            return
        model = self.peer.make(body["name"], body.get("kernel_id", "") if self.peer.streams else "", "starting")
        if self.peer.lose:
            self.request.connection.stream.close()  # type: ignore[union-attr]  # of HTTP/1, which it is
            return
        self.set_status(201)
        self.finish(model)


class Kernel(_Ruled, web.RequestHandler):
    """One kernel."""

    def post(self, kernel_id: str, action: str) -> None:
        self.peer.requests.append(("POST", self.request.path, None))
        self.set_status(200 if kernel_id in self.peer.models else 404)
        self.finish(self.peer.models.get(kernel_id, {}))

    def delete(self, kernel_id: str, action: str) -> None:
        self.peer.requests.append(("DELETE", self.request.path, None))
        self.set_status(204 if self.peer.models.pop(kernel_id, None) else 404)


class Channels(_Ruled, WebSocketHandler):
    """The channels of a kernel."""

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return frames.V1 if self.peer.streams and frames.V1 in subprotocols else None

    def open(self, kernel_id: str) -> None:
        self.kernel_id = kernel_id
        self.peer.opened += 1
        self.mute = self.peer.mute > 0
        self.peer.mute -= self.mute
        self.peer.sockets.append(self)

    def on_message(self, message: str | bytes) -> None:
        read = json.loads(message) if isinstance(message, str) else message
        if isinstance(read, dict) and read["header"]["msg_type"] == "kernel_info_request" and not self.mute:
            self.reply("kernel_info_reply", read["header"], read["channel"])
        self.peer.received.append(read)

    def reply(self, kind: str, parent: dict[str, Any], channel: str, **content: Any) -> None:
        """Send one message."""
        message = {**Session().msg(kind, content), "parent_header": parent, "channel": channel, "buffers": []}
        self.write_message(json.dumps(message, default=str))

    def on_close(self) -> None:
        self.peer.sockets.remove(self)


class SideStream(_Ruled, WebSocketHandler):
    """The side stream of a session."""

    def open(self) -> None:
        self.session = self.get_argument("session")
        self.peer.side.append(self)
        self.tell({"type": "kernels", "kernels": list(self.peer.models.values())})

    def tell(self, event: dict[str, Any]) -> None:
        """Send an event."""
        self.write_message(json.dumps(event))

    def on_close(self) -> None:
        self.peer.side.remove(self)


@contextlib.asynccontextmanager
async def a_gateway(tls: ssl.SSLContext | None = None, streams: bool = False) -> AsyncIterator[Gateway]:
    """Serve a gateway with one kernel for the session ``etl-1``, a template's and a cluster's; cut off at the end."""
    peer = Gateway()
    peer.tls, peer.streams = tls, streams
    cluster = spec("cluster-spark", "projects/p/regions/l/clusters/c1")
    template = spec("tpl-daily", f"{PARENT}/sessions")
    peer.specs = {each["name"]: each for each in (spec("etl-1.python3", str(SESSION)), template, cluster)}
    options = {"peer": peer}
    app = web.Application(
        [
            (r"/api/kernelspecs", Specs, options),
            (r"/api/kernels", Kernels, options),
            (r"/api/kernels/([^/]+)/channels", Channels, options),
            (r"/api/kernels/([^/]+)(?:/(interrupt|restart))?", Kernel, options),
            (r"/host/stream", SideStream, options),
        ]
    )
    server = HTTPServer(app, ssl_options=tls)
    listener, peer.port = bind_unused_port()
    server.add_socket(listener)
    try:
        yield peer
    finally:
        server.stop()
        for each in [*peer.sockets, *peer.side]:
            each.close()
        if peer.gate is not None:
            peer.gate.set()
        await server.close_all_connections()
