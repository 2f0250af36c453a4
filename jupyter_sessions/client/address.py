"""A server's address as people write it: pasted from a browser, with a page's tail and a token, or bare."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, urlsplit

from jupyter_sessions.model.errors import FieldViolation, InvalidArgument

PAGES = frozenset(
    "lab tree notebooks edit doc consoles terminals view nbclassic files login logout api jupyter-sessions".split()
)
"""The first part of a page's path below a server's base URL."""
WRITE = "write it like http://localhost:8888, or https://hub.example.org/user/NAME behind a JupyterHub"


@dataclass(frozen=True)
class Address:
    """A server's base URL without the slash at its end, and the token that stood in the address (or ``""``)."""

    url: str
    token: str = field(default="", repr=False)


def take_apart(text: str, name: str = "url") -> Address:
    """Read an address; raises InvalidArgument that calls it ``name`` and shows nothing of it, for it may hold a token.

    ``?token=`` is taken as the token; a page's tail (``/lab``, ``/tree/…``) and a fragment are cut off. Without a
    scheme this machine is asked by http.
    """
    parts = _split(text.strip(), name)
    token = parse_qs(parts.query).get("token", [""])[0]
    return Address(f"{parts.scheme}://{parts.netloc.lower()}{_base(parts.path, name)}", token)


def _split(text: str, name: str) -> SplitResult:
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        port = parts.port
    except ValueError as error:
        raise _refused(name, f"is no URL ({error})", WRITE) from error
    host = parts.hostname or ""
    if "+unix" in parts.scheme:
        raise _refused(name, "is a Unix socket, which this client cannot reach", "start the server with a port")
    if parts.scheme not in ("http", "https") or not host or port == 0 or any(sign.isspace() for sign in parts.netloc):
        raise _refused(name, "must be http:// or https:// and a host", WRITE)
    if "@" in parts.netloc:
        raise _refused(name, "must hold no user or password", "set JUPYTER_SESSIONS_TOKEN instead")
    if "://" not in text and not is_loopback(host):
        raise _refused(name, "must begin with http:// or https:// for another machine", WRITE)
    return parts


def _base(path: str, name: str) -> str:
    """Give the base URL's path: what stands before the first page, but a hub's user may be called like a page."""
    segments = [segment for segment in path.split("/") if segment]
    start = segments.index("user") + 2 if "user" in segments else 0
    if "hub" in segments[: start or None]:
        remedy = "open your server and copy its address (…/user/NAME)"
        raise _refused(name, "is a page of the JupyterHub itself, not a server", remedy)
    end = next((at for at in range(start, len(segments)) if segments[at] in PAGES), len(segments))
    return "".join(f"/{segment}" for segment in segments[:end])


def _refused(name: str, rule: str, remedy: str) -> InvalidArgument:
    return InvalidArgument([FieldViolation(name, f"{rule}; {remedy}")])


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very writing; no name is looked up."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_anywhere(host: str) -> bool:
    """Whether a host is what a server listens on to be reached by every address of its machine."""
    try:
        return not host or ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return host == "*"


def same(one: str, other: str) -> bool:
    """Whether two base URLs name one server; the names of this machine's loopback are one."""
    return _key(one) == _key(other)


def _key(url: str) -> tuple[str, str, int, str]:
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, "localhost" if is_loopback(host) else host.lower(), port, parts.path.rstrip("/")
