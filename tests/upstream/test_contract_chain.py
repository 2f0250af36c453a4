"""The proxy keeps the contract of ``SessionsApi`` in front of a real Jupyter server with the extension."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from jupyter_sessions.handlers.identity import owner_name
from jupyter_sessions.model.api import KernelHosts, SessionsApi
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.upstream.sessions import UpstreamSessions
from tests.contract.sessions_api import SessionsContract, Subject
from tests.real.server import PARENT, TOKEN, RealServer, real_server, wait_for
from tests.upstream.proxies import proxy, upstream_at


def emptied(server: RealServer) -> None:
    """Leave nothing in a server's location."""
    for row in server.call("GET", f"{PARENT}/sessions", pageSize="1000").get("sessions", []):
        server.call("DELETE", row["name"])
    wait_for(lambda: not server.call("GET", f"{PARENT}/sessions").get("sessions"), "every session to be gone")
    for collection, key in (("sessionTemplates", "sessionTemplates"), ("operations", "operations")):
        for row in server.call("GET", f"{PARENT}/{collection}", pageSize="1000").get(key, []):
            server.call("DELETE", row["name"])


class TestChain(SessionsContract):
    """Lab's server → the proxy → another server → its process engine."""

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
        emptied(self.server)
        token = tmp_path / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        config = upstream_at(f"{self.server.url}/jupyter-sessions", LOCAL, token, request_timeout=10.0)
        async with proxy(config, tmp_path / "data") as sessions:
            yield Subject(sessions, LOCAL, creator=owner_name(), one_caller=True)


def both_protocols(sessions: UpstreamSessions) -> tuple[SessionsApi, KernelHosts]:
    """Show the type checker that the proxy implements both."""
    return sessions, sessions
