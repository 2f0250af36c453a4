"""The client keeps the contract of ``SessionsApi``, towards a Jupyter server and towards ``serve``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from jupyter_sessions.client import SessionsClient
from jupyter_sessions.handlers.identity import owner_name
from jupyter_sessions.model.names import LOCAL, LocationName, parse_location
from tests.client.api import ClientApi
from tests.contract.sessions_api import SessionsContract, Subject
from tests.real.server import PARENT, TOKEN, RealServer, real_server
from tests.serve.serving import LOCATION, OWN, Served
from tests.upstream.test_contract_chain import emptied


@contextlib.asynccontextmanager
async def asked(client: SessionsClient, parent: LocationName, creator: str) -> AsyncIterator[Subject]:
    """Ask through a client."""
    api = ClientApi(client, parent)
    try:
        yield Subject(api, parent, creator=creator, one_caller=True)
    finally:
        await asyncio.to_thread(api.close)


class TestJupyterServer(SessionsContract):
    """Client → Jupyter server → its process engine."""

    server: ClassVar[RealServer]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def there(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        """Run one server for all tests."""
        with real_server(tmp_path_factory.mktemp("there")) as server:
            cls.server = server
            yield

    @contextlib.asynccontextmanager
    async def serving(self, tmp_path: Path) -> AsyncIterator[Subject]:
        """Serve an empty location."""
        emptied(self.server.call, PARENT)
        async with asked(SessionsClient(self.server.url, TOKEN), LOCAL, owner_name()) as subject:
            yield subject


class TestServe(SessionsContract):
    """Client → ``jupyter sessions serve`` → its process engine."""

    served: ClassVar[Served]

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def there(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        """Run one service for all tests."""
        cls.served = Served(tmp_path_factory.mktemp("there"), [OWN], [])
        asyncio.run(cls.served.start())
        try:
            yield
        finally:
            asyncio.run(cls.served.close())

    @contextlib.asynccontextmanager
    async def serving(self, tmp_path: Path) -> AsyncIterator[Subject]:
        """Serve an empty location."""
        served = self.served
        emptied(lambda method, path: served.request(OWN, method, f"v1/{path}").json(), LOCATION)
        async with asked(SessionsClient(served.url, served.token(OWN)), parse_location(LOCATION), OWN) as subject:
            yield subject
