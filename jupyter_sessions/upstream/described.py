"""How an upstream location describes itself to those who use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from jupyter_sessions import __version__
from jupyter_sessions.config.locations import Auth, Limits, LocationConfig
from jupyter_sessions.model.api import Location
from jupyter_sessions.model.errors import Unauthenticated
from jupyter_sessions.model.times import format_duration, format_time
from jupyter_sessions.upstream.base import Reach
from jupyter_sessions.upstream.identity import Identity, Kind

GOOGLE_LIMITS = {"ttl": "86400s", "maxTtl": "1209600s", "idleTtl": "3600s", "maxIdleTtl": "1209600s"}
_HANDED_ON = ("engine", "machine", "fault")


def describe(config: LocationConfig, identity: Identity, reach: Reach, remedy: Sequence[str]) -> Location:
    """Give a location as REST shows it; ``remedy`` are the steps where its credentials are what is wrong."""
    metadata: dict[str, Any] = {
        "service": "jupyter_sessions",
        "version": __version__,
        "provider": "upstream",
        "upstream": identity.kind.value,
        "endpoint": plain(config.endpoint),
        "auth": config.auth.value,
        "capabilities": _capabilities(identity),
        "limits": _limits(config.limits, identity),
        "status": _status(config, reach, remedy),
    }
    metadata |= {key: identity.metadata[key] for key in _HANDED_ON if key in identity.metadata}
    return Location(config.name, config.display_name or config.name.location, config.labels, metadata)


def plain(url: str) -> str:
    """Give a URL without a user, a password or a query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _capabilities(identity: Identity) -> Mapping[str, Any]:
    told = identity.metadata.get("capabilities")
    ours = identity.kind is Kind.JUPYTER_SESSIONS
    known = {"jupyterSession": True, "sparkConnectSession": not ours, "templates": True, "logs": ours, "kernels": ours}
    return {
        **known,
        **(told if isinstance(told, Mapping) else {}),
        "update": identity.updates,
        "watch": True,
    }


def _limits(limits: Limits, identity: Identity) -> Mapping[str, Any]:
    told = identity.metadata.get("limits")
    known: dict[str, Any] = dict(told) if isinstance(told, Mapping) else {}
    if identity.kind is Kind.GOOGLE:
        known = dict(GOOGLE_LIMITS)
    given = {
        "ttl": limits.ttl,
        "maxTtl": limits.max_ttl,
        "idleTtl": limits.idle_ttl,
        "maxIdleTtl": limits.max_idle_ttl,
    }
    known |= {name: format_duration(round(value * 10**9)) for name, value in given.items() if value is not None}
    if limits.sessions is not None:
        known["sessions"] = limits.sessions
    return known


def _status(config: LocationConfig, reach: Reach, remedy: Sequence[str]) -> Mapping[str, Any]:
    status: dict[str, Any] = {
        "reachable": reach.reachable,
        "since": format_time(reach.since) if reach.since else "",
        "status": reach.status,
        "message": reach.message,
        "remedy": [],
    }
    if reach.status == Unauthenticated.status:
        status["remedy"] = list(remedy)
    elif not reach.reachable:
        where = urlsplit(config.endpoint).netloc.rpartition("@")[2]
        status["remedy"] = [
            f"Look whether {where} can be reached from the machine of the Jupyter server.",
            "Nothing needs to be restarted: it is asked again until it answers.",
        ]
        if config.auth is Auth.GOOGLE:
            status["remedy"].insert(1, "Look at Google's status page, and whether a proxy or VPN is needed.")
    return status
