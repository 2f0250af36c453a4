"""A scripted HTTP/1.1 server that keeps what it was asked and can do with its sockets what no library lets it do."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from tests.faults.listening import Listener


@dataclass(frozen=True)
class Request:
    """One request as it came; names of headers in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path, still percent-encoded."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The query's parameters; of a repeated one the last."""
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    def json(self) -> Any:
        """Give the body's JSON."""
        return json.loads(self.body)


class Wire:
    """One connection, seen by a reply."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Write and wait until the peer's buffers took it."""
        self._writer.write(data)
        await self._writer.drain()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


class Reply(Protocol):
    """What is done about one request; says whether the connection may be used again."""

    async def __call__(self, wire: Wire, request: Request) -> bool: ...


Script = Callable[[Request], Reply]
"""Chooses the reply by looking at the request."""


class FaultServer:
    """``async with FaultServer(reply, reply, …, otherwise=reply) as server``: one reply for each request, in order.

    After the last scripted reply comes ``otherwise``, again and again: a reply, or (by ``route``) a function from the
    request to a reply. ``on`` puts replies for one path before both. ``requests`` holds all that was asked,
    ``connections`` how many were accepted. With ``tls``, a server-side context, it speaks https.
    """

    def __init__(
        self,
        *script: Reply,
        otherwise: Reply | None = None,
        route: Script | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        from tests.faults.replies import ok

        self.requests: list[Request] = []
        self.connections = 0
        self._script: deque[Reply] = deque(script)
        self._paths: dict[str, deque[Reply]] = {}
        self._route: Script = route or (lambda request: otherwise or ok())
        self._tls = tls
        self._listener = Listener(self._serve)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return self._listener.port

    @property
    def url(self) -> str:
        """The server's address without a slash at its end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def script(self, *replies: Reply) -> None:
        """Add replies to the end of the script."""
        self._script.extend(replies)

    def otherwise(self, reply: Reply) -> None:
        """Answer this whenever nothing is scripted."""
        self._route = lambda request: reply

    def on(self, path: str, *replies: Reply) -> None:
        """Answer the next requests of one path with these, before the script is looked at."""
        self._paths.setdefault(path, deque()).extend(replies)

    async def asked(self, count: int, seconds: float = 10.0) -> None:
        """Wait until so many requests came."""
        end = asyncio.get_running_loop().time() + seconds
        while len(self.requests) < count:
            assert asyncio.get_running_loop().time() < end, f"{len(self.requests)} of {count} requests came"
            await asyncio.sleep(0.005)

    async def __aenter__(self) -> FaultServer:
        await self._listener.open(tls=self._tls, limit=1 << 21)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._listener.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while (request := await read(reader)) is not None:
            self.requests.append(request)
            if not await self._reply(request)(Wire(writer), request):
                break

    def _reply(self, request: Request) -> Reply:
        if waiting := self._paths.get(request.path):
            return waiting.popleft()
        return self._script.popleft() if self._script else self._route(request)


async def read(reader: asyncio.StreamReader) -> Request | None:
    """Read one request; None at the end of the connection."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.rstrip("\r\n").split("\r\n")
    method, target, _version = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)
