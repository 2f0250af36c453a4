"""Removes a tree that somebody may be changing meanwhile, however deep: no path is followed, few handles are held."""

from __future__ import annotations

import itertools
import os
import secrets
import sys
import time

if sys.platform != "win32":
    DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
SECONDS = 20.0
"""How long one call goes on; what is left then is for the next."""
_BATCH = 1000


def remove(parent: int, name: str, seconds: float = SECONDS) -> None:
    """Remove what ``name`` is in the directory that ``parent`` is open on, a whole tree too; nothing there is fine.

    Raises OSError where something stays: what cannot be removed, what is put there meanwhile, or what takes too long.
    """
    try:
        os.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        pass
    top = _open(parent, name)
    try:
        _empty(top, time.monotonic() + seconds)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _empty(top: int, deadline: float) -> None:
    while names := _directories(top):
        for name in names:
            inner = _open(top, name)
            try:
                while deeper := _directories(inner):
                    for each in deeper:
                        _lift(each, inner, top)
                    _check(deadline)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)
        _check(deadline)


def _check(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise OSError("removing it takes too long; going on later")


def _directories(handle: int) -> list[str]:
    """Remove the files of a directory and name some of its directories; none: it is empty."""
    while True:
        with os.scandir(handle) as entries:
            found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in itertools.islice(entries, _BATCH)]
        for name, directory in found:
            if not directory:
                os.unlink(name, dir_fd=handle)
        names = [name for name, directory in found if directory]
        if names or not found:
            return names


def _lift(name: str, inner: int, top: int) -> None:
    """Move a directory up to the top, so that depth costs neither handles nor recursion."""
    fresh = f".gone-{secrets.token_hex(8)}"
    try:
        os.rename(name, fresh, src_dir_fd=inner, dst_dir_fd=top)
    except PermissionError:
        os.chmod(name, 0o700, dir_fd=inner)
        os.rename(name, fresh, src_dir_fd=inner, dst_dir_fd=top)


def _open(parent: int, name: str) -> int:
    try:
        # Moving and removing what is inside needs all three rights.
        os.chmod(name, 0o700, dir_fd=parent)
        return os.open(name, DIRECTORY, dir_fd=parent)
    except OSError as error:
        raise OSError(error.errno, f"{name} cannot be opened to be removed: {error.strerror}") from error
