"""A Jupyter server with the kernels room in it, a session's host beside it, and their levers."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from ipykernel.kernelspec import RESOURCES
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.api import handlers as api_handlers
from jupyter_server.services.sessions.sessionmanager import SessionManager
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from jupyter_sessions.kernels.mount import Mounted
from jupyter_sessions.model.api import KernelHost, OfferedKernel, Unsubscribe
from jupyter_sessions.model.names import LOCAL, LocationName, SessionName
from jupyter_sessions.model.states import State
from tests.kernels.peer import Peer, a_path, listening

EXTENSION = "tests.kernels.mounted_extension"
PYTHON = OfferedKernel(
    "python3",
    {"argv": ["/secret/python"], "display_name": "Python 3", "language": "python", "metadata": {"debugger": True}},
    RESOURCES,
)
SPEC = "etl.python3"
TAKES_IDS = "kernel_id" in inspect.signature(SessionManager.start_kernel_for_session).parameters
"""Whether this Jupyter Server hands on the id that a browser chose for a new kernel."""
RESOLVES = hasattr(api_handlers, "PathResolverHandler")
"""Whether it resolves paths for kernels."""


def a_host(
    name: str = "etl", uuid: str = "", parent: LocationName = LOCAL, kernels: tuple[OfferedKernel, ...] = (PYTHON,)
) -> KernelHost:
    """Give an ACTIVE session's host that nothing listens at."""
    session = SessionName(parent, name)
    return KernelHost(session, uuid or f"uuid-{name}", "", State.ACTIVE, "", kernels, "unix:/nowhere", "token")


class Hosts:
    """The seam's other side: what the service knows, told by the test."""

    def __init__(self, *hosts: KernelHost) -> None:
        self.hosts = {host.session_uuid: host for host in hosts}
        self.listeners: list[Callable[[KernelHost], None]] = []

    def kernel_hosts(self) -> list[KernelHost]:
        """Give every ACTIVE session."""
        return [host for host in self.hosts.values() if host.state is State.ACTIVE]

    def watch_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Tell a listener of changes."""
        self.listeners.append(listener)
        return lambda: self.listeners.remove(listener)

    def tell(self, host: KernelHost) -> None:
        """Say that a session has changed."""
        self.hosts[host.session_uuid] = host
        for listener in list(self.listeners):
            listener(host)

    def end(self, message: str = "out of memory", state: State = State.FAILED) -> None:
        """Say that every session has ended."""
        for host in list(self.hosts.values()):
            self.tell(dataclasses.replace(host, state=state, state_message=message, address="", kernels=()))


class Room:
    """One server, its kernels room, one session named ``etl`` with its host, and a client."""

    def __init__(self, app: Any, peer: Peer) -> None:
        self.app, self.peer = app, peer
        self.server = HTTPServer(app.web_app)
        listener, self.port = bind_unused_port()
        self.server.add_socket(listener)
        self.host = dataclasses.replace(peer.host(), kernels=(PYTHON,))
        self.hosts = Hosts(self.host)

    @property
    def mounted(self) -> Mounted:
        """The kernels room."""
        found: Mounted = self.app.web_app.settings["mounted"]
        return found

    async def call(self, method: str, path: str, body: Any = None) -> HTTPResponse:
        """Ask the server; gives the answer whatever its status."""
        return await AsyncHTTPClient().fetch(
            f"http://127.0.0.1:{self.port}{self.app.base_url}{path}",
            method=method,
            headers={"Authorization": f"token {self.app.identity_provider.token}"},
            body=None if body is None else json.dumps(body),
            allow_nonstandard_methods=True,
            raise_error=False,
            request_timeout=20,
        )

    async def get(self, path: str) -> Any:
        """Ask for JSON that must be there."""
        answer = await self.call("GET", path)
        assert answer.code == 200, (answer.code, answer.body)
        return json.loads(answer.body)

    async def start(self, **body: Any) -> dict[str, Any]:
        """Start a kernel of the session by Jupyter's REST API, and give its model."""
        answer = await self.call("POST", "api/kernels", {"name": SPEC, **body})
        assert answer.code == 201, (answer.code, answer.body)
        return dict(json.loads(answer.body))

    async def open(self, path: str, **kernel: Any) -> dict[str, Any]:
        """Make a notebook session."""
        name = path.rpartition("/")[2]
        body = {"path": path, "name": name, "type": "notebook", "kernel": kernel or {"name": SPEC}}
        answer = await self.call("POST", "api/sessions", body)
        assert answer.code == 201, (answer.code, answer.body)
        return dict(json.loads(answer.body))


@contextlib.asynccontextmanager
async def a_room(app: Any, attach: bool = True) -> AsyncIterator[Room]:
    """Serve a server that was made with ``EXTENSION``, with one session's host at its side."""
    with a_path() as path, contextlib.ExitStack() as stack:
        room = Room(app, Peer(path))
        stack.enter_context(listening(room.peer))
        await room.mounted.start()
        if attach:
            room.mounted.attach(room.hosts)
        try:
            yield room
        finally:
            await room.mounted.close()
            room.server.stop()


@contextlib.contextmanager
def an_app(make: Callable[..., Any], extensions: tuple[str, ...] = (EXTENSION,), **sections: Any) -> Iterator[Any]:
    """Make a server by pytest-jupyter's factory, with configuration sections besides the extensions."""
    ServerApp.clear_instance()
    server = {"jpserver_extensions": dict.fromkeys(extensions, True), **sections.pop("ServerApp", {})}
    app = make(config={"ServerApp": server, **sections})
    try:
        yield app
    finally:
        ServerApp.clear_instance()
