"""Where a location's credentials may go, and by which way."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from jupyter_sessions.config.locations import Auth, LocationConfig
from jupyter_sessions.model.errors import FailedPrecondition

GOOGLE_HOSTS = (".googleapis.com", ".kernels.googleusercontent.com")
"""The only hosts that Google's credentials are sent to: these and what is below them."""
PROJECTS_HOST = "cloudresourcemanager.googleapis.com"
"""Where a project's number is looked up."""
SECURE = {"https": 443, "wss": 443}
PLAIN = {"http": 80, "ws": 80}
STRANGE = re.compile(r"[\s\\\x00-\x1f\x7f]")
PLACEHOLDER = re.compile(r"\{(\w+)\}")


def check_target(config: LocationConfig, url: str) -> None:
    """Raise FailedPrecondition unless the location's credentials may be sent to ``url`` (http, https, ws or wss).

    They may go to the host and port of its endpoint and of its gateway, over TLS, plainly only to this machine itself;
    with Google's credentials only to Google's hosts, of which the one that knows projects' numbers is allowed besides.
    """
    try:
        # Two readers of a URL with such signs in it may see two hosts.
        parts = urlsplit("" if STRANGE.search(url) else url)
        host, port = (parts.hostname or "").rstrip(".").lower(), _port(parts)
    except ValueError:
        raise FailedPrecondition(f"{config.name}: this is no URL, so no credentials are sent there") from None
    shown = parts.netloc.rpartition("@")[2] or "no host"
    if parts.username or parts.password:
        raise FailedPrecondition(f"{config.name}: a URL to {shown} may hold no user or password")
    if parts.scheme not in {**SECURE, **PLAIN} or not host:
        raise FailedPrecondition(f"{config.name}: {parts.scheme or 'no scheme'}:// to {shown} is not https or wss")
    if parts.scheme in PLAIN and not is_loopback(host):
        raise FailedPrecondition(f"{config.name}: {shown} is not this machine, so it is spoken to with https alone")
    if config.auth is Auth.GOOGLE and not f".{host}".endswith(GOOGLE_HOSTS):
        names = " and ".join(f"*{name}" for name in GOOGLE_HOSTS)
        raise FailedPrecondition(f"{config.name}: Google's credentials go only to {names}, not to {shown}")
    if not any(re.fullmatch(pattern, f"{host}:{port}") for pattern in _allowed(config)):
        raise FailedPrecondition(
            f"{config.name}: credentials go only to the hosts of its endpoint and gateway, not to {shown}"
        )


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name: ``localhost`` or a loopback address; nothing is looked up."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def proxies(config: LocationConfig, url: str) -> dict[str, str]:
    """Give the proxies for one URL, as requests takes them: the location's own, else the environment's.

    What is spoken plainly stays on this machine, so it never goes through a proxy.
    """
    from requests.utils import get_environ_proxies

    parts = urlsplit(url)
    if parts.scheme in PLAIN:
        return {}
    if config.proxy:
        return {"https": config.proxy}
    found: Mapping[str, str] = get_environ_proxies(url.replace("wss://", "https://", 1), no_proxy=None)
    proxy = found.get("https") or found.get("all")
    return {"https": proxy} if proxy else {}


def verification(config: LocationConfig) -> bool | str:
    """Give what an upstream's certificate is judged by: False (not at all), a bundle's path, or True.

    Where the location says nothing, the bundle that ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` names is used.
    """
    if config.verify is not True:
        return config.verify
    return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or True


def _port(parts: SplitResult) -> int:
    return parts.port or {**SECURE, **PLAIN}.get(parts.scheme, 0)


def _allowed(config: LocationConfig) -> list[str]:
    """Give patterns of ``host:port``; a project's number that is not known yet stands for any."""
    found = [re.escape(f"{PROJECTS_HOST}:443")] if config.auth is Auth.GOOGLE else []
    number = config.project_number or "[0-9]+"
    known = {"project": config.name.project, "location": config.name.location, "projectNumber": number}
    for template in filter(None, (config.endpoint, config.gateway)):
        # The marks are words, so that the URL can be taken apart before they are filled in.
        parts = urlsplit(PLACEHOLDER.sub(lambda found: f"placeholder-{found[1].lower()}-", template))
        pattern = re.escape(f"{(parts.hostname or '').lower()}:{_port(parts)}")
        for name, value in known.items():
            filled = value if name == "projectNumber" and not config.project_number else re.escape(value.lower())
            pattern = pattern.replace(re.escape(f"placeholder-{name.lower()}-"), filled)
        found.append(pattern)
    return found
