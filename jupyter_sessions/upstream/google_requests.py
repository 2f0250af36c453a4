"""How google-auth gets to speak to the issuers of tokens; imported only where google-auth is there."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from google.auth.exceptions import TransportError
from google.auth.transport.requests import Request

from jupyter_sessions.config.locations import LocationConfig
from jupyter_sessions.upstream.connections import PlainSession
from jupyter_sessions.upstream.targets import PLAIN, is_loopback, proxies, verification

TIMEOUT = 15.0
"""Seconds that a token's issuer, or a machine's metadata server, may take for one answer."""
TOKENS_URL = "https://oauth2.googleapis.com/token"


class LimitedRequest(Request):
    """A request of google-auth that takes no more than TIMEOUT and sends no secret plainly to another machine."""

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> Any:
        """Send it; raises TransportError."""
        parts = urlsplit(url)
        if parts.scheme in PLAIN and not _harmless(parts.hostname or "", headers or {}):
            words = f"{parts.hostname} issues tokens without TLS, so nothing was sent to it"
            raise TransportError(words)  # type: ignore[no-untyped-call]  # google-auth leaves it so
        limit = min(timeout or TIMEOUT, TIMEOUT)
        given = {"method": method, "body": body, "headers": headers, "timeout": limit, **options}
        return super().__call__(url, **given)  # type: ignore[no-untyped-call]  # google-auth leaves it so


def limited(config: LocationConfig) -> LimitedRequest:
    """Make a request of one location: through its proxy, judging certificates by its bundle, but always judging."""
    session = PlainSession(1)
    session.verify = verification(config) or True
    session.proxies.update(proxies(config, TOKENS_URL))
    return LimitedRequest(session)


def _harmless(host: str, headers: Mapping[str, str]) -> bool:
    """Whether plain HTTP may go there: to this machine, or to the metadata server, whose requests hold no secret."""
    if is_loopback(host) or any(name.lower() == "metadata-flavor" for name in headers):
        return True
    try:
        return ipaddress.ip_address(host).is_link_local
    except ValueError:
        return False
