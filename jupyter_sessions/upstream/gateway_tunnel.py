"""How a connection to a gateway is opened: directly, or through a proxy's CONNECT; tornado itself knows no proxies."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import socket
import ssl
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from tornado.iostream import IOStream, StreamClosedError, UnsatisfiableReadError
from tornado.netutil import Resolver
from tornado.tcpclient import TCPClient

from jupyter_sessions.engines.hostlink import HostUnreachable
from jupyter_sessions.upstream.offload import in_thread

LOOK_UP = 5.0
"""Seconds that looking up a name may take."""
_ANSWER_BYTES = 1 << 16
_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 6))


def proxy_for(url: str, configured: str) -> str:
    """Give the proxy's URL on the way to ``url``, empty where there is none; ``configured`` outranks the environment.

    From the environment it is what requests, which carries the location's other calls, takes from it. What is spoken
    plainly stays on this machine: a proxy could read it.
    """
    if urlsplit(url).scheme == "http":
        return ""
    if configured:
        return configured
    from requests.utils import get_environ_proxies, select_proxy

    return select_proxy(url, get_environ_proxies(url)) or ""


def tls_context(verify: bool | str) -> ssl.SSLContext:
    """Make the context of a location's ``verify``; blocks while it reads certificates, raises OSError.

    True: what requests trusts (``REQUESTS_CA_BUNDLE`` where set) besides the system's.
    """
    if verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    bundle = verify if isinstance(verify, str) else ""
    bundle = bundle or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or ""
    if bundle:
        where = {"capath" if os.path.isdir(bundle) else "cafile": bundle}
        return ssl.create_default_context(ssl.Purpose.SERVER_AUTH, **where)
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    context = ssl.create_default_context()
    with contextlib.suppress(OSError):
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
    return context


class Lookups(Resolver):
    """Looks names up on threads of their own: one that hangs must not hold what the whole server's threads do."""

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        """Give the addresses of a host as (family, address); raises OSError, at the latest after LOOK_UP seconds."""
        asked = in_thread(lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM), "gateway lookup")
        try:
            found = await asyncio.wait_for(asked, LOOK_UP)
        except asyncio.TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, f"{host} could not be looked up within {LOOK_UP:g} s") from None
        return [(row[0], row[4]) for row in found]


class Tunnel(TCPClient):
    """Opens connections through ``proxy`` (an ``http://`` URL; its user and password go to it alone), or directly."""

    def __init__(self, proxy: str) -> None:
        super().__init__(Lookups())
        self._proxy = proxy

    def __repr__(self) -> str:
        return "Tunnel()"

    async def connect(  # type: ignore[override]  # only what tornado's own clients pass matters
        self,
        host: str,
        port: int,
        ssl_options: ssl.SSLContext | None = None,
        max_buffer_size: int | None = None,
        timeout: float | None = None,
        **more: Any,
    ) -> IOStream:
        if not self._proxy:
            stream = await super().connect(
                host, port, ssl_options=ssl_options, max_buffer_size=max_buffer_size, timeout=timeout, **more
            )
            _keep_alive(stream.socket)
            return stream
        opening = self._through_proxy(host, port, ssl_options, max_buffer_size, timeout)
        try:
            return await asyncio.wait_for(opening, timeout)
        except asyncio.TimeoutError:
            raise HostUnreachable(f"{host}:{port} cannot be reached in time through the proxy") from None

    async def _through_proxy(
        self, host: str, port: int, ssl_options: ssl.SSLContext | None, size: int | None, timeout: float | None
    ) -> IOStream:
        proxy = _parsed(self._proxy)
        where = f"{proxy.hostname}:{proxy.port or 80}"
        try:
            stream = await super().connect(
                str(proxy.hostname), proxy.port or 80, max_buffer_size=size or None, timeout=timeout
            )
        except OSError as error:
            raise HostUnreachable(f"the proxy {where} cannot be reached: {error}") from None
        try:
            _keep_alive(stream.socket)
            await _ask(stream, proxy, where, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
            if ssl_options is not None:
                return await stream.start_tls(False, ssl_options=ssl_options, server_hostname=host)
            return stream
        except BaseException:
            stream.close()
            raise


def _parsed(proxy: str) -> SplitResult:
    try:
        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        sound = parts.scheme == "http" and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise HostUnreachable(
            "proxy: must be http://{host}:{port}, the only kind that kernels' websockets pass through"
        )
    return parts


async def _ask(stream: IOStream, proxy: SplitResult, where: str, target: str) -> None:
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.username is not None:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    try:
        await stream.write("\r\n".join([*lines, "", ""]).encode())
        head = await stream.read_until(b"\r\n\r\n", max_bytes=_ANSWER_BYTES)
    except (StreamClosedError, UnsatisfiableReadError):
        raise HostUnreachable(f"the proxy {where} opened no tunnel to {target}") from None
    status = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
    if len(status) < 2 or not (status[1].isdigit() and status[1].startswith("2")):
        raise HostUnreachable(f"the proxy {where} refuses a tunnel to {target}: {' '.join(status[1:]) or 'no answer'}")


def _keep_alive(sock: socket.socket) -> None:
    # A start is silent for minutes and an idle kernel for hours: a peer that is gone must still be noticed.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEPALIVE:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
