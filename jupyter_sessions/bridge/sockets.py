"""The five ZMQ sockets of a kernel, bound where its connection file says, and the signatures on them.

A message keeps its bytes from one end to the other; here only the parts around them are made and checked: the
identity of who asked, the topic of what is published, and the signature.
"""

from __future__ import annotations

import hmac
import itertools
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zmq

from jupyter_sessions.client.messages import PARTS, Buffer, Message
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument

DELIMITER = b"<IDS|MSG>"
ASKED = ("shell", "control", "stdin")
"""The channels on which programs speak to the kernel."""
LINGER_MS = 1000
QUEUED = 10_000
"""Messages that wait for one slow reader of the output before the next is held back."""
_WORDS = ("ip", "transport", "key", "signature_scheme")
_PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")


def read_connection_file(path: Path) -> dict[str, Any]:
    """Read a connection file; raises InvalidArgument that says what is wrong with it."""
    try:
        info = json.loads(path.read_bytes())
    except OSError as error:
        raise _faulty(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _faulty(f"{path} is no JSON: {error}") from error
    if not isinstance(info, dict):
        raise _faulty(f"{path} must hold a JSON object")
    info = {"ip": "127.0.0.1", "transport": "tcp", "key": "", "signature_scheme": "hmac-sha256", **info}
    wrong = [name for name in _WORDS if not isinstance(info[name], str)]
    wrong += [name for name in _PORTS if type(info.get(name)) is not int or info[name] < 1]
    if wrong:
        raise _faulty(f"{path} must give {', '.join(wrong)}: whoever starts a kernel chooses its ports and key")
    return info


def _faulty(rule: str) -> InvalidArgument:
    return InvalidArgument([FieldViolation("connection_file", rule)])


class Signatures:
    """Makes and checks the signatures of one connection file's key; without a key there are none."""

    def __init__(self, key: str, scheme: str) -> None:
        self._digest = scheme.partition("-")[2]
        self._start = None
        if key:
            try:
                self._start = hmac.new(key.encode(), digestmod=self._digest)
            except ValueError:
                raise _faulty(f"signature_scheme {scheme!r} is not known; it must be like hmac-sha256") from None

    def sign(self, parts: Sequence[Buffer]) -> bytes:
        """Give the signature of a message's four JSON parts."""
        if self._start is None:
            return b""
        made = self._start.copy()
        for part in parts[:PARTS]:
            made.update(part)
        return made.hexdigest().encode()

    def fit(self, signature: bytes, parts: Sequence[Buffer]) -> bool:
        """Say whether a signature is that of these parts."""
        return self._start is None or hmac.compare_digest(self.sign(parts), signature)


class Sockets:
    """The bound sockets. Used by one thread; the heartbeat answers in one of its own. Raises InvalidArgument."""

    def __init__(self, info: Mapping[str, Any]) -> None:
        self._info = info
        self._signatures = Signatures(info["key"], info["signature_scheme"])
        self._context = zmq.Context()
        self._beats = zmq.Context()
        try:
            self.iopub = self._bound(self._context, zmq.XPUB, "iopub_port")
            self._asked = {name: self._bound(self._context, zmq.ROUTER, f"{name}_port") for name in ASKED}
            beat = self._bound(self._beats, zmq.ROUTER, "hb_port")
        except zmq.ZMQError as error:
            self._context.destroy(0)
            self._beats.destroy(0)
            raise _faulty(f"its ports cannot be bound: {error.strerror}") from error
        self.iopub.xpub_nodrop = True
        # Without it only the first reader of a topic is told of, and greeted.
        self.iopub.xpub_verbose = True
        threading.Thread(target=_echo, args=(beat,), name="heartbeat", daemon=True).start()

    def _bound(self, context: zmq.Context[Any], kind: int, port: str) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = context.socket(kind)
        socket.linger = LINGER_MS
        if kind == zmq.ROUTER:
            socket.router_handover = 1
        socket.sndhwm = QUEUED
        if self._info.get("curve_secretkey"):
            socket.curve_secretkey = str(self._info["curve_secretkey"]).encode()
            socket.curve_publickey = str(self._info["curve_publickey"]).encode()
            socket.curve_server = True
        joint = "-" if self._info["transport"] == "ipc" else ":"
        socket.bind(f"{self._info['transport']}://{self._info['ip']}{joint}{self._info[port]}")
        return socket

    def poll_on(self, poller: zmq.Poller) -> None:
        """Register what programs write to."""
        for socket in (*self._asked.values(), self.iopub):
            poller.register(socket, zmq.POLLIN)

    def receive(self) -> list[tuple[list[bytes], Message]]:
        """Give what has come in, each with the identity that a reply goes to; what bears no signature is left out."""
        found = []
        for channel, socket in self._asked.items():
            for frames in _waiting(socket):
                read = self._read(channel, frames)
                if read is not None:
                    found.append(read)
        return found

    def _read(self, channel: str, frames: list[bytes]) -> tuple[list[bytes], Message] | None:
        if DELIMITER not in frames:
            return None
        at = frames.index(DELIMITER)
        signature, *parts = frames[at + 1 :] or [b""]
        if len(parts) < PARTS or not self._signatures.fit(signature, parts):
            return None
        return frames[:at], Message(channel, parts[:PARTS], parts[PARTS:])

    def subscribed(self) -> list[bytes]:
        """Give the topics that programs have subscribed to since this was asked last."""
        return [frames[0][1:] for frames in _waiting(self.iopub) if frames[0][:1] == b"\x01"]

    def reply(self, identity: Sequence[bytes], message: Message) -> None:
        """Send a message to who asked."""
        self._send(self._asked[message.channel], [*identity], message)

    def publish(self, topic: bytes, message: Message) -> bool:
        """Publish a message; says False, and does nothing, while a reader is too far behind."""
        try:
            self._send(self.iopub, [topic], message)
        except zmq.Again:
            return False
        return True

    def drop_for_the_slow(self, drop: bool) -> None:
        """Let what a reader is too far behind for be lost to it."""
        self.iopub.xpub_nodrop = not drop

    def _send(self, socket: zmq.Socket[bytes], front: list[bytes], message: Message) -> None:
        signature = self._signatures.sign(message.parts)
        socket.send_multipart([*front, DELIMITER, signature, *message.parts, *message.buffers], zmq.NOBLOCK)

    def close(self) -> None:
        """Let what was sent go out, and close."""
        self._context.destroy(LINGER_MS)
        # Its thread closes the socket then.
        self._beats.term()


def _waiting(socket: zmq.Socket[bytes]) -> list[list[bytes]]:
    found = []
    for _ in itertools.repeat(None):
        try:
            found.append(socket.recv_multipart(zmq.NOBLOCK))
        except zmq.Again:
            break
    return found


def _echo(socket: zmq.Socket[bytes]) -> None:
    """Give every heartbeat back, for as long as the process lives."""
    while True:
        try:
            zmq.proxy(socket, socket)
        except zmq.ContextTerminated:
            socket.close(0)
            return
        except zmq.ZMQError:
            continue
