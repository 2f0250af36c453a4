"""The door between requests and a service that starts after the server listens."""

from __future__ import annotations

import asyncio

from jupyter_sessions.model.api import SessionsApi
from jupyter_sessions.model.errors import Unavailable

PATIENCE = 30.0
"""How long a request waits for a service that is starting, in seconds."""


class Gate:
    """Holds requests until the service is there, and says why where it never will be."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._settled = asyncio.Event()
        self._api: SessionsApi | None = None
        self._reason = ""
        self.wanted = asyncio.Event()
        """Set by the first request, so that a start that waits for a quiet moment waits no longer."""

    def open(self, api: SessionsApi) -> None:
        """Let requests through to ``api``."""
        self._api = api
        self._reason = ""
        self._settled.set()

    def close(self, reason: str) -> None:
        """Refuse requests from now on, saying ``reason``."""
        self._api = None
        self._reason = reason
        self._settled.set()

    async def api(self) -> SessionsApi:
        """Give the service, waiting for its start; raises Unavailable with the reason."""
        self.wanted.set()
        if not self._settled.is_set():
            try:
                await asyncio.wait_for(self._settled.wait(), self._patience)
            except asyncio.TimeoutError:
                raise Unavailable(
                    f"the sessions service is not ready after {self._patience:g} s; repeat the request, and look "
                    "into the log of the Jupyter server if this goes on"
                ) from None
        if self._api is None:
            raise Unavailable(self._reason)
        return self._api
