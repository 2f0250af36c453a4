"""One websocket to a kernel's channels."""

from __future__ import annotations

import socket
import ssl
from typing import Any
from urllib.parse import quote, urlsplit

from jupyter_sessions.client.errors import KernelDied, ServerGone
from jupyter_sessions.client.messages import V1, Message, pack, unpack
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.model.errors import Unauthenticated, Unavailable

DIAL = 20.0
"""Seconds that the opening of a websocket may take."""
SILENCE = 12.0
"""Seconds of silence after which the server is asked whether it is there; after as many more it is not."""
_GONE = (404, 410)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Hungup(Exception):
    """The websocket has ended, by whomever."""


class ChannelSocket:
    """The channels of one kernel for one client session. One thread receives; any may send, one at a time."""

    def __init__(self, transport: Transport, kernel_id: str, session_id: str) -> None:
        """Open it; raises KernelDied where there is no such kernel, Unauthenticated, ServerGone, Unavailable."""
        self._socket = _dial(transport, kernel_id, session_id)
        self._v1 = self._socket.subprotocol == V1
        self._asked = False
        self._socket.settimeout(SILENCE)

    def send(self, message: Message) -> None:
        """Send one message; raises Hungup."""
        import websocket

        data = pack(message, self._v1)
        try:
            if isinstance(data, str):
                self._socket.send(data)
            else:
                self._socket.send_binary(data)
        except (websocket.WebSocketException, OSError, ValueError) as error:
            raise Hungup(str(error)) from error

    def receive(self) -> Message:
        """Wait for the next message; raises Hungup, and ValueError for a frame that is no message."""
        import websocket

        while True:
            try:
                opcode, data = self._socket.recv_data(control_frame=True)
            except websocket.WebSocketTimeoutException:
                self._ask()
                continue
            except (websocket.WebSocketException, OSError, ValueError, AttributeError) as error:
                raise Hungup(str(error)) from error
            self._asked = False
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                raise Hungup(data[2:].decode("utf-8", "replace"))
            if opcode == websocket.ABNF.OPCODE_TEXT:
                return unpack(data.decode(), self._v1)
            if opcode == websocket.ABNF.OPCODE_BINARY:
                return unpack(data, self._v1)

    def _ask(self) -> None:
        if self._asked:
            raise Hungup("the server is silent")
        self._asked = True
        try:
            self._socket.ping()
        except Exception as error:
            raise Hungup(str(error)) from error

    def close(self) -> None:
        """End it; a thread that receives wakes with Hungup."""
        try:
            self._socket.send_close()
        except Exception:  # noqa: S110 - it is to end, and may have ended already
            pass
        self._socket.shutdown()


def _dial(transport: Transport, kernel_id: str, session_id: str) -> Any:
    import websocket

    url = f"{transport.url}/api/kernels/{quote(kernel_id)}/channels?session_id={session_id}".replace("http", "ws", 1)
    options: dict[str, Any] = {"sslopt": _tls(transport.verify)}
    if urlsplit(transport.url).hostname in _LOOPBACK:
        # A proxy of the environment has no way to this machine's own loopback.
        options["http_no_proxy"] = ["*"]
    try:
        return websocket.create_connection(
            url,
            timeout=DIAL,
            header=[f"{name}: {value}" for name, value in transport.headers().items()],
            subprotocols=[V1],
            suppress_origin=True,
            skip_utf8_validation=True,
            enable_multithread=True,
            sockopt=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
            **options,
        )
    except websocket.WebSocketBadStatusException as error:
        raise _refused(transport, kernel_id, error.status_code) from error
    except (websocket.WebSocketException, OSError, ValueError) as error:
        raise transport.gone(getattr(error, "strerror", None) or str(error)) from error


def _refused(transport: Transport, kernel_id: str, status: int) -> KernelDied | Unauthenticated | Unavailable:
    if status in _GONE:
        return KernelDied(f"there is no kernel {kernel_id} any more")
    if status in (401, 403) or 300 <= status < 400:
        return Unauthenticated(f"the server at {transport.url} does not take the token for a kernel's channels")
    return ServerGone(
        f"the server at {transport.url} answers HTTP {status} for a kernel's channels; try again in a moment"
    )


def _tls(verify: bool | str) -> dict[str, Any]:
    if verify is True:
        return {}
    return {"ca_certs": verify} if verify else {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
