"""The replies a FaultServer gives: good ones, Google's errors, and every way of misbehaving."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.server import Reply, Request, Wire

JSON = {"Content-Type": "application/json; charset=utf-8"}
HTML = {"Content-Type": "text/html"}
REASONS = {200: "OK", 302: "Found", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 503: "Service Unavailable"}


def head(status: int, headers: Mapping[str, str]) -> bytes:
    """Give the bytes of a status line and headers."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def raw(status: int, body: bytes, headers: Mapping[str, str]) -> Reply:
    """Answer these bytes with their true length."""

    async def reply(wire: Wire, request: Request) -> bool:
        await wire.send(head(status, {**headers, "Content-Length": str(len(body))}) + body)
        return True

    return reply


def ok(body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    """Answer 200 with a JSON object."""
    return raw(200, json.dumps(body or {}).encode(), {**JSON, **(headers or {})})


def error(
    code: int,
    status: str,
    message: str,
    details: Sequence[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Answer an error as google.rpc has it over HTTP."""
    body = {"error": {"code": code, "status": status, "message": message, "details": list(details)}}
    return raw(code, json.dumps(body).encode(), {**JSON, **(headers or {})})


def unauthenticated() -> Reply:
    """Answer 401."""
    return error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")


def denied() -> Reply:
    """Answer 403 as Google does to an account without the role."""
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED"}
    return error(403, "PERMISSION_DENIED", "Permission 'dataproc.sessions.list' denied on resource.", [reason])


def too_many(retry_after: str = "") -> Reply:
    """Answer 429, perhaps with Retry-After."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    return error(429, "RESOURCE_EXHAUSTED", "Quota exceeded.", headers=headers)


def unavailable(retry_after: str = "") -> Reply:
    """Answer 503, perhaps with Retry-After."""
    headers = {"Retry-After": retry_after} if retry_after else {}
    return error(503, "UNAVAILABLE", "The service is currently unavailable.", headers=headers)


def internal() -> Reply:
    """Answer 500."""
    return error(500, "INTERNAL", "Internal error encountered.")


def garbage() -> Reply:
    """Answer 200 and a body that says it is JSON and is not."""
    return raw(200, b'{"sessions": [{"name": ', JSON)


def html(status: int = 200) -> Reply:
    """Answer a page for people, as a proxy or a captive portal does."""
    return raw(status, b"<html><body><h1>Sign in to the network</h1></body></html>", HTML)


def redirect(url: str, status: int = 302) -> Reply:
    """Send the client to another address."""
    return raw(status, b"", {"Location": url})


def black_hole() -> Reply:
    """Take the request and never answer."""

    async def reply(wire: Wire, request: Request) -> bool:
        await asyncio.Event().wait()
        return False

    return reply


def held(reply: Reply, gate: asyncio.Event) -> Reply:
    """Give the reply once the test sets the event: a slow first byte that costs no time."""

    async def waiting(wire: Wire, request: Request) -> bool:
        await gate.wait()
        return await reply(wire, request)

    return waiting


def slow(reply: Reply, seconds: float) -> Reply:
    """Give the reply after so long."""

    async def late(wire: Wire, request: Request) -> bool:
        await asyncio.sleep(seconds)
        return await reply(wire, request)

    return late


def reset(body: bytes = b"") -> Reply:
    """Reset the connection: at once, or in the midst of a longer body."""

    async def reply(wire: Wire, request: Request) -> bool:
        if body:
            await wire.send(head(200, {**JSON, "Content-Length": str(len(body) * 2)}) + body)
        wire.reset()
        return False

    return reply


def cut() -> Reply:
    """Close the connection, as a server that ends does, without a word."""

    async def reply(wire: Wire, request: Request) -> bool:
        return False

    return reply


def truncated(body: bytes = b'{"sessions": []}') -> Reply:
    """Promise a longer body than is sent and close in order."""

    async def reply(wire: Wire, request: Request) -> bool:
        await wire.send(head(200, {**JSON, "Content-Length": str(len(body) + 100)}) + body)
        return False

    return reply


def endless(chunk: bytes = b" " * 65536) -> Reply:
    """Send a body that never ends, as quickly as it is read."""

    async def reply(wire: Wire, request: Request) -> bool:
        await wire.send(head(200, {**JSON, "Transfer-Encoding": "chunked"}))
        while True:
            await wire.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    return reply


def drip(pause: float = 0.02, in_headers: bool = False) -> Reply:
    """Send one byte at a time for ever: of the body, or of the headers."""

    async def reply(wire: Wire, request: Request) -> bool:
        start = head(200, {**JSON, "Content-Length": "1000000"})
        await wire.send(start[:-2] + b"X-Slow: " if in_headers else start)
        while True:
            await wire.send(b"a" if in_headers else b" ")
            await asyncio.sleep(pause)

    return reply


def gzip_bomb(size: int = 256 << 20) -> Reply:
    """Answer a small gzip body that unpacks to ``size`` bytes."""
    block = gzip.compress(b" " * (1 << 20))
    return raw(200, block * (size >> 20), {**JSON, "Content-Encoding": "gzip"})


def packed(body: Mapping[str, Any]) -> Reply:
    """Answer 200 with a JSON object, gzipped as Google's front ends do."""
    return raw(200, gzip.compress(json.dumps(body).encode()), {**JSON, "Content-Encoding": "gzip"})


def nonsense() -> Reply:
    """Answer what is no HTTP at all."""

    async def reply(wire: Wire, request: Request) -> bool:
        await wire.send(b"SSH-2.0-OpenSSH_9.6\r\n")
        return False

    return reply
