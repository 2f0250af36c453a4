"""A user of a service's kernel gateway: blocking REST and channels, as some program of theirs would speak."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
import websocket

from tests.real.kernel import KernelSocket
from tests.serve.serving import LOCATION, Served, serving

SMALL_BUFFER = 4096


class GatewayUser:
    """One user; whatever they leave open is closed by ``closing``."""

    def __init__(self, served: Served, name: str) -> None:
        self.served, self.name = served, name
        self.url = served.url
        self.authorization = f"Bearer {served.token(name)}"
        self.closing = contextlib.ExitStack()

    def ask(self, method: str, path: str, body: Any = None, **options: Any) -> requests.Response:
        """Call a path from the root."""
        return self.served.request(self.name, method, path, body, **options)

    def refused(self, status: int, method: str, path: str, body: Any = None) -> str:
        """Check that a call fails in Jupyter's shape and give the message."""
        answer = self.ask(method, path, body)
        assert answer.status_code == status, (method, path, answer.text)
        assert set(answer.json()) == {"message", "reason"}, answer.text
        return str(answer.json()["message"])

    def json(self, method: str, path: str, body: Any = None) -> Any:
        """Call a path and give the JSON, None for an empty answer; a failure fails the test."""
        answer = self.ask(method, path, body)
        assert answer.ok, (method, path, answer.text)
        return answer.json() if answer.content else None

    def start(self, spec: str, **body: Any) -> str:
        """Start a kernel and give its id."""
        return str(self.json("POST", "api/kernels", {"name": spec, **body})["id"])

    def kernels(self) -> dict[str, dict[str, Any]]:
        """Give the listed kernels by id."""
        return {model["id"]: model for model in self.json("GET", "api/kernels")}

    def channels(self, kernel: str, session: str = "", v1: bool = True) -> KernelSocket:
        """Open a kernel's channels."""
        return KernelSocket(self, kernel, session, v1)  # type: ignore[arg-type]  # it has what is used of a server

    def idle_socket(self, kernel: str, session: str) -> websocket.WebSocket:
        """Open a kernel's channels with small buffers, to be left unread."""
        options = [(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)]
        return self.stream(f"api/kernels/{kernel}/channels?session_id={session}", sockopt=options)

    def stream(self, path: str, **options: Any) -> websocket.WebSocket:
        """Open a websocket at a path from the root."""
        opened = websocket.create_connection(
            f"{self.url}/{path}".replace("http", "ws", 1),
            header=[f"Authorization: {self.authorization}"],
            timeout=60,
            suppress_origin=True,
            **options,
        )
        self.closing.callback(opened.close)
        return opened

    def side_stream(self, session: str) -> websocket.WebSocket:
        """Open the side stream of a session's host."""
        return self.stream(f"host/stream?session={quote(f'{LOCATION}/sessions/{session}', safe='')}")

    def status_of(self, path: str) -> int:
        """Give the HTTP status by which a websocket is refused."""
        try:
            self.stream(path).close()
        except websocket.WebSocketBadStatusException as error:
            return int(error.status_code)
        return 101


def close_of(socket: KernelSocket | websocket.WebSocket) -> tuple[int | None, str, list[bytes]]:
    """Read to the close frame; give its code (None: it has none), its reason, and the messages before it."""
    raw: Any = socket.socket if isinstance(socket, KernelSocket) else socket
    # What was read before may have left the rest of its own deadline.
    raw.settimeout(60)
    messages: list[bytes] = []
    while True:
        opcode, data = raw.recv_data(control_frame=True)
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            # Having answered the close frame, it would not close its socket by itself.
            raw.shutdown()
            code = int.from_bytes(data[:2], "big") if len(data) >= 2 else None
            return code, bytes(data[2:]).decode(), messages
        if opcode in (websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY):
            messages.append(bytes(data))


@contextlib.contextmanager
def served_for_long(
    home: Path, users: Sequence[str], admins: Sequence[str] = (), options: Sequence[str] = ()
) -> Iterator[Served]:
    """Serve for several tests that are no coroutines."""
    loop = asyncio.new_event_loop()
    service = serving(home, users=users, admins=admins, options=options)
    try:
        yield loop.run_until_complete(service.__aenter__())
        loop.run_until_complete(service.__aexit__(None, None, None))
    finally:
        loop.close()


def activate(served: Served, user: str, session: str, **fields: Any) -> dict[str, Any]:
    """Make a session and wait until it is ACTIVE, in a test that is no coroutine."""
    return asyncio.run(served.active(user, session, **fields))
