"""Proxies as a server would make them, towards whatever a test serves."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

from jupyter_sessions.config.locations import Auth, Bearer, LocationConfig, Provider
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.upstream.credentials import make_credentials
from jupyter_sessions.upstream.gateway import make_gateway
from jupyter_sessions.upstream.poller import Pace
from jupyter_sessions.upstream.sessions import UpstreamSessions
from jupyter_sessions.upstream.transport import make_transport

FAR = LocationName("acme", "us-central1")
BRISK = Pace(quick=0.05, slow=0.2, leave=2.0, patient=0.1, busy=0.3)
"""The poller's times, so much shorter that a test need not wait."""


def upstream_at(endpoint: str, name: LocationName = FAR, token: Path | None = None, **more: object) -> LocationConfig:
    """Configure a location behind ``endpoint``; ``token`` is the file of a bearer token."""
    fields: dict[str, object] = {"auth": Auth.BEARER, "bearer": Bearer(file=token)} if token else {"auth": Auth.NONE}
    fields |= {"request_timeout": 2.0, "display_name": "Far away", **more}
    return LocationConfig(name, Provider.UPSTREAM, endpoint=endpoint, **fields)  # type: ignore[arg-type]  # by name


@contextlib.asynccontextmanager
async def proxy(
    config: LocationConfig, data_dir: Path, pace: Pace | None = BRISK, reached_at: str = ""
) -> AsyncIterator[UpstreamSessions]:
    """Run the proxy of one location; its requests go to ``reached_at``, where given, as if that were its endpoint."""
    there = replace(config, endpoint=reached_at or config.endpoint)
    credentials = make_credentials(there)
    transport = make_transport(there, credentials)
    gateway = None if reached_at else make_gateway
    sessions = UpstreamSessions(
        config, data_dir, transport=transport, credentials=credentials, make_gateway=gateway, pace=pace
    )
    await sessions.start()
    try:
        yield sessions
    finally:
        await sessions.stop()


GOOGLE = upstream_at("https://us-central1-dataproc.googleapis.com")
"""A location of Google's; run its proxy with ``reached_at``."""


async def until(look: Callable[[], object], what: str, seconds: float = 10.0) -> None:
    """Wait until ``look`` gives something true."""
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"waited {seconds:g} s for {what}"
        await asyncio.sleep(0.005)
