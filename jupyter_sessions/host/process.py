"""What a host is to its machine: one lock held for life, a private door, and the reaper of what its kernels leave."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import stat
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

LOCK_WAIT = 5.0
_LOCK_PAUSE = 0.02
_PR_SET_CHILD_SUBREAPER = 36
_LINUX = sys.platform == "linux"
TICKS = float(os.sysconf("SC_CLK_TCK"))


def take_lock(path: Path, wait: float = LOCK_WAIT) -> int | None:
    """Lock ``path`` exclusively and give the file descriptor that holds the lock, None if not got in ``wait`` seconds.

    Others probe the lock for moments, hence the wait. Raises OSError where the file system takes no lock.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EAGAIN) or time.monotonic() >= deadline:
                os.close(handle)
                if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
                    return None
                raise
        time.sleep(_LOCK_PAUSE)


def check_private(directory: Path) -> None:
    """Refuse a socket directory that is not this account's alone: PermissionError names what is wrong with it."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{directory} is no directory; remove it")
    if found.st_uid != os.geteuid():
        raise PermissionError(f"{directory} belongs to user id {found.st_uid}, not {os.geteuid()}; remove it")
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(f"{directory} has mode {stat.S_IMODE(found.st_mode):04o}; it must be 0700")


def become_subreaper() -> bool:
    """Have orphaned descendants adopted by this process (Linux); False where the system knows no such thing."""
    if not _LINUX:
        return False
    try:
        return int(ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)) == 0
    except (OSError, AttributeError):
        return False


def start_time(pid: int) -> float | None:
    """Give when a process started, None if there is none: seconds since boot on Linux, elsewhere since the epoch.

    With the pid it names one process for as long as the machine runs, whatever happens to its clock.
    """
    if not _LINUX:
        try:
            return float(psutil.Process(pid).create_time())
        except psutil.Error:
            return None
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[19]) / TICKS


def is_zombie(pid: int) -> bool:
    """Say whether a process has ended and waits to be reaped."""
    if _LINUX:
        fields = _stat_fields(pid)
        return fields is not None and fields[0] in (b"Z", b"X")
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _stat_fields(pid: int) -> list[bytes] | None:
    """Give ``/proc/{pid}/stat`` from its third field on."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as source:
            line = source.read(4096)
    except OSError:
        return None
    return line[line.rfind(b")") + 2 :].split()


def children(pid: int) -> list[int]:
    """Give the children of a process; on Linux from the kernel's own lists, since a walk of all processes is dear."""
    found: list[int] = []
    if not _has_lists():
        with contextlib.suppress(psutil.Error):
            found = [child.pid for child in psutil.Process(pid).children()]
        return found
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as source:
                found.extend(int(word) for word in source.read(1 << 20).split())
    return found


@functools.cache
def _has_lists() -> bool:
    own = os.getpid()
    return os.path.exists(f"/proc/{own}/task/{own}/children")


def descendants(root: int) -> set[int]:
    """Give the pids of all processes below ``root``, zombies included."""
    if not _has_lists():
        with contextlib.suppress(psutil.Error):
            return {child.pid for child in psutil.Process(root).children(recursive=True)}
        return set()
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for child in children(waiting.pop()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


class Reaper:
    """Reaps adopted children one pid at a time.

    Never ``waitpid(-1)``: it would take a kernel's exit status from whoever started it. A zombie that is no kernel is
    taken only when met twice, so that one whose start is under way is left to its starter.
    """

    def __init__(self) -> None:
        self._met: set[int] = set()

    def reap(self, kernels: Iterable[int]) -> list[int]:
        """Reap every adopted child that has ended and give their pids; ``kernels`` are the pids left alone."""
        own = set(kernels)
        zombies = {pid for pid in children(os.getpid()) if pid not in own and is_zombie(pid)}
        ripe, self._met = zombies & self._met, zombies
        reaped = []
        for pid in ripe:
            with contextlib.suppress(OSError):
                if os.waitpid(pid, os.WNOHANG)[0] == pid:
                    reaped.append(pid)
        self._met -= set(reaped)
        return reaped
