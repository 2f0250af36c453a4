"""Checks every Jupyter server of this user that runs here: does it answer, and are sessions on in it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from jupyter_sessions import __version__
from jupyter_sessions.client import runtime_files
from jupyter_sessions.client.discovery import Server, running_servers, usable
from jupyter_sessions.client.errors import ServerGone, ServerNotFound
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.doctor.findings import Finding, Level, fault, warn, well
from jupyter_sessions.model.errors import NotFound, SessionsError, Unauthenticated, Unimplemented

CHECK = "server"
API = "jupyter-sessions/v1/openapi.json"
ENABLE = (
    "in its environment: pip install jupyter_sessions, jupyter server extension enable jupyter_sessions, restart it"
)
OFF = "jupyter_sessions is not on in it"
_INSIDE = 0.4
"""The part of a check's time that one call may take."""


def check_servers(seconds: float, environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Ask each running server; ``seconds`` is what all of it may take."""
    variables = os.environ if environ is None else environ
    servers = running_servers(variables)
    found = [*_ended(runtime_files.runtime_dir(variables), servers)]
    if not servers:
        return [*found, well(CHECK, "", "no Jupyter server of this account runs here", "start one with: jupyter lab")]
    limit = seconds * _INSIDE / len(servers)
    asked = [_ask(server, limit) for server in servers]
    if any(row.level is not Level.FAULT for row in asked):
        # Beside one that has sessions, another may well be meant to have none.
        asked = [replace(row, level=Level.WARN) if row.what == OFF else row for row in asked]
    return [*found, *asked]


def _ended(directory: Path, servers: list[Server]) -> Iterator[Finding]:
    """Name what servers that were killed have left: anything that only looks at the files takes them for running."""
    running = {server.source for server in servers}
    for file in runtime_files.read_all(directory):
        if file.path.name not in running and not runtime_files.runs(file):
            why = f"process {file.pid} is not that server any more"
            yield warn(CHECK, str(file.path), "is the file of a server that has ended", why, f"rm {file.path}")


def _ask(server: Server, seconds: float) -> Finding:
    subject = f"{server.url} (pid {server.pid})" if server.pid else server.url
    try:
        usable(server)
    except ServerNotFound as error:
        return warn(CHECK, subject, "cannot be used by the client and the command line", str(error.by("use --url")))
    try:
        transport = Transport(server.url, server.token, timeout=seconds)
        transport.call("GET", "api/status")
        version = str(transport.call("GET", API)["info"]["version"])
    except ServerGone as error:
        return fault(
            CHECK, subject, "does not answer", error.message, f"look at its log; if it hangs: kill {server.pid}"
        )
    except Unauthenticated as error:
        remedy = f"restart it, or set JUPYTER_SESSIONS_TOKEN; its token was looked for in {server.source}"
        return fault(CHECK, subject, "does not take its token", error.message, remedy)
    except (NotFound, Unimplemented):
        return fault(CHECK, subject, OFF, "it answers without the API", ENABLE)
    except (SessionsError, KeyError, TypeError) as error:
        return fault(CHECK, subject, "answers something else than the API", str(error), "look at its log")
    if version != __version__:
        why = f"it runs jupyter_sessions {version}, this is {__version__}"
        return warn(CHECK, subject, "is of another version", why, "restart it, or use the program of its environment")
    if not server.token:
        why = "whoever reaches its port, each account of this machine too, can run code as you"
        return warn(CHECK, subject, "lets anybody in", why, "start it without an empty IdentityProvider.token")
    return well(CHECK, subject, f"answers, takes its token, and has jupyter_sessions {version}", f"root {server.root}")
