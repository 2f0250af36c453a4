"""Removes what a host that was killed could not: its token, its sockets and its kernels' keys."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

from jupyter_sessions.model.hostfile import HOST_LOCK, TOKEN, Intent

if sys.platform != "win32":
    import fcntl

CONNECTIONS = "kernels"
"""Where a host keeps its kernels' connection files, beside its sockets."""


def tidy(directory: Path, lock_dir: Path, intent: Intent) -> None:
    """Remove a dead host's secrets and sockets; does nothing while a host lives or is about to. Raises nothing.

    The host's lock is held shared meanwhile: other probes do not notice, and a new host waits until this is done.
    """
    with contextlib.suppress(OSError):
        handle = os.open(lock_dir / HOST_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            _remove(directory, Path(intent.socket_dir))
        finally:
            os.close(handle)


def _remove(directory: Path, place: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        (directory / TOKEN).unlink()
    for entry in place.iterdir():
        if entry.is_socket():
            entry.unlink()
    shutil.rmtree(place / CONNECTIONS, ignore_errors=True)
    if place != directory:
        place.rmdir()
