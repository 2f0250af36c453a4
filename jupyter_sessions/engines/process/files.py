"""The files of one session's directory, as the engine touches them, and whose rights are used for it. Blocking."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

from jupyter_sessions.engines.process import debris
from jupyter_sessions.engines.process.logs import DirectoryLog, LogSource
from jupyter_sessions.model.hostfile import (
    FILES,
    HOST_LOCK,
    LOG_DIR,
    LOG_FILE,
    End,
    Heartbeat,
    HostProcess,
    Intent,
    Ready,
    parse,
    write_private,
)

if sys.platform != "win32":
    import fcntl

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND
R = TypeVar("R", Intent, HostProcess, Ready, Heartbeat, End)
Stamp = tuple[int, int, int]
"""Time, inode and size of a file: one that changed has another."""


class Files(Protocol):
    """What the engine does to the files of a session; every method raises OSError where it cannot be done."""

    @property
    def directory(self) -> Path:
        """The session's directory."""

    def held(self) -> bool:
        """Say whether a host holds its lock, by taking it shared for a moment."""

    def stamp(self, name: str) -> Stamp | None:
        """Say when and what a file is, None where there is none."""

    def read(self, name: str) -> bytes | None:
        """Give a file's bytes, None where there is none."""

    def write(self, name: str, text: str, durable: bool = True) -> None:
        """Replace a file whole, mode 0600."""

    def prepare(self, stale: Iterable[str]) -> None:
        """Make the directory unless it is there, and remove the files of an earlier host."""

    def appender(self) -> int:
        """Open the log for what a host says before it has taken it over; whoever asked closes it."""

    def log(self) -> LogSource:
        """Give the log, to be read."""

    def tidy(self, intent: Intent) -> None:
        """Remove a dead host's secrets and sockets; does nothing while a host lives or is about to, raises nothing."""


def read_record(files: Files, kind: type[R]) -> R | None:
    """Read a record's file, None where there is none; raises OSError, ValueError or UnknownVersion."""
    data = files.read(FILES[kind])
    return None if data is None else parse(kind, data)


def write_record(files: Files, record: Intent | End) -> None:
    """Write a record's file; raises OSError."""
    files.write(FILES[type(record)], json.dumps(dataclasses.asdict(record)))


class OwnFiles:
    """Files of this process's own account; the host's lock may lie elsewhere (``lock_dir``)."""

    def __init__(self, directory: Path, lock_dir: Path | None = None) -> None:
        self.directory = directory
        self._lock_dir = lock_dir or directory

    def held(self) -> bool:
        """Say whether a host holds its lock."""
        return lock_is_held(self._lock_dir / HOST_LOCK)

    def stamp(self, name: str) -> Stamp | None:
        """Say when and what a file is."""
        try:
            found = os.stat(f"{self.directory}/{name}")
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def read(self, name: str) -> bytes | None:
        """Give a file's bytes."""
        try:
            return (self.directory / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str, durable: bool = True) -> None:
        """Replace a file whole."""
        write_private(self.directory / name, text, durable)

    def prepare(self, stale: Iterable[str]) -> None:
        """Make the directories, remove what is stale."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in stale:
            with contextlib.suppress(FileNotFoundError):
                (self.directory / name).unlink()

    def appender(self) -> int:
        """Open the log."""
        (self.directory / LOG_DIR).mkdir(mode=0o700, exist_ok=True)
        return os.open(self.directory / LOG_DIR / LOG_FILE, APPEND, 0o600)

    def log(self) -> LogSource:
        """Give the log."""
        return DirectoryLog(self.directory / LOG_DIR)

    def tidy(self, intent: Intent) -> None:
        """Remove a dead host's secrets and sockets."""
        debris.tidy(self.directory, self._lock_dir, intent)


def lock_is_held(path: Path) -> bool:
    """Say whether a host holds this lock, by taking it shared for a moment; raises OSError: it cannot be told."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return held(handle)
    finally:
        os.close(handle)


def held(handle: int) -> bool:
    """Say whether somebody holds the lock of an open file exclusively."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
            return True
        raise
    return False
