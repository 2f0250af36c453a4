"""A blocking kernel client over a v1 websocket, as light as a measuring instrument should be."""

from __future__ import annotations

import json
import socket
import struct
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple

import websocket

from jupyter_sessions.relay.frames import V1, pack_v1
from tests.benchmarks.servers import Host, Server


class Message(NamedTuple):
    """One message of a kernel; ``content`` still as JSON bytes."""

    channel: str
    kind: str
    parent: str
    content: bytes
    buffers: list[bytes]


class Cells:
    """One websocket of a kernel; a context manager. Through ``server``, or to a session's ``host`` itself."""

    def __init__(self, at: Server | Host, kernel_id: str, receive_buffer: int = 0) -> None:
        self.session = uuid.uuid4().hex
        path = f"/api/kernels/{kernel_id}/channels?session_id={self.session}"
        options: dict[str, Any] = {"subprotocols": [V1], "header": [f"Authorization: token {at.token}"], "timeout": 120}
        if isinstance(at, Host):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(at.address)
            options["socket"], url = sock, f"ws://localhost{path}"
            options["suppress_origin"] = True
        else:
            url = f"ws://127.0.0.1:{at.port}{path}"
        if receive_buffer:
            options["sockopt"] = [(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)]
        self._ws = websocket.create_connection(url, **options)

    def __enter__(self) -> Cells:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._ws.close()

    def send(self, kind: str, content: dict[str, Any], channel: str = "shell") -> str:
        """Send one request and give its message id."""
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": kind, "username": "", "session": self.session, "version": "5.3"}
        header["date"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
        self._ws.send_binary(pack_v1(channel, parts))
        return msg_id

    def read(self) -> Message:
        """Read the next message; raises websocket's exceptions."""
        frame: Any = self._ws.recv()
        count = int.from_bytes(frame[:8], "little")
        table = struct.unpack_from(f"<{count}Q", frame, 8)
        channel, header, above, _, content, *buffers = (frame[table[n] : table[n + 1]] for n in range(count - 1))
        parent = json.loads(above).get("msg_id", "")
        return Message(channel.decode(), json.loads(header)["msg_type"], parent, content, buffers)

    def run(self, code: str, seen: Callable[[Message], object] | None = None) -> None:
        """Run a cell and return at its reply and ``idle``; ``seen`` gets each of its messages."""
        request = self.execute(code)
        replied = idle = False
        while not (replied and idle):
            message = self.read()
            if message.parent != request:
                continue
            if seen is not None:
                seen(message)
            replied = replied or message.kind == "execute_reply"
            idle = idle or (message.kind == "status" and b'"idle"' in message.content)

    def execute(self, code: str) -> str:
        """Send a cell and give its message id."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        return self.send("execute_request", {**content, "user_expressions": {}})

    def kernel_info(self) -> None:
        """Ask for the kernel's info and return at the reply."""
        request = self.send("kernel_info_request", {})
        while True:
            message = self.read()
            if message.kind == "kernel_info_reply" and message.parent == request:
                return
