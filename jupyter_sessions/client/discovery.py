"""Finds the Jupyter server to talk to: the one the environment names, a JupyterHub's, or one that runs here."""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from jupyter_sessions.client import runtime_files
from jupyter_sessions.client.address import Address, is_anywhere, same, take_apart
from jupyter_sessions.client.errors import BY_ARGUMENT, ServerNotFound

URL, TOKEN = "JUPYTER_SESSIONS_URL", "JUPYTER_SESSIONS_TOKEN"
HUB = "JupyterHub"
CHOOSE = f"{BY_ARGUMENT}, or set {URL}"
HUB_TOKEN = f"set {URL} to the address above and {TOKEN} to a token from the hub's token page (File → Hub Control \
Panel → Token, …/hub/token)"
ASK_SECONDS = 10.0


@dataclass(frozen=True)
class Server:
    """A server of this user. ``url`` ends in no slash; ``source`` says where it was found.

    ``token`` is ``""`` where none is known: the server may need none, or one that only its user can get.
    ``socket`` is the path of the Unix socket of a server that has no port; the client cannot reach such a one.
    """

    url: str
    token: str = field(repr=False)
    root: Path | None
    pid: int | None
    source: str
    password: bool = False
    socket: str = ""


def find_server(
    directory: Path | None = None, environ: Mapping[str, str] | None = None, token: str | None = None
) -> Server:
    """Give the server to talk to; raises ServerNotFound, or InvalidArgument for a JUPYTER_SESSIONS_URL that is none.

    In this order: what JUPYTER_SESSIONS_URL names; under a JupyterHub the user's own server there; the only running
    server; of several the one whose root directory contains ``directory`` (default: the working directory), the
    deepest such root. ``token``, else JUPYTER_SESSIONS_TOKEN, is the token in each case where it is given.
    """
    variables = os.environ if environ is None else environ
    if variables.get(URL, "").strip():
        return server_at(variables[URL], token, variables, URL)
    found = running_servers(variables)
    hub = next((server for server in found if server.source == HUB), None)
    server = hub or _chosen(found, directory, variables)
    known = variables.get(TOKEN) or None if token is None else token
    return usable(server) if known is None else replace(server, token=known)


def server_at(
    url: str, token: str | None = None, environ: Mapping[str, str] | None = None, name: str = "url"
) -> Server:
    """Give the server at an address as a person writes it; raises InvalidArgument, which calls the address ``name``.

    Its token is, in this order: ``token``, JUPYTER_SESSIONS_TOKEN, one in the address, that of the server running here
    under this address.
    """
    variables = os.environ if environ is None else environ
    address: Address = take_apart(url, name)
    known = token if token is not None else variables.get(TOKEN) or address.token
    source = "environment" if name == URL else "given"
    here = None
    if not known:
        here = next((one for one in running_servers(variables) if same(one.url, address.url)), None)
    if here is None or _hubs_alone(here):
        return Server(address.url, known, None, None, source)
    return replace(here, url=address.url, source=source)


def running_servers(environ: Mapping[str, str] | None = None) -> list[Server]:
    """Give every running Jupyter server of this user on this machine; a JupyterHub's comes first.

    Files of servers that have ended are left alone, and are not told apart from none.
    """
    variables = os.environ if environ is None else environ
    files = runtime_files.read_all(runtime_files.runtime_dir(variables))
    found = [
        Server(file.url, file.token, file.root, file.pid, file.path.name, file.password, file.socket)
        for file in files
        if runtime_files.runs(file)
    ]
    hub = _of_hub(found, variables)
    if hub is None:
        return found
    return [hub, *(server for server in found if server.pid != hub.pid)]


def _of_hub(found: Sequence[Server], environ: Mapping[str, str]) -> Server | None:
    """Give the server that this process was started by, if it is a JupyterHub's: there the hub's token opens it."""
    token = environ.get("JUPYTERHUB_API_TOKEN", "")
    prefix = environ.get("JUPYTERHUB_SERVICE_PREFIX", "").rstrip("/")
    # A service of the hub's own has both, too, but belongs to no user.
    if not token or not prefix or not environ.get("JUPYTERHUB_USER"):
        return None
    for server in found:
        if urlsplit(server.url).path.rstrip("/") == prefix and not server.socket:
            return replace(server, token=token, source=HUB, password=False)
    parts = urlsplit(environ.get("JUPYTERHUB_SERVICE_URL", ""))
    if not parts.port:
        return None
    host = "127.0.0.1" if is_anywhere(parts.hostname or "") else parts.netloc.rpartition(":")[0]
    return Server(f"{parts.scheme}://{host}:{parts.port}{prefix}", token, None, None, HUB)


def _chosen(found: Sequence[Server], directory: Path | None, environ: Mapping[str, str]) -> Server:
    if not found:
        raise ServerNotFound(_none(environ))
    if len(found) == 1:
        return found[0]
    here = _directory(directory)
    depths = {server: depth for server in found if (depth := _depth(server, here))}
    nearest = [server for server, depth in depths.items() if depth == max(depths.values())]
    if len(nearest) == 1:
        return nearest[0]
    if nearest:
        why = f"{len(nearest)} of them have the root that contains {here}"
    else:
        why = f"no root contains {here}" if here else "the working directory is gone"
    raise ServerNotFound(
        f"{len(found)} Jupyter servers are running, and {why}:\n{listed(found)}\nTo choose one, {CHOOSE}, or run this "
        "in a directory below one root."
    )


def _none(environ: Mapping[str, str]) -> str:
    directory = runtime_files.runtime_dir(environ)
    ended = len(runtime_files.read_all(directory))
    past = f" ({ended} file{'s' if ended > 1 else ''} of servers that have ended)" if ended else ""
    return (
        f"no running Jupyter server was found in {directory}{past}. Start one (jupyter lab), or name one elsewhere, "
        f"or a running `jupyter sessions serve`: {CHOOSE} and {TOKEN}."
    )


def _directory(given: Path | None) -> Path | None:
    try:
        return (given or Path.cwd()).resolve()
    except OSError:
        return None


def _depth(server: Server, here: Path | None) -> int:
    """Give how many parts the server's root has if ``here`` is in it, else 0."""
    if server.root is None or here is None:
        return 0
    root = server.root.resolve()
    return len(root.parts) if here.is_relative_to(root) else 0


def listed(servers: Sequence[Server]) -> str:
    """Give servers as lines of text, with what is to be known before one is chosen; no token is in it."""
    return "\n".join(f"  {_row(server)}" for server in servers)


def _row(server: Server) -> str:
    notes = ["a Unix socket: cannot be used"] if server.socket else []
    notes += ["no token"] if not server.token and not server.socket else []
    words = [
        server.url,
        f"root {server.root}" if server.root else "",
        f"pid {server.pid}" if server.pid else "",
        *notes,
    ]
    return "  ".join(word for word in words if word)


def _hubs_alone(server: Server) -> bool:
    """Whether a token in a file is one that a JupyterHub gave its server, and that server alone.

    It is used where the hub passes it on (a terminal, a local kernel) and by nothing that only lives beside it: a
    session outlives the server, and is to know nothing of the hub.
    """
    return server.source != HUB and "user" in urlsplit(server.url).path.split("/") and _asked(server.url)[1]


def usable(server: Server) -> Server:
    """Give a server that can be called with what is known of it; raises ServerNotFound that says what is missing."""
    if server.token and not server.socket and not _hubs_alone(server):
        return server
    if server.socket:
        raise ServerNotFound(
            f"the running Jupyter server (pid {server.pid}) listens on the Unix socket {server.socket}, which this "
            f"client cannot reach. Start a server with a port, or {CHOOSE}."
        )
    status, hub = _asked(server.url)
    if not server.password and status not in (301, 302, 303, 307, 308, 401, 403):
        # It needs no token, or what ails it is told with the first call.
        return server
    if hub:
        raise ServerNotFound(
            f"the running Jupyter server at {server.url} is a JupyterHub's, and this process has no token for it (a "
            f"session's kernel gets none). Here, {HUB_TOKEN}."
        )
    raise ServerNotFound(
        f"the Jupyter server at {server.url} has no token that a program could use: it has a password, or another way "
        f"to sign in. Give it one before it starts (JUPYTER_TOKEN, or IdentityProvider.token), and set {TOKEN} to it."
    )


def _asked(url: str) -> tuple[int, bool]:
    """Ask a server without a token: give the status of its answer (0: none), and whether a JupyterHub runs it."""
    parts = urlsplit(url)
    # What is asked for holds nothing, nothing is sent, and the answer's certificate is checked with the first call.
    context = ssl._create_unverified_context() if parts.scheme == "https" else None  # noqa: S323 - as said above
    connection: http.client.HTTPConnection
    if context is None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ASK_SECONDS)
    else:
        connection = http.client.HTTPSConnection(parts.hostname or "", parts.port, timeout=ASK_SECONDS, context=context)
    try:
        connection.request("GET", f"{parts.path}/api/status", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("X-JupyterHub-Version") is not None
    except (OSError, http.client.HTTPException):
        return 0, False
    finally:
        connection.close()
