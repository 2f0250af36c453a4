"""The proxy keeps the contract of ``SessionsApi`` in front of real servers of ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from jupyter_sessions.handlers.identity import owner_name
from jupyter_sessions.model.api import KernelHosts, SessionsApi
from jupyter_sessions.model.names import LOCAL, parse_location
from jupyter_sessions.upstream.sessions import UpstreamSessions
from tests.contract.sessions_api import SessionsContract, Subject
from tests.real.server import PARENT, TOKEN, RealServer, real_server, wait_for
from tests.serve.serving import LOCATION, OWN, Served
from tests.upstream.proxies import proxy, upstream_at

Call = Callable[[str, str], dict[str, Any]]
"""Calls a method below ``v1/`` as the credential's owner and gives the answer's JSON."""


def emptied(call: Call, parent: str) -> None:
    """Leave nothing in an upstream's location."""
    for row in call("GET", f"{parent}/sessions?pageSize=1000").get("sessions", []):
        call("DELETE", row["name"])
    wait_for(lambda: not call("GET", f"{parent}/sessions").get("sessions"), "every session to be gone")
    for collection in ("sessionTemplates", "operations"):
        for row in call("GET", f"{parent}/{collection}?pageSize=1000").get(collection, []):
            call("DELETE", row["name"])


def told(tmp_path: Path, token: str) -> Path:
    """Give a file of this token."""
    path = tmp_path / "token"
    path.write_text(token)
    path.chmod(0o600)
    return path


class TestServe(SessionsContract):
    """Lab's server → the proxy → ``jupyter sessions serve`` → its process engine."""

    served: ClassVar[Served]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def upstream(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        """Run one service for all tests."""
        cls.served = Served(tmp_path_factory.mktemp("serve"), [OWN], [])
        asyncio.run(cls.served.start())
        try:
            yield
        finally:
            asyncio.run(cls.served.close())

    @contextlib.asynccontextmanager
    async def serving(self, tmp_path: Path) -> AsyncIterator[Subject]:
        """Serve an empty location through a new proxy."""
        served, name = self.served, parse_location(LOCATION)
        emptied(lambda method, path: served.request(OWN, method, f"v1/{path}").json(), LOCATION)
        token = told(tmp_path, served.token(OWN))
        config = upstream_at(served.url, name, token, request_timeout=10.0)
        async with proxy(config, tmp_path / "data") as sessions:
            await sessions._place.read.wait()
            yield Subject(sessions, name, creator=OWN, one_caller=True)


class TestJupyterServer(SessionsContract):
    """Lab's server → the proxy → another Jupyter server with the extension → its process engine."""

    server: ClassVar[RealServer]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def upstream(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        """Run one server for all tests."""
        with real_server(tmp_path_factory.mktemp("up")) as server:
            cls.server = server
            yield

    @contextlib.asynccontextmanager
    async def serving(self, tmp_path: Path) -> AsyncIterator[Subject]:
        """Serve an empty location through a new proxy."""
        emptied(self.server.call, PARENT)
        endpoint = f"{self.server.url}/jupyter-sessions"
        config = upstream_at(endpoint, LOCAL, told(tmp_path, TOKEN), request_timeout=10.0)
        async with proxy(config, tmp_path / "data") as sessions:
            await sessions._place.read.wait()
            yield Subject(sessions, LOCAL, creator=owner_name(), one_caller=True)


def both_protocols(sessions: UpstreamSessions) -> tuple[SessionsApi, KernelHosts]:
    """Show the type checker that the proxy implements both."""
    return sessions, sessions
