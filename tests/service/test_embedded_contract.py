"""The embedded service keeps the contract of ``SessionsApi``."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from jupyter_sessions.model.api import KernelHosts, SessionsApi
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.service.embedded import EmbeddedSessions
from tests.contract.sessions_api import SessionsContract, Subject
from tests.service.servers import serving


class TestEmbedded(SessionsContract):
    """Over the fake engine, whose hosts are ready at once."""

    @contextlib.asynccontextmanager
    async def serving(self, tmp_path: Path) -> AsyncIterator[Subject]:
        """Serve an empty store."""
        async with serving(tmp_path / "data") as service:
            yield Subject(service, LOCAL)


def both_protocols(service: EmbeddedSessions) -> tuple[SessionsApi, KernelHosts]:
    """Show the type checker that the service implements both."""
    return service, service
