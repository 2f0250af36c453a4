"""One websocket to a kernel's channels."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from jupyter_sessions.client.errors import KernelDied, ServerGone, TransferRefused
from jupyter_sessions.client.messages import V1, Message, pack, unpack
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.model.errors import Unauthenticated, Unavailable
from jupyter_sessions.model.hostfile import CLIENT_DONE

DIAL = 20.0
"""Seconds that the opening of a websocket may take."""
SILENCE = 8.0
"""Seconds of silence after which the server is asked whether it is there; after as many more it is not."""
LARGEST = 10 << 20
"""The largest message that a Jupyter server takes, in bytes."""
NORMAL = 1000
_PROTOCOL = "Sec-WebSocket-Protocol"
_GONE = (404, 410)
_REFUSALS = frozenset((1002, 1003, 1007, 1008, 1009, 1013))
"""Codes with which a server closes that will not have what it was sent, or nobody now."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Hungup(Exception):
    """The websocket has ended, by whomever; ``refused`` where the server did so and it would do so again."""

    def __init__(self, why: str, refused: bool = False) -> None:
        super().__init__(why)
        self.refused = refused


class ChannelSocket:
    """The channels of one kernel for one client session. One thread receives; any may send, one at a time.

    ``heard_at`` is when the server last gave a sign of life, of ``time.monotonic``.
    """

    def __init__(self, transport: Transport, kernel_id: str, session_id: str, end: float) -> None:
        """Open it until ``end``; raises KernelDied where there is no such kernel, Unauthenticated, ServerGone."""
        limit = min(DIAL, max(end - time.monotonic(), 1.0))
        self._socket = _dial(transport, kernel_id, session_id, limit)
        self._v1 = self._socket.getheaders().get(_PROTOCOL.lower()) == V1
        self._asked = False
        self.heard_at = time.monotonic()
        self._socket.settimeout(SILENCE)

    def send(self, message: Message) -> None:
        """Send one message; raises Hungup, and TransferRefused for one that is too large."""
        import websocket

        data = pack(message, self._v1)
        if len(data) > LARGEST:
            raise TransferRefused(
                f"a message of {len(data):,} bytes is larger than a Jupyter server takes, which is {LARGEST:,}; "
                "send data with push or upload, which cut it up"
            )
        try:
            if isinstance(data, str):
                self._socket.send(data)
            else:
                self._socket.send_binary(data)
        except (websocket.WebSocketException, OSError, ValueError, AttributeError) as error:
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
            self.heard_at = time.monotonic()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                code = int.from_bytes(data[:2], "big")
                raise Hungup(data[2:].decode("utf-8", "replace") or f"code {code}", code in _REFUSALS)
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

    def close(self, polite: bool, done: bool = False) -> None:
        """End it; a thread that receives or sends wakes with Hungup.

        ``polite``: say so to the server first, and with ``done`` that nobody will come back to what it keeps.
        """
        if polite:
            with contextlib.suppress(Exception):
                self._socket.send_close(CLIENT_DONE if done else NORMAL)
        # To close the descriptor would not wake who waits on it, and might hand its number to another.
        with contextlib.suppress(OSError, AttributeError):
            self._socket.sock.shutdown(socket.SHUT_RDWR)

    def release(self) -> None:
        """Give its descriptor back; called by the thread that receives."""
        self._socket.shutdown()


def _dial(transport: Transport, kernel_id: str, session_id: str, limit: float) -> Any:
    import websocket

    # Named as its subprotocols, the library would refuse a server that chooses none: that one speaks the legacy form.
    headers = {**transport.headers(), _PROTOCOL: V1}
    url = f"{transport.url}/api/kernels/{quote(kernel_id)}/channels?session_id={session_id}".replace("http", "ws", 1)
    try:
        return websocket.create_connection(
            url,
            timeout=limit,
            header=[f"{name}: {value}" for name, value in headers.items()],
            suppress_origin=True,
            skip_utf8_validation=True,
            enable_multithread=True,
            sockopt=((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),),
            **_way(transport, limit),
        )
    except websocket.WebSocketBadStatusException as error:
        raise _refused(transport, kernel_id, error.status_code) from error
    except (websocket.WebSocketException, OSError, ValueError) as error:
        raise transport.failed(error, (limit, limit)) from error


def _refused(transport: Transport, kernel_id: str, status: int) -> KernelDied | Unauthenticated | Unavailable:
    if status in _GONE:
        return KernelDied(f"there is no kernel {kernel_id} any more")
    if status in (401, 403) or 300 <= status < 400:
        return Unauthenticated(f"the server at {transport.url} does not take the token for a kernel's channels")
    return ServerGone(
        f"the server at {transport.url} answers HTTP {status} for a kernel's channels; try again in a moment"
    )


def _way(transport: Transport, limit: float) -> dict[str, Any]:
    """Say how to connect: as HTTP does, so past a proxy of the environment to this machine's own loopback."""
    parts = urlsplit(transport.url)
    if parts.hostname not in _LOOPBACK:
        return {"sslopt": _tls(transport.verify)}
    secure = parts.scheme == "https"
    made: socket.socket = socket.create_connection((parts.hostname, parts.port or (443 if secure else 80)), limit)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if secure:
            made = _context(transport.verify).wrap_socket(made, server_hostname=parts.hostname)
    except BaseException:
        made.close()
        raise
    return {"socket": made}


def _tls(verify: bool | str) -> dict[str, Any]:
    if not verify:
        return {"cert_reqs": ssl.CERT_NONE, "check_hostname": False}
    bundle = verify if isinstance(verify, str) else _bundle()
    return {"ca_cert_path" if Path(bundle).is_dir() else "ca_certs": bundle}


def _context(verify: bool | str) -> ssl.SSLContext:
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    bundle = verify if isinstance(verify, str) else _bundle()
    folder = Path(bundle).is_dir()
    return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)


def _bundle() -> str:
    """Give the authorities that requests trusts."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    return str(DEFAULT_CA_BUNDLE_PATH)
