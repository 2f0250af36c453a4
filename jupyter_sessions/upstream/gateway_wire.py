"""Requests and websockets to one gateway: where they may go, with which headers, through what.

No redirect is followed, no host but the configured one is spoken to, and credentials are fresh for each try.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tornado import httpclient
from tornado.httputil import HTTPHeaders
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError, SimpleAsyncHTTPClient
from tornado.websocket import WebSocketClientConnection, WebSocketError

from jupyter_sessions.engines.hostlink import AnswerLost, HostRefused, HostSocket, HostUnreachable, Sink
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.upstream.gateway_tunnel import Tunnel, proxy_for, tls_context
from jupyter_sessions.upstream.hiding import Hidden

if TYPE_CHECKING:
    from jupyter_sessions.upstream.base import Credentials

NO_HEADERS: Mapping[str, str] = MappingProxyType({})
MAX_BODY = 32 << 20
"""Largest answer, in bytes."""
CONNECT_TIMEOUT = 10.0
"""Seconds to open a connection, TLS and proxy included."""


def fault_of(url: str) -> str:
    """Say what is wrong with a gateway's URL, ``""`` where it may be spoken to: https, or http to this machine."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return f"gateway: is no URL: {url!r}"
    if parts.username is not None or parts.query or parts.fragment:
        return "gateway: a URL without user, query and fragment"
    if parts.scheme == "https" and host:
        return ""
    if parts.scheme == "http" and _loopback(host):
        return ""
    return f"gateway: must be https://…, or http:// to this machine, not {url!r}"


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class GatewaySocket(HostSocket):
    """An open websocket to a gateway; ``hidden`` are the credentials that it was opened with.

    They do not stand in the reason of its end. Messages are as they came.
    """

    hidden = Hidden(NO_HEADERS)

    def on_ws_connection_close(self, close_code: int | None = None, close_reason: str | None = None) -> None:
        """Hear how it ended."""
        reason = None if close_reason is None else self.hidden.of_header(close_reason)
        super().on_ws_connection_close(close_code, reason)


class Wire:
    """Speaks to the server at ``url`` (without a slash at its end); ``extra`` headers go with each request.

    Both methods raise HostUnreachable; ``request`` AnswerLost where it may have been carried out, ``websocket``
    HostRefused where an HTTP status is answered instead. Belongs to the event loop it is first used on.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        extra: Mapping[str, str] = NO_HEADERS,
        verify: bool | str = True,
        proxy: str = "",
    ) -> None:
        wrong = fault_of(url)
        if wrong:
            raise ValueError(wrong)
        self.url = url.rstrip("/")
        self._host = urlsplit(url).netloc
        self._credentials, self._extra, self._verify, self._proxy = credentials, extra, verify, proxy
        self._context: asyncio.Task[ssl.SSLContext] | None = None
        self._clients: dict[int, SimpleAsyncHTTPClient] = {}

    def __repr__(self) -> str:
        return f"Wire({self.url!r})"

    async def request(self, method: str, path: str, body: Any = None, timeout: float = 10.0) -> tuple[int, Any]:
        """Send one request, give status and answer: decoded JSON, text where it is none, None where empty.

        ``timeout`` is seconds for each of at most two tries (the second after a 401). What the gateway says back of the
        credentials is left out.
        """
        response, hidden = await self._answer(method, path, body, timeout, MAX_BODY)
        return response.code, _decoded(response.body, hidden)

    async def read(self, path: str, limit: int, timeout: float = 10.0) -> tuple[int, bytes]:
        """Get status and bytes of what is at ``path``; more than ``limit`` bytes is no answer. Else as ``request``."""
        response, hidden = await self._answer("GET", path, None, timeout, limit)
        return response.code, hidden.of_bytes(response.body)

    async def _answer(
        self, method: str, path: str, body: Any, timeout: float, limit: int
    ) -> tuple[httpclient.HTTPResponse, Hidden]:
        for last in (False, True):
            headers = await self._headers()
            response = await self._fetch(method, path, body, timeout, headers, limit)
            if response.code != 401 or last:
                break
            self._credentials.refused(headers)
        return response, Hidden(headers)

    async def websocket(
        self,
        path_and_query: str,
        subprotocols: Sequence[str] = (),
        max_message_size: int = 1 << 30,
        timeout: float = 10.0,
        sink: Sink | None = None,
    ) -> GatewaySocket:
        """Open a websocket; whoever asked closes it. ``max_message_size`` is bytes, ``timeout`` seconds."""
        headers = await self._headers()
        try:
            return await self._open(headers, path_and_query, subprotocols, max_message_size, timeout, sink)
        except HostRefused as error:
            if error.status != 401:
                raise
        self._credentials.refused(headers)
        headers = await self._headers()
        return await self._open(headers, path_and_query, subprotocols, max_message_size, timeout, sink)

    def close(self) -> None:
        """Close the HTTP client; open websockets stay their owners'."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    async def _headers(self) -> Mapping[str, str]:
        try:
            return await self._credentials.headers()
        except SessionsError as error:
            steps = " ".join(self._credentials.remedy())
            raise HostUnreachable(f"{error.message} {steps}".strip()) from None

    async def _fetch(
        self, method: str, path: str, body: Any, timeout: float, headers: Mapping[str, str], limit: int
    ) -> httpclient.HTTPResponse:
        payload = None if body is None else json.dumps(body)
        if payload is None and method in ("POST", "PUT", "PATCH"):
            payload = ""
        try:
            request = httpclient.HTTPRequest(
                self._target(path), method, self._sent(headers), payload, **await self._options(timeout)
            )
        except Exception as error:
            raise self._mapped(error) from None
        try:
            return await self._http(limit).fetch(request, raise_error=False)
        except (HTTPStreamClosedError, HTTPTimeoutError) as error:
            if "during request" in str(error) or isinstance(error, HTTPStreamClosedError):
                raise AnswerLost(f"{self._host} gave no answer: {error.message}") from None
            raise self._mapped(error) from None
        except (ConnectionResetError, BrokenPipeError, TimeoutError) as error:
            raise AnswerLost(f"the connection to {self._host} broke: {error}") from None
        except Exception as error:
            raise self._mapped(error) from None

    async def _open(
        self,
        headers: Mapping[str, str],
        path: str,
        subprotocols: Sequence[str],
        max_message_size: int,
        timeout: float,
        sink: Sink | None,
    ) -> GatewaySocket:
        try:
            url = self._target(path).replace("http", "ws", 1)
            request = httpclient.HTTPRequest(url, headers=self._sent(headers), **await self._options(timeout))
        except Exception as error:
            raise self._mapped(error) from None
        proxied: Any = httpclient._RequestProxy(request, httpclient.HTTPRequest._DEFAULTS)
        connection = GatewaySocket(
            proxied, max_message_size=max_message_size, subprotocols=list(subprotocols) if subprotocols else None
        )
        # All are read when the connection starts to run, on the loop's next turn.
        connection.tcp_client = self._tunnel()
        connection.max_buffer_size = max(connection.max_buffer_size, max_message_size + 1024)
        connection._sink = sink
        connection.hidden = Hidden(headers)
        try:
            await asyncio.shield(connection.connect_future)
        except asyncio.CancelledError:
            connection.connect_future.add_done_callback(_close_late)
            raise
        except Exception as error:
            raise self._mapped(error) from None
        return connection

    def _target(self, path: str) -> str:
        if not path.startswith("/"):
            raise ValueError(f"a path begins with a slash: {path!r}")
        return self.url + path

    def _sent(self, headers: Mapping[str, str]) -> HTTPHeaders:
        return HTTPHeaders({"Content-Type": "application/json", **self._extra, **headers})

    def _tunnel(self) -> Tunnel:
        return Tunnel(proxy_for(self.url, self._proxy))

    def _http(self, limit: int) -> SimpleAsyncHTTPClient:
        client = self._clients.get(limit)
        if client is None:
            client = SimpleAsyncHTTPClient(force_instance=True, max_clients=100, max_body_size=limit)
            client.tcp_client = self._tunnel()
            self._clients[limit] = client
        return client

    async def _options(self, timeout: float) -> dict[str, Any]:
        return {
            "connect_timeout": min(timeout, CONNECT_TIMEOUT),
            "request_timeout": timeout,
            "follow_redirects": False,
            "decompress_response": False,
            "ssl_options": await self._tls() if self.url.startswith("https:") else None,
        }

    async def _tls(self) -> ssl.SSLContext:
        # Once: it reads every certificate there is.
        task = self._context
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = self._context = asyncio.ensure_future(asyncio.to_thread(tls_context, self._verify))
        return await asyncio.shield(task)

    def _mapped(self, error: Exception) -> HostUnreachable:
        """Give the one kind of exception this module raises for ``error``."""
        if isinstance(error, HostUnreachable):
            return error
        if isinstance(error, ssl.SSLCertVerificationError):
            words = f"the certificate of {self._host} is not trusted: {error.verify_message}"
            return HostUnreachable(f"{words} (set the location's verify to the CA bundle that signed it)")
        if isinstance(error, httpclient.HTTPClientError) and error.code != 599:
            return HostRefused(error.code, f"{self._host} answered {error.code} to a websocket")
        if isinstance(error, httpclient.HTTPClientError):
            return HostUnreachable(f"{self._host} gave no answer: {error.message}")
        if isinstance(error, WebSocketError):
            return HostRefused(200, f"{self._host} opened no websocket")
        return HostUnreachable(f"{self._host} cannot be reached: {error}")


def _decoded(body: bytes, hidden: Hidden) -> Any:
    if not body:
        return None
    body = hidden.of_bytes(body)
    try:
        return hidden.of_json(body, json.loads(body))
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")


def _close_late(future: asyncio.Future[WebSocketClientConnection]) -> None:
    """Close a connection that opened after its caller had gone."""
    if not future.cancelled() and future.exception() is None:
        future.result().close()
