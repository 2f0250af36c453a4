"""How this server speaks to a session's host: HTTP and websockets over its Unix socket.

The account at the other end is checked on the connected socket before a byte is sent, so the token never reaches a
process of somebody else that took the path. No proxy is used, no redirect followed, and no exception, repr or log line
of this module holds the token.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import stat
import struct
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from tornado import httpclient
from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.tcpclient import TCPClient
from tornado.websocket import WebSocketClientConnection, WebSocketError

MAX_MESSAGE = 1 << 30
"""Largest websocket message a host may send, in bytes."""
MAX_ANSWER = 16 << 20
"""Largest answer to a request that is read, in bytes: a host is its user's own program and may send any."""
MAX_TOLD = 2 << 20
"""Largest message of a host's side stream that a service of several users reads, in bytes."""

_SCHEME = "unix:"
_REFUSED_RETRY = 0.02
_MAC_SOL_LOCAL, _MAC_LOCAL_PEERCRED, _MAC_XUCRED_SIZE = 0, 1, 76

Sink = Callable[[str | bytes | None], Awaitable[None] | None]


class HostUnreachable(ConnectionError):
    """The host did not answer; ``reason`` says why, in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WrongPeer(HostUnreachable, PermissionError):
    """A process of another account holds the other end of the socket; nothing was sent to it."""


class AnswerLost(HostUnreachable):
    """A request was sent and its answer did not come: whether it was carried out is not known."""


class HostRefused(HostUnreachable):
    """The host answered a websocket's request with the HTTP status ``status`` instead of opening it."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def peer_uid(sock: socket.socket) -> int:
    """Give the user id of the process at the other end of a connected Unix socket; raises OSError."""
    if sys.platform == "darwin":
        raw = sock.getsockopt(_MAC_SOL_LOCAL, _MAC_LOCAL_PEERCRED, _MAC_XUCRED_SIZE)
        return int(struct.unpack_from("II", raw)[1])
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


@contextlib.contextmanager
def pinned(path: str, uid: int) -> Iterator[str]:
    """Give the path to connect to for the socket ``path`` of account ``uid``.

    Where that is another account's, its directory is too: a link in it would lead to whatever waits for a connection.
    So none is followed there, and what is there must be a socket of that account. Raises OSError and WrongPeer.
    """
    if uid == os.geteuid() or sys.platform != "linux":
        yield path
        return
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    folder = os.open(os.path.dirname(path), flags | os.O_DIRECTORY)
    try:
        handle = os.open(os.path.basename(path), flags, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        found = os.fstat(handle)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != uid:
            raise WrongPeer(
                f"{path} is held by user id {found.st_uid}, or no socket of user id {uid}; nothing was sent"
            )
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


class _UnixClient(TCPClient):
    """Connects to one Unix socket, whatever host a URL names, and checks who holds it."""

    def __init__(self, path: str, uid: int, timeout: float) -> None:
        super().__init__()
        self._path, self._uid, self._timeout = path, uid, timeout

    async def connect(  # type: ignore[override]  # only what tornado's own clients pass matters
        self, host: str, port: int, max_buffer_size: int | None = None, timeout: float | None = None, **_: Any
    ) -> IOStream:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await asyncio.wait_for(self._connect(sock), self._timeout if timeout is None else timeout)
            uid = peer_uid(sock)
            if uid != self._uid:
                raise WrongPeer(
                    f"the socket {self._path} is held by a process of user id {uid}, not {self._uid}; "
                    "nothing was sent to it"
                )
            return IOStream(sock, max_buffer_size=max_buffer_size)
        except asyncio.TimeoutError:
            sock.close()
            raise HostUnreachable(f"the host at {self._path} took no connection in time") from None
        except BaseException:
            sock.close()
            raise

    async def _connect(self, sock: socket.socket) -> None:
        # A Unix socket connects at once or, its backlog full, not at all: polling it for writability (as IOStream's
        # connect does) would take an unconnected socket for a connected one.
        with pinned(self._path, self._uid) as path:
            while True:
                try:
                    return sock.connect(path)
                except BlockingIOError:
                    await asyncio.sleep(_REFUSED_RETRY)


class HostSocket(WebSocketClientConnection):
    """An open websocket to a host, read by ``read_message`` or, where a sink was given, by that sink.

    A sink is called with each message, and with None once at the end; the next message is not read before the
    awaitable it gives (None: nothing to wait for) is done.
    """

    _sink: Sink | None = None

    def _on_message(self, message: str | bytes | None) -> Awaitable[None] | None:
        if self._sink is None:
            return super()._on_message(message)
        return self._sink(message)


class HostLink:
    """Speaks to one host: ``address`` is ``unix:{path}``, ``uid`` the account that must hold the socket.

    Raises ValueError for another kind of address. Belongs to the event loop it is first used on.
    """

    def __init__(self, address: str, token: str, uid: int) -> None:
        if not address.startswith(_SCHEME) or address == _SCHEME:
            raise ValueError(f"address: must be unix:{{path}}, the only way to a host here, not {address!r}")
        self.address = address
        self.uid = uid
        self._path = address[len(_SCHEME) :]
        self._token = token
        self._client: SimpleAsyncHTTPClient | None = None

    def __repr__(self) -> str:
        return f"HostLink({self.address!r}, uid={self.uid})"

    async def request(self, method: str, path: str, body: Any = None, timeout: float = 10.0) -> tuple[int, Any]:
        """Send one request and give status and answer: decoded JSON, text where it is none, None where empty.

        ``body`` is sent as JSON unless None; ``timeout`` is seconds for the whole exchange. Any status is an answer,
        a redirect too. Raises HostUnreachable.
        """
        response = await self._exchange(method, path, body, timeout)
        return response.code, _decoded(response.body)

    async def read(self, path: str, timeout: float = 10.0) -> tuple[int, bytes, str]:
        """GET what is no JSON, a logo say: give status, the bytes and their Content-Type. Raises HostUnreachable."""
        response = await self._exchange("GET", path, None, timeout)
        return response.code, response.body or b"", response.headers.get("Content-Type", "")

    async def _exchange(self, method: str, path: str, body: Any, timeout: float) -> httpclient.HTTPResponse:
        payload = None if body is None else json.dumps(body)
        if payload is None and method in ("POST", "PUT", "PATCH"):
            payload = ""
        request = httpclient.HTTPRequest(
            f"http://localhost{path}", method, self._headers(), payload, **self._limits(timeout)
        )
        try:
            return await self._http().fetch(request, raise_error=False)
        except Exception as error:
            raise self._mapped(error) from None

    async def websocket(
        self,
        path_and_query: str,
        subprotocols: Sequence[str] = (),
        max_message_size: int = MAX_MESSAGE,
        timeout: float = 10.0,
        sink: Sink | None = None,
    ) -> HostSocket:
        """Open a websocket; whoever asked closes it. Raises HostUnreachable, HostRefused where the host says no.

        ``max_message_size`` is bytes of one message from the host, ``timeout`` seconds for opening it. With ``sink``
        the messages go there (see HostSocket), else they are read by ``read_message``.
        """
        self._check_socket()
        request = httpclient.HTTPRequest(
            f"ws://localhost{path_and_query}", headers=self._headers(), **self._limits(timeout)
        )
        proxied: Any = httpclient._RequestProxy(request, httpclient.HTTPRequest._DEFAULTS)
        connection = HostSocket(
            proxied, max_message_size=max_message_size, subprotocols=list(subprotocols) if subprotocols else None
        )
        # Both are read when the connection starts to run, on the loop's next turn.
        connection.tcp_client = _UnixClient(self._path, self.uid, timeout)
        connection.max_buffer_size = max(connection.max_buffer_size, max_message_size + 1024)
        connection._sink = sink
        try:
            await asyncio.shield(connection.connect_future)
        except asyncio.CancelledError:
            connection.connect_future.add_done_callback(_close_late)
            raise
        except Exception as error:
            raise self._mapped(error) from None
        return connection

    def close(self) -> None:
        """Forget the HTTP client; open websockets stay their owners' to close."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _check_socket(self) -> None:
        # Before a client is made, which is dear: who follows a host that is gone tries again and again.
        try:
            with pinned(self._path, self.uid) as path:
                os.stat(path)
        except OSError as error:
            raise self._mapped(error) from None

    def _http(self) -> SimpleAsyncHTTPClient:
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(force_instance=True, max_clients=100, max_body_size=MAX_ANSWER)
            self._client.tcp_client = _UnixClient(self._path, self.uid, 10.0)
        return self._client

    def _headers(self) -> HTTPHeaders:
        return HTTPHeaders({"Authorization": f"token {self._token}", "Content-Type": "application/json"})

    @staticmethod
    def _limits(timeout: float) -> dict[str, Any]:
        return {
            "connect_timeout": timeout,
            "request_timeout": timeout,
            "follow_redirects": False,
            "decompress_response": False,
        }

    def _mapped(self, error: Exception) -> HostUnreachable:
        """Give the one kind of exception this module raises for ``error``."""
        if isinstance(error, HostUnreachable):
            return error
        if isinstance(error, FileNotFoundError):
            return HostUnreachable(f"there is no socket at {self._path}; the host has not started or is gone")
        if isinstance(error, ConnectionRefusedError):
            return HostUnreachable(f"nobody listens at {self._path}; the host is gone")
        if isinstance(error, httpclient.HTTPClientError) and error.code != 599:
            return HostRefused(error.code, f"the host at {self._path} answered {error.code} to a websocket")
        if isinstance(error, httpclient.HTTPClientError):
            return HostUnreachable(f"the host at {self._path} gave no answer: {error.message}")
        if isinstance(error, WebSocketError):
            return HostRefused(200, f"the host at {self._path} opened no websocket")
        return HostUnreachable(f"the host at {self._path} cannot be reached: {error}")


def _decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _close_late(future: asyncio.Future[WebSocketClientConnection]) -> None:
    """Close a connection that opened after its caller had gone."""
    if not future.cancelled() and future.exception() is None:
        future.result().close()
