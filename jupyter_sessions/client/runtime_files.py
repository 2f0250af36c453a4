"""The files in which running Jupyter servers say where they are, and whether those servers still run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyter_sessions.client.address import is_anywhere

NAME = re.compile(r"jpserver-.+\.json")
MOST = 64 << 10
"""Bytes of a file; a longer one is none of Jupyter's."""
PORT_SECONDS = 1.0
"""How long a port may take to accept; a busy server's does at once, for the system accepts."""
SLACK_SECONDS = 5.0
"""By how much a process may seem younger than the file it wrote: clocks of file systems differ."""


@dataclass(frozen=True)
class RuntimeFile:
    """What one file says. ``url`` ends in no slash; ``socket`` is a Unix socket's path where there is no port."""

    path: Path
    url: str
    token: str = field(repr=False)
    root: Path | None
    pid: int
    host: str
    port: int
    socket: str
    password: bool
    version: str
    written: float


def runtime_dir(environ: Mapping[str, str]) -> Path:
    """Give the directory of these files."""
    if environ.get("JUPYTER_RUNTIME_DIR"):
        return Path(environ["JUPYTER_RUNTIME_DIR"])
    from jupyter_core.paths import jupyter_runtime_dir

    return Path(jupyter_runtime_dir())


def read_all(directory: Path) -> list[RuntimeFile]:
    """Read every file of a server that can be read and is this account's own, in the order of their names."""
    try:
        names = sorted(name for name in os.listdir(directory) if NAME.fullmatch(name))
    except OSError:
        return []
    return [found for name in names for found in _read(directory / name)]


def _read(path: Path) -> Iterator[RuntimeFile]:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        with path.open("rb") as stream:
            state = os.fstat(stream.fileno())
            text = stream.read(MOST)
        # Another account's file would have this one's code run on a server of that account; root may read all.
        if sys.platform != "win32" and state.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
            return
        row: Any = json.loads(text)
        if not isinstance(row, dict):
            return
        host, unix = str(row.get("hostname") or ""), str(row.get("sock") or "")
        yield RuntimeFile(
            path=path,
            url=_url(str(row["url"]), host, bool(row.get("secure"))).rstrip("/"),
            token=str(row.get("token") or ""),
            root=Path(row["root_dir"]) if row.get("root_dir") else None,
            pid=int(row["pid"]),
            host=host,
            port=int(row.get("port") or 0),
            socket=unix,
            password=bool(row.get("password")),
            version=str(row.get("version") or ""),
            written=state.st_mtime,
        )


def _url(url: str, host: str, secure: bool) -> str:
    """Where a server listens on every address, the file has the machine's name, which may not be one that resolves."""
    parts = urlsplit(url)
    if secure or not parts.port or not is_anywhere(host):
        return url
    return parts._replace(netloc=f"{_here(host)}:{parts.port}").geturl()


def _here(host: str) -> str:
    return "[::1]" if ":" in host else "127.0.0.1"


def runs(file: RuntimeFile) -> bool:
    """Whether the server that wrote the file still runs: its process lives and its port, or socket, is listened on."""
    if not _lives(file.pid) or not _listened_on(file):
        return False
    # A younger process has got the number of the one that wrote the file, unless the clock was set meanwhile.
    return file.socket != "" or not _younger(file.pid, file.written) or _holds(file.pid, file.port)


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    if sys.platform == "win32":
        # There a signal of 0 would end the process; the port alone says it.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _listened_on(file: RuntimeFile) -> bool:
    """Whether something accepts there; one that neither accepts nor refuses counts as there, and is told later."""
    try:
        if file.socket:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(PORT_SECONDS)
                probe.connect(file.socket)
        else:
            host = _here(file.host).strip("[]") if is_anywhere(file.host) else file.host.strip("[]")
            socket.create_connection((host, file.port), PORT_SECONDS).close()
    except TimeoutError:
        return True
    except (OSError, OverflowError, ValueError):
        # The last two: a file that names no port, or no host, that could be.
        return False
    return True


def _younger(pid: int, written: float) -> bool:
    """Whether a process began after the file was written; False where the system does not say."""
    try:
        ticks = int(
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        )
        up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return False
    return time.time() - (up - ticks / os.sysconf("SC_CLK_TCK")) > written + SLACK_SECONDS


def _holds(pid: int, port: int) -> bool:
    """Whether a process itself listens on a port; True where that cannot be seen."""
    sockets = set()
    try:
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                sockets.add(os.readlink(entry.path))
    except OSError:
        return True
    listening = "0A"
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                words = line.split()
                if words[3] == listening and int(words[1].rpartition(":")[2], 16) == port:
                    if f"socket:[{words[9]}]" in sockets:
                        return True
    return False
