"""The proxy of one location, made of its configuration."""

from __future__ import annotations

from pathlib import Path

from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.upstream.credentials import make_credentials
from jupyter_sessions.upstream.gateway import make_gateway
from jupyter_sessions.upstream.sessions import UpstreamSessions
from jupyter_sessions.upstream.transport import make_transport


def make_upstream(config: LocationConfig, data_dir: Path) -> UpstreamSessions:
    """Make what stands behind an upstream location; nothing of it runs yet."""
    credentials = make_credentials(config)
    transport = make_transport(config, credentials)
    return UpstreamSessions(config, data_dir, transport=transport, credentials=credentials, make_gateway=make_gateway)
