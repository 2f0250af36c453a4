"""Upstreams that say back what they were told: in errors, pages, redirects, headers, broken answers, and as data."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from tests.faults.replies import HTML, JSON, head, raw
from tests.faults.server import Reply, Request, Wire

T = TypeVar("T")
Mode = Callable[[Request], Reply]
SHOWN = 200
"""Characters of a strange answer that are shown to people."""


def said(request: Request) -> str:
    """Give what a request proved itself with."""
    return request.headers.get("authorization", "nothing")


def echo(status: int, request: Request, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer an error, of Google's and of Jupyter's shape at once, that repeats the credentials: plain and escaped."""
    word = said(request)
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": word, "metadata": {word: word}}
    error = {"code": status, "message": f"{word} may not; nor may ESCAPED", "details": [info]}
    text = json.dumps({"error": error, "message": f"{word} may not", "reason": word, "traceback": word})
    escaped = "".join(f"\\u{ord(sign):04x}" for sign in word)
    return raw(status, text.replace("ESCAPED", escaped).encode(), {**JSON, **(headers or {})})


def page(request: Request) -> Reply:
    """Answer a page in which the credentials stand where what is shown of it is cut off."""
    word = said(request)
    filler = "x" * (SHOWN - len(word) * 2 // 3)
    return raw(200, f"<html><body><p>{filler} {word}</p><p>{word}</p></body></html>".encode(), HTML)


def garbage(request: Request) -> Reply:
    """Answer what says that it is JSON, and breaks off behind the credentials."""
    return raw(200, f'{{"sessions": [{{"name": "{said(request)}", '.encode(), JSON)


def redirect(request: Request, to: str) -> Reply:
    """Send the client to another host, with its credentials in each part of the address."""
    token = said(request).split()[-1]
    return raw(307, said(request).encode(), {"Location": f"{to}/{token}?token={token}", "Refresh": token})


def astray(request: Request) -> Reply:
    """Send the client to a host whose name is its token."""
    token = said(request).split()[-1]
    return raw(302, b"", {"Location": f"https://{token}.elsewhere.example/"})


def headers(request: Request) -> Reply:
    """Answer a failure whose every header is the credentials."""
    word = said(request)
    named = ("Retry-After", "WWW-Authenticate", "Location", "Server", "Set-Cookie", "Date", "Content-Type")
    return raw(502, b"bad gateway", dict.fromkeys(named, f"{'x' * 40} {word}"))


def reset(request: Request) -> Reply:
    """Reset the connection in the midst of an answer that repeats the credentials."""

    async def reply(wire: Wire, request: Request) -> bool:
        body = said(request).encode()
        await wire.send(head(200, {**JSON, "Content-Length": str(len(body) * 2)}) + body)
        wire.reset()
        return False

    return reply


def nonsense(request: Request) -> Reply:
    """Answer no HTTP, but the credentials."""

    async def reply(wire: Wire, request: Request) -> bool:
        await wire.send(f"{said(request)}\r\n{said(request)}\r\n\r\n".encode())
        return False

    return reply


def malformed(request: Request) -> Reply:
    """Answer a status line and a header that are the credentials."""

    async def reply(wire: Wire, request: Request) -> bool:
        word = said(request)
        await wire.send(f"HTTP/1.1 403 {word}\r\n{word}\r\n{word.replace(' ', ':')}\r\n\r\n".encode())
        return False

    return reply


def closing(request: Request) -> Reply:
    """Open a websocket, and close it with the credentials as the reason."""

    async def reply(wire: Wire, request: Request) -> bool:
        key = request.headers.get("sec-websocket-key", "") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
        await wire.send(head(101, {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept}))
        reason = (1011).to_bytes(2, "big") + said(request).encode()
        await wire.send(bytes([0x88, len(reason)]) + reason)
        return False

    return reply


def mirrored(parent: str, word: str) -> dict[str, Any]:
    """Give a session whose every text is the credentials."""
    return {
        "name": f"{parent}/sessions/mirrored",
        "uuid": "00000000-0000-4000-8000-000000000000",
        "createTime": "2026-01-01T00:00:00Z",
        "state": "ACTIVE",
        "stateMessage": word,
        "stateTime": "2026-01-01T00:00:01Z",
        "stateHistory": [{"state": "CREATING", "stateMessage": word, "stateStartTime": "2026-01-01T00:00:00Z"}],
        "creator": word,
        "jupyterSession": {"displayName": word},
        "labels": {"a": "b"},
        "runtimeInfo": {"endpoints": {word: f"https://elsewhere.example/?token={word}"}},
        "newField": {word: [word]},
    }


def mirror(request: Request) -> Reply:
    """Answer as a server of the API and of kernels would, with the credentials in all that it says."""
    word, path = said(request), request.path
    parent = path.partition("/v1/")[2].partition("/sessions")[0]
    if path.endswith("/api/kernelspecs"):
        spec = {"argv": [word], "display_name": word, "language": "python", "env": {"T": word}, "metadata": {"t": word}}
        specs = {"echoing": {"name": "echoing", "spec": spec, "resources": {"logo-64x64": f"/{word}.png"}}}
        found: Any = {"default": word, "kernelspecs": specs, "warnings": [{"id": "w", "message": word}]}
    elif path.endswith("/api/kernels") and request.method == "GET":
        found = []
    elif path.endswith("/api/kernels"):
        found = {"id": secrets.token_hex(8), "name": "echoing", "message": word, "reason": word}
    elif request.method == "GET" and path.endswith("/sessions"):
        found = {"sessions": [mirrored(parent, word)], "headers": {"Authorization": word}}
    elif request.method == "GET" and path.endswith("/sessions/mirrored"):
        found = mirrored(parent, word)
    elif request.method == "GET" and "/sessions" not in path and "/api/" not in path:
        found = {"name": path.partition("/v1/")[2], "description": word, "headers": {"Authorization": word}}
    else:
        return echo(403, request)
    return raw(200, json.dumps(found).encode(), JSON)


MODES: Mapping[str, Mode] = {
    "refused": lambda request: echo(401, request, {"WWW-Authenticate": said(request)}),
    "denied": lambda request: echo(403, request),
    "broken": lambda request: echo(500, request),
    "busy": lambda request: echo(503, request, {"Retry-After": "0"}),
    "page": page,
    "garbage": garbage,
    "astray": astray,
    "headers": headers,
    "reset": reset,
    "nonsense": nonsense,
    "malformed": malformed,
    "closing": closing,
    "mirror": mirror,
}
"""By the first part of the path: every way to say credentials back."""


@contextlib.contextmanager
def looping() -> Iterator[Callable[[AbstractAsyncContextManager[T]], T]]:
    """Run an event loop on a thread; gives what enters a context manager there, all of which are left at the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = contextlib.AsyncExitStack()

    def enter(manager: AbstractAsyncContextManager[T]) -> T:
        return asyncio.run_coroutine_threadsafe(stack.enter_async_context(manager), loop).result(20)

    try:
        yield enter
    finally:
        asyncio.run_coroutine_threadsafe(_leave(stack), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


async def _leave(stack: contextlib.AsyncExitStack) -> None:
    await stack.aclose()
    # What is closed by now is let go of in the loop's next turns.
    for _ in range(5):
        await asyncio.sleep(0)
