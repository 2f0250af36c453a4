"""Checks who could read or change what belongs to this account alone: sessions, runtime files, credentials."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from jupyter_sessions.client import runtime_files
from jupyter_sessions.doctor.findings import Finding, Level, fault, warn, well
from jupyter_sessions.service.store import FILE

CHECK = "permissions"
SECRETS = ("token", "intent.json", "host.json", "ready.json", "serve.token")
"""Files of a session, and of the service, that are for this account alone."""
CREDENTIAL = re.compile(r"(?i)(token|password|secret)\w*[\"']?\s*[:=]\s*[\"'][^\"']")
MOST = 1 << 20
SHOWN = 20
"""How many paths are named, so that a mistake made on a thousand can be read."""


def check_permissions(data_dir: Path) -> list[Finding]:
    """Look at owner and mode of each; what is not there is well. Windows has other rights than modes."""
    if sys.platform == "win32":
        return []
    from jupyter_core.paths import jupyter_config_path

    found = [*_sessions(data_dir)]
    found += _runtime(runtime_files.runtime_dir(os.environ))
    for directory in dict.fromkeys(jupyter_config_path()):
        found += _configs(Path(directory))
    faults = [row for row in found if row.level is Level.FAULT]
    shown = [*faults, *(row for row in found if row.level is not Level.FAULT)][:SHOWN]
    if len(found) > SHOWN:
        shown.append(
            warn(CHECK, "", f"{len(found) - SHOWN} more paths are open to other accounts", "", "see the above")
        )
    return shown or [well(CHECK, "", "sessions, runtime files and credentials are for this account alone")]


def _sessions(data_dir: Path) -> Iterator[Finding]:
    """Look below the data directory; itself it has a check of its own."""
    why = "whoever reads it can use sessions, whoever writes it can run code as you"
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm", "serve.token"):
        yield from _private(data_dir / name, why)
    yield from _private(data_dir / "sessions", why)
    for directory in _listed(data_dir / "sessions"):
        yield from _private(directory, why)
        for name in SECRETS:
            yield from _private(directory / name, why)


def _runtime(directory: Path) -> Iterator[Finding]:
    try:
        state = directory.stat()
    except OSError:
        return
    if state.st_mode & 0o022 and not state.st_mode & stat.S_ISVTX:
        why = "whoever puts a file there names a server to which your programs send their code"
        yield fault(CHECK, str(directory), f"others may write into it ({_mode(state)})", why, f"chmod 700 {directory}")
    for path in _listed(directory):
        if runtime_files.NAME.fullmatch(path.name) or path.name == "jupyter_cookie_secret":
            yield from _private(path, "whoever reads it can run code on your server")
        elif path.name.startswith("kernel-") and path.suffix == ".json":
            yield from _private(path, "whoever reads it can run code in your kernel")


def _configs(directory: Path) -> Iterator[Finding]:
    """Look at Jupyter's own config files that hold a credential, and at any that others may change."""
    for path in _listed(directory):
        if not re.fullmatch(r"jupyter\w*_config\.(py|json)", path.name):
            continue
        try:
            state = path.stat()
            with path.open(encoding="utf-8", errors="replace") as stream:
                holds = any(CREDENTIAL.search(line) for line in stream.read(MOST).splitlines() if _counts(line))
        except OSError:
            continue
        if state.st_uid not in (0, os.geteuid()) or state.st_mode & 0o022:
            why = "whoever changes it has your server run what they like"
            remedy = f"chmod go-w {path}" if state.st_mode & 0o022 else "check its owner"
            yield fault(CHECK, str(path), f"others may change it ({_mode(state)})", why, remedy)
        elif holds and state.st_mode & 0o044:
            yield warn(
                CHECK, str(path), f"others may read a credential in it ({_mode(state)})", "", f"chmod 600 {path}"
            )


def _counts(line: str) -> bool:
    return not line.lstrip().startswith("#")


def _private(path: Path, why: str) -> Iterator[Finding]:
    try:
        state = path.lstat()
    except OSError:
        return
    if stat.S_ISLNK(state.st_mode):
        return
    if state.st_uid != os.geteuid():
        yield fault(CHECK, str(path), "belongs to another account", why, f"chown {os.geteuid()} {path}")
    elif state.st_mode & 0o077:
        wanted = "700" if stat.S_ISDIR(state.st_mode) else "600"
        yield fault(CHECK, str(path), f"is open to other accounts ({_mode(state)})", why, f"chmod {wanted} {path}")


def _mode(state: os.stat_result) -> str:
    return f"mode {stat.S_IMODE(state.st_mode):04o}, owner {state.st_uid}"


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []
