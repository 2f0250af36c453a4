"""Which machine this is, and which of its lives: ids that a session's row is compared with.

Functions, so that a test (or a fleet of faked machines) passes its own to the service instead.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

_MACHINE_FILES = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))
_BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")


def machine_id(files: tuple[Path, ...] = _MACHINE_FILES, fallback: Path | None = None) -> str:
    """Give an id that stays with this machine; made up once, and kept in ``fallback``, where the system has none.

    ``fallback`` defaults to a file in the user's state directory that carries the host's name, since a home may be
    shared by machines. Raises OSError where that file can be neither read nor made.
    """
    for path in files:
        with contextlib.suppress(OSError):
            if found := path.read_text(encoding="ascii", errors="replace").strip():
                return found
    if sys.platform == "darwin":
        answer = _ask("/usr/sbin/ioreg", "-rd1", "-c", "IOPlatformExpertDevice")
        if found_uuid := re.search(r'"IOPlatformUUID" = "([^"]+)"', answer):
            return found_uuid[1]
    return _kept_id(fallback or _fallback_file())


def boot_id() -> str:
    """Give an id that changes with each start of this machine, ``""`` where there is none to be had."""
    with contextlib.suppress(OSError):
        return _BOOT_FILE.read_text(encoding="ascii").strip()
    if sys.platform == "darwin":
        # kern.boottime moves when the clock is set; the session's uuid does not.
        if found := _ask("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid").strip():
            return found
        if seconds := re.search(r"sec = (\d+)", _ask("/usr/sbin/sysctl", "-n", "kern.boottime")):
            return seconds[1]
    return ""


def pid_namespace() -> str:
    """Give an id of this process's pid namespace (a container has its own), ``""`` where there are none."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _fallback_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    node = os.uname().nodename if hasattr(os, "uname") else "machine"
    return Path(state) / "jupyter_sessions" / f"machine-id.{node}"


def _kept_id(path: Path) -> str:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = uuid.uuid4().hex
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip() or fresh
    with os.fdopen(handle, "w", encoding="ascii") as out:
        out.write(fresh)
    return fresh


def _ask(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)  # noqa: S603 - fixed
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
