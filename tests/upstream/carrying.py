"""Transports to a peer of the test's own, with clocks that the test holds and pauses too short to notice."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jupyter_sessions.config.locations import LocationConfig, Provider
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.upstream.base import Credentials
from jupyter_sessions.upstream.credentials import make_credentials
from jupyter_sessions.upstream.retry import Patience
from jupyter_sessions.upstream.transport import Clocks, HttpTransport

PARENT = "projects/p/locations/l"
SESSIONS = f"{PARENT}/sessions"
QUICK = Patience(first=0.001, longest=0.002, jitter=0.001)
BASE = LocationConfig(LocationName("p", "l"), Provider.UPSTREAM, request_timeout=5.0, source="/etc/locations.yaml")


class Hand:
    """A clock that the test sets; ``now`` in nanoseconds, ``steady`` in seconds."""

    def __init__(self, seconds: float = 1_700_000_000.0) -> None:
        self.seconds = seconds

    def now(self) -> int:
        """Give nanoseconds since the epoch."""
        return int(self.seconds * 1e9)

    def steady(self) -> float:
        """Give seconds."""
        return self.seconds

    @property
    def clocks(self) -> Clocks:
        """A transport's clocks, both this one; its chances are always the least."""
        return Clocks(self.now, self.steady, lambda low, high: low)


@dataclass
class Passes:
    """Credentials of a test: one after the other of ``tokens``, the next one after each refusal of the one before."""

    tokens: list[str]
    error: Exception | None = None
    asked: int = 0
    refusals: list[Mapping[str, str]] = field(default_factory=list)

    async def headers(self) -> Mapping[str, str]:
        """Give the token of now."""
        self.asked += 1
        if self.error is not None:
            raise self.error
        return {"Authorization": f"Bearer {self.tokens[0]}"}

    def refused(self, headers: Mapping[str, str]) -> None:
        """Go on to the next token, if there is one."""
        self.refusals.append(headers)
        if len(self.tokens) > 1 and headers["Authorization"] == f"Bearer {self.tokens[0]}":
            self.tokens.pop(0)

    def remedy(self) -> list[str]:
        """Give one step."""
        return ["Sign in again."]


@contextlib.asynccontextmanager
async def carried(
    url: str, credentials: Credentials | None = None, config: LocationConfig = BASE, **options: Any
) -> AsyncIterator[HttpTransport]:
    """Give a transport to ``url``, closed at the end; ``options`` are HttpTransport's."""
    config = replace(config, endpoint=url)
    options.setdefault("patience", QUICK)
    transport = HttpTransport(config, credentials or make_credentials(config), **options)
    try:
        yield transport
    finally:
        await transport.close()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until ``condition`` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        await asyncio.sleep(0.01)
