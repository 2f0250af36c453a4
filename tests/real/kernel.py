"""A kernel's websocket as a browser speaks it: JSON text frames or the v1 subprotocol."""

from __future__ import annotations

import itertools
import json
import struct
import time
import uuid
from typing import Any

import websocket

from tests.real.server import RealServer

V1 = "v1.kernel.websocket.jupyter.org"
Message = dict[str, Any]


class KernelSocket:
    """One websocket on one kernel; ``session`` is Jupyter's ``session_id`` of the tab."""

    def __init__(self, server: RealServer, kernel: str, session: str = "", v1: bool = True) -> None:
        self.session = session or uuid.uuid4().hex
        self.kernel = kernel
        self.v1 = v1
        url = f"{server.url}/api/kernels/{kernel}/channels?session_id={self.session}".replace("http", "ws", 1)
        self.socket = websocket.create_connection(
            url,
            header=[f"Authorization: {server.authorization}"],
            subprotocols=[V1] if v1 else None,
            timeout=60,
            suppress_origin=True,
        )

        server.closing.callback(self.socket.close)

    def close(self) -> None:
        """Close it as a closing tab does."""
        self.socket.close()

    def send(self, channel: str, kind: str, content: Message, buffers: tuple[bytes, ...] = (), **metadata: Any) -> str:
        """Send a message and give its id."""
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": kind,
            "username": "",
            "session": self.session,
            "date": "2026-01-01T00:00:00Z",
            "version": "5.3",
        }
        if self.v1:
            parts = [channel.encode(), *(json.dumps(p).encode() for p in (header, {}, metadata, content)), *buffers]
            self.socket.send_binary(_pack(parts))
        else:
            message = {
                "channel": channel,
                "header": header,
                "parent_header": {},
                "metadata": metadata,
                "content": content,
            }
            self.socket.send(json.dumps(message))
        return header["msg_id"]

    def receive(self, seconds: float = 60) -> Message:
        """Give the next message, with ``channel`` and ``buffers``."""
        opcode, data = self._frame(seconds)
        if opcode == websocket.ABNF.OPCODE_TEXT:
            return {"buffers": [], **json.loads(data)}
        if self.v1:
            return _unpack(data)
        count = struct.unpack_from("!I", data)[0]
        offsets = [*struct.unpack_from(f"!{count}I", data, 4), len(data)]
        parts = [data[a:b] for a, b in itertools.pairwise(offsets)]
        return {**json.loads(parts[0]), "buffers": parts[1:]}

    def _frame(self, seconds: float) -> tuple[int, bytes]:
        # Pings count for nothing here: a server that only pings must fail the test.
        deadline = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                opcode, data = self.socket.recv_data(control_frame=True)
            except websocket.WebSocketTimeoutException:
                raise AssertionError(f"nothing came for {seconds:.0f} s") from None
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                raise websocket.WebSocketConnectionClosedException("closed by the server")
            if opcode in (websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY):
                return opcode, bytes(data)

    def ready(self, seconds: float = 60) -> None:
        """Ask until the kernel's ``idle`` comes: not every connection waits for a kernel that is still starting."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                self.request("shell", "kernel_info_request", {}, seconds=2)
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def request(self, channel: str, kind: str, content: Message, seconds: float = 60) -> list[Message]:
        """Send a request; give all that answers it, up to the reply and the ``idle``."""
        return self.answers(self.send(channel, kind, content), seconds)

    def answers(self, msg_id: str, seconds: float = 60, answer: str = "") -> list[Message]:
        """Give every message with ``msg_id`` as parent up to reply and ``idle``; ``answer`` is typed at a prompt."""
        found: list[Message] = []
        replied = idle = False
        deadline = time.monotonic() + seconds
        while not (replied and idle):
            assert time.monotonic() < deadline, f"no end of the answer: {[m['header']['msg_type'] for m in found]}"
            message = self.receive(seconds)
            if message["parent_header"].get("msg_id") != msg_id:
                continue
            found.append(message)
            kind = message["header"]["msg_type"]
            replied = replied or kind.endswith("_reply")
            idle = idle or (kind == "status" and message["content"]["execution_state"] == "idle")
            if kind == "input_request":
                self.send("stdin", "input_reply", {"value": answer})
        return found

    def execute(self, code: str, **content: Any) -> list[Message]:
        """Execute code and give all that answers it."""
        return self.request("shell", "execute_request", execution(code, **content))

    def begin(self, code: str) -> str:
        """Execute code and give its request's id once it runs: a kernel ignores an interrupt that comes before."""
        asked = self.send("shell", "execute_request", execution(f"print('begun', flush=True)\n{code}"))
        while True:
            message = self.receive()
            if message["header"]["msg_type"] == "stream" and message["parent_header"].get("msg_id") == asked:
                return asked

    def text(self, code: str) -> str:
        """Execute code and give its standard output; an error of the code fails the test."""
        found = self.execute(code)
        wrong = [m["content"] for m in found if m["header"]["msg_type"] == "error"]
        assert not wrong, wrong
        return "".join(m["content"]["text"] for m in found if m["header"]["msg_type"] == "stream")


def execution(code: str, **content: Any) -> Message:
    """Give the content of an ``execute_request``."""
    base = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
    return {**base, "stop_on_error": True, **content}


def _pack(parts: list[bytes]) -> bytes:
    offsets = [8 * (1 + len(parts) + 1)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return b"".join([struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets), *parts])


def _unpack(data: bytes) -> Message:
    count = struct.unpack_from("<Q", data)[0]
    offsets = struct.unpack_from(f"<{count}Q", data, 8)
    parts = [data[a:b] for a, b in itertools.pairwise(offsets)]
    channel, header, parent, metadata, content = parts[:5]
    return {
        "channel": channel.decode(),
        "header": json.loads(header),
        "parent_header": json.loads(parent),
        "metadata": json.loads(metadata),
        "content": json.loads(content),
        "buffers": parts[5:],
    }
