"""A real Jupyter server with the extension on, and a service on a fake engine behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tornado.httpclient import HTTPResponse
from traitlets.config import Config

from jupyter_sessions.model.api import SessionsApi
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.router import Router
from jupyter_sessions.service.core import Limits
from jupyter_sessions.service.embedded import EmbeddedSessions
from tests.service.fake_engine import FakeEngine

ROOT = "/a%40b/jupyter-sessions/v1/"
"""The prefix of the API below the base URL that pytest-jupyter gives its servers."""
PARENT = str(LOCAL)
CONFIG = {"ServerApp": {"jpserver_extensions": {"jupyter_sessions": True}}, "SessionsExtension": {"kernels": False}}


def config(**extension: Any) -> Config:
    """Give the configuration of a server with the extension, its kernels off; ``extension`` sets its traits."""
    found = Config(CONFIG)
    found.SessionsExtension.update(extension)
    return found


def extension_of(serverapp: Any) -> Any:
    """Give the extension of a server."""
    return serverapp.extension_manager.extension_points["jupyter_sessions"].app


@dataclass
class Answer:
    """An HTTP answer; ``body`` is its JSON, None where there is none."""

    status: int
    body: Any
    headers: Mapping[str, str]
    raw: bytes

    def refused(self, status: int, word: str) -> str:
        """Check that this is an error in the API's shape and give its message."""
        assert self.headers["Content-Type"] == "application/json", self
        assert set(self.body) == {"error"}, self
        error = self.body["error"]
        assert set(error) == {"code", "status", "message", "details"}, self
        assert (self.status, error["code"], error["status"]) == (status, status, word), self
        assert error["message"], self
        return str(error["message"])

    @property
    def violations(self) -> dict[str, str]:
        """The faulty fields of an INVALID_ARGUMENT and what is wrong with each."""
        (detail,) = self.body["error"]["details"]
        assert detail["@type"] == "type.googleapis.com/google.rpc.BadRequest"
        return {row["field"]: row["description"] for row in detail["fieldViolations"]}


class Rest:
    """Calls the API; ``token`` None sends no credentials."""

    def __init__(self, client: Any, token: str | None) -> None:
        self._client = client
        self._token = token

    async def __call__(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, **options: Any
    ) -> Answer:
        """Call ``path`` below the prefix (or an absolute one); a body is sent as JSON, bytes as they are."""
        sent = dict(headers or {})
        if self._token is not None:
            sent.setdefault("Authorization", f"Bearer {self._token}")
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        elif method == "POST" and "Content-Type" not in sent:
            # Tornado's client would call it a form.
            sent["Content-Type"] = "application/json"
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        url = path if path.startswith("/") else ROOT + path
        response: HTTPResponse = await self._client.fetch(
            url,
            method=method,
            headers=sent,
            body=data if data is not None or method != "POST" else b"",
            allow_nonstandard_methods=True,
            raise_error=False,
            follow_redirects=False,
            **options,
        )
        raw = response.body or b""
        is_json = response.headers.get("Content-Type", "").startswith("application/json") and raw
        return Answer(response.code, json.loads(raw) if is_json else None, response.headers, raw)


def rest(serverapp: Any, client: Any) -> Rest:
    """Give a caller with the server's token."""
    return Rest(client, serverapp.identity_provider.token)


@contextlib.asynccontextmanager
async def embedded(
    serverapp: Any, data_dir: Path, engine: FakeEngine | None = None, **limits: Any
) -> AsyncIterator[EmbeddedSessions]:
    """Open the server's gate to an embedded service on a fake engine."""
    service = EmbeddedSessions(data_dir, engine or FakeEngine(), limits=Limits(**limits))
    await service.start()
    serve(serverapp, Router({LOCAL: service}))
    try:
        yield service
    finally:
        await service.stop()


def serve(serverapp: Any, api: SessionsApi) -> None:
    """Open the server's gate to ``api``."""
    extension_of(serverapp).gate.open(api)


async def until(look: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """Wait until ``look``, perhaps a coroutine function, answers something true."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s for {what}")
        await asyncio.sleep(0.01)


async def until_done(call: Rest, operation: Mapping[str, Any]) -> dict[str, Any]:
    """Wait for an operation and give it."""

    async def look() -> dict[str, Any] | None:
        found = (await call("GET", operation["name"])).body
        return found if found.get("done") else None

    found: dict[str, Any] = await until(look, f"operation {operation['name']}")
    return found


def query(**values: str) -> str:
    """Write a query string."""
    return "?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in values.items())
