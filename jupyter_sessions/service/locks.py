"""``act.lock``: who holds it may act on a session; the kernel frees it when its holder dies."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from jupyter_sessions.model.hostfile import ACT_LOCK

if sys.platform != "win32":
    import fcntl


class ActLock:
    """A held lock; ``release`` frees it. Another file description, this process's included, cannot get it."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def release(self) -> None:
        """Free the lock; a second call does nothing."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


def acquire(lock_dir: Path) -> ActLock | None:
    """Take ``act.lock`` in ``lock_dir`` without waiting; None where another holds it.

    Raises OSError for anything else, which the caller takes for "cannot tell". The descriptor is close-on-exec
    (Python's default) and opened read-write, as NFS wants for an exclusive lock.
    """
    path = lock_dir / ACT_LOCK
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A file removed between open and flock locks nobody out.
        held = os.fstat(handle)
        with contextlib.suppress(FileNotFoundError):
            there = os.stat(path)
            if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino):
                return ActLock(handle)
    except BlockingIOError:
        pass
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None
