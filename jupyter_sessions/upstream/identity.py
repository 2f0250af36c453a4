"""What an upstream is: Google, another server of ours, or something else that speaks the API."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.engines.patience import within
from jupyter_sessions.model.errors import (
    DeadlineExceeded,
    Internal,
    ResourceExhausted,
    SessionsError,
    Unauthenticated,
    Unavailable,
)
from jupyter_sessions.model.paths import location_path
from jupyter_sessions.upstream.base import Transport

log = logging.getLogger(__name__)
AGAIN = (1.0, 10.0)
"""The first and the longest wait before an upstream that did not say what it is is asked again, in seconds."""
_LATER = (Unavailable, DeadlineExceeded, Unauthenticated, ResourceExhausted, Internal)


class Kind(Enum):
    """What stands behind an endpoint; ``UNKNOWN`` until it has answered."""

    UNKNOWN = ""
    GOOGLE = "google"
    JUPYTER_SESSIONS = "jupyter_sessions"
    OTHER = "other"


class Identity:
    """What one location's upstream is, asked for until it says so.

    ``metadata`` is the upstream location's own, empty where it has none.
    """

    def __init__(self, config: LocationConfig, transport: Transport) -> None:
        self._path = location_path(config.name)
        self._transport = transport
        host = urlsplit(config.endpoint).hostname or ""
        self.kind = Kind.GOOGLE if host.endswith(".googleapis.com") else Kind.UNKNOWN
        self.metadata: Mapping[str, Any] = {}
        self._wanted = asyncio.Event()

    @property
    def updates(self) -> bool:
        """Whether sessions can be changed there, as far as is known."""
        capabilities = self.metadata.get("capabilities")
        offered = capabilities.get("update") if isinstance(capabilities, Mapping) else None
        return self.kind is not Kind.GOOGLE if offered is None else bool(offered)

    def want(self) -> None:
        """Ask again soon: somebody is there."""
        self._wanted.set()

    async def find(self, found: Callable[[], None]) -> None:
        """Ask until it is known, then call ``found``."""
        wait = AGAIN[0]
        while self.kind is Kind.UNKNOWN:
            try:
                answer = await self._transport.call("GET", self._path, safe=True, probe=True)
                self._take(answer.body)
            except _LATER as error:
                log.debug("%s does not say what it is yet: %s", self._path, error)
                self._wanted.clear()
                await asyncio.sleep(AGAIN[0] * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
                with contextlib.suppress(asyncio.TimeoutError):
                    await within(self._wanted.wait(), wait - AGAIN[0])
                wait = min(2 * wait, AGAIN[1])
            except SessionsError:
                # It answers, and knows no such method: the API alone.
                self.kind = Kind.OTHER
        found()

    def _take(self, body: Mapping[str, Any]) -> None:
        metadata = body.get("metadata")
        self.metadata = metadata if isinstance(metadata, Mapping) else {}
        ours = self.metadata.get("service") == "jupyter_sessions"
        self.kind = Kind.JUPYTER_SESSIONS if ours else Kind.OTHER
