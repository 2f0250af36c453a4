"""A serving host in this process, and a client that speaks to it as a server would."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tornado.httpclient import HTTPRequest, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_sessions.host.frames import V1, Parts, join_v1, read_json, split_v1
from jupyter_sessions.host.kernels import HostKernels
from jupyter_sessions.host.server import listen, make_application
from jupyter_sessions.model.hostfile import Intent, KernelSpecEntry

PATIENCE = 60.0
Message = dict[str, Any]


def python_entry(**changes: Any) -> KernelSpecEntry:
    """Give the spec of an ipykernel of this interpreter."""
    fields: dict[str, Any] = {
        "argv": [sys.executable, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "Python 3",
        "language": "python",
        "metadata": {"debugger": True},
    }
    return KernelSpecEntry(**{**fields, **changes})


def make_intent(directory: Path, **changes: Any) -> Intent:
    """Give an intent of one Python kernel whose files are all in ``directory``."""
    fields: dict[str, Any] = {
        "store_uuid": "store",
        "session_uuid": "session",
        "incarnation": 1,
        "wanted": "run",
        "socket_dir": str(directory),
        "lock_dir": str(directory),
        "kernels": {"python3": python_entry()},
        "cwd": str(directory),
    }
    return Intent(**{**fields, **changes})


class UnixResolver(Resolver):
    """Answers every name with one Unix socket."""

    def initialize(self, path: str) -> None:
        """Take the socket's path."""
        self._path = path

    async def resolve(self, host: str, port: int, family: int = 0) -> list[tuple[int, Any]]:
        """Give the socket."""
        return [(socket.AF_UNIX, self._path)]


class Channels:
    """One client's websocket to a kernel, protocol v1."""

    def __init__(self, connection: WebSocketClientConnection, session_id: str) -> None:
        self.connection = connection
        self.session_id = session_id

    async def send(
        self, kind: str, content: Mapping[str, Any], channel: str = "shell", buffers: Sequence[bytes] = ()
    ) -> str:
        """Send a message and give its id."""
        header = self.header(kind)
        fields = [json.dumps(field).encode() for field in (header, {}, {}, content)]
        await self.connection.write_message(b"".join(join_v1(channel, [*fields, *buffers])), binary=True)
        return str(header["msg_id"])

    def header(self, kind: str) -> Message:
        """Make a header."""
        made = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "session": self.session_id}
        return {**made, "date": "2024-01-01T00:00:00Z", "version": "5.3"}

    async def execute(self, code: str, **content: Any) -> str:
        """Ask to execute and give the request's id."""
        fields = {"silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        return await self.send("execute_request", {"code": code, **fields, "stop_on_error": True, **content})

    async def parts(self) -> tuple[str, Parts] | None:
        """Give the next message's channel and parts, None once the websocket is closed."""
        frame = await asyncio.wait_for(asyncio.ensure_future(self.connection.read_message()), PATIENCE)
        return None if frame is None else split_v1(frame)

    async def next(self) -> Message:
        """Give the next message; the websocket must be open."""
        received = await self.parts()
        assert received is not None, "the websocket was closed"
        channel, parts = received
        keys = ("header", "parent_header", "metadata", "content")
        fields = {key: read_json(part) for key, part in zip(keys, parts, strict=False)}
        return {"channel": channel, "msg_type": fields["header"]["msg_type"], "buffers": list(parts[4:]), **fields}

    async def until(self, wanted: Callable[[Message], bool]) -> list[Message]:
        """Read up to the first message that is wanted, and give all."""
        found = [await self.next()]
        while not wanted(found[-1]):
            found.append(await self.next())
        return found

    async def run(self, code: str, **content: Any) -> list[Message]:
        """Execute and give the request's messages, once reply and idle are both there."""
        return await self.answers(await self.execute(code, **content))

    async def answers(self, request: str) -> list[Message]:
        """Give a request's messages, once reply and idle are both there."""
        found: list[Message] = []
        replied = idle = False
        while not (replied and idle):
            message = await self.next()
            if message["parent_header"].get("msg_id") != request:
                continue
            found.append(message)
            replied |= message["channel"] == "shell" or message["channel"] == "control"
            idle |= message["content"].get("execution_state") == "idle"
        return found


def text_of(messages: Sequence[Message], name: str = "stdout") -> str:
    """Give what a stream said."""
    streams = (m["content"] for m in messages if m["msg_type"] == "stream")
    return "".join(content["text"] for content in streams if content["name"] == name)


class Host:
    """A host that serves, and how to speak to it."""

    def __init__(self, kernels: HostKernels, path: str, token: str) -> None:
        self.kernels = kernels
        self.path = path
        self.token = token
        self.poked = 0
        self._resolver = UnixResolver(path=path)
        self._client = SimpleAsyncHTTPClient(force_instance=True, resolver=self._resolver, max_body_size=1 << 30)

    @property
    def headers(self) -> dict[str, str]:
        """What opens the door."""
        return {"Authorization": f"token {self.token}"}

    async def request(
        self, path: str, method: str = "GET", body: Any = None, headers: Mapping[str, str] | None = None
    ) -> HTTPResponse:
        """Send a request; any status is an answer."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = HTTPRequest(
            f"http://localhost{path}",
            method=method,
            body=raw,
            headers=self.headers if headers is None else dict(headers),
            allow_nonstandard_methods=True,
            request_timeout=PATIENCE,
        )
        return await self._client.fetch(request, raise_error=False)

    async def json(self, path: str, method: str = "GET", body: Any = None) -> Any:
        """Send a request that succeeds, and give its JSON (None for an empty answer)."""
        response = await self.request(path, method, body)
        assert response.code < 300, (response.code, response.body)
        return json.loads(response.body) if response.body else None

    async def websocket(
        self, path: str, subprotocols: list[str] | None = None, headers: Mapping[str, str] | None = None
    ) -> WebSocketClientConnection:
        """Open a websocket."""
        request = HTTPRequest(
            f"ws://localhost{path}",
            headers=self.headers if headers is None else dict(headers),
            request_timeout=PATIENCE,
        )
        return await websocket_connect(
            request, subprotocols=subprotocols, resolver=self._resolver, max_message_size=1 << 30
        )

    async def start(self, **body: Any) -> str:
        """Start a kernel and give its id."""
        return str((await self.json("/api/kernels", "POST", body))["id"])

    @contextlib.asynccontextmanager
    async def channels(self, kernel_id: str, session_id: str = "") -> AsyncIterator[Channels]:
        """Open a kernel's channels, protocol v1."""
        name = session_id or uuid.uuid4().hex
        connection = await self.websocket(f"/api/kernels/{kernel_id}/channels?session_id={name}", [V1])
        try:
            yield Channels(connection, name)
        finally:
            connection.close()
            await closed(connection)

    def close(self) -> None:
        """Close the client."""
        self._client.close()


@contextlib.asynccontextmanager
async def serving(**changes: Any) -> AsyncIterator[Host]:
    """Serve a host; at the end nothing of it is left."""
    directory = Path(tempfile.mkdtemp(prefix="host"))
    null = os.open(os.devnull, os.O_WRONLY)
    kernels = HostKernels(make_intent(directory, **changes), lambda _label: null)
    host = Host(kernels, str(directory / "host.sock"), secrets.token_hex(32))

    def on_poke() -> None:
        host.poked += 1

    server = HTTPServer(make_application(kernels, host.token, on_poke))
    server.add_socket(listen(host.path))
    try:
        yield host
    finally:
        host.close()
        await kernels.shutdown_all(now=True)
        server.stop()
        await server.close_all_connections()
        await kernels.close()
        os.close(null)
        shutil.rmtree(directory)


async def until(condition: Callable[[], Any], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.01)


async def closed(connection: WebSocketClientConnection) -> None:
    """Wait until a client's websocket is closed."""
    protocol = connection.protocol
    stream = protocol.stream if protocol is not None else None
    await until(lambda: stream is None or stream.closed())
