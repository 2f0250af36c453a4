"""The files of a session that belongs to another account, touched by root with that account's rights alone.

Whatever is there may have been put there by the account's own programs, at any moment: a link, a pipe, a directory, a
file of somebody else's or without an end. So no link is followed below the account's directory, nothing is waited for
in opening it, and what is read must be a regular file of that account and not long. All of it happens on a thread that
has the account's rights (``rights.assume``), which imports nothing and holds nothing.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from jupyter_sessions.engines.process import trees
from jupyter_sessions.engines.process.files import APPEND, Stamp, held
from jupyter_sessions.engines.process.logs import OFFSETS
from jupyter_sessions.engines.process.workers import Worker
from jupyter_sessions.model.hostfile import CONNECTIONS, HOST_LOCK, LOG_DIR, LOG_FILE, TOKEN, Intent

if sys.platform != "win32":
    import fcntl

    _SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

T = TypeVar("T")
MOST_BYTES = 1 << 20
"""The longest file that is read whole."""
MOST_SOCKETS = 1000


@dataclass(frozen=True)
class AccountFiles:
    """The session's directory of account ``uid``; ``place`` is where its sockets and the host's lock lie.

    ``worker`` has the account's rights.
    """

    worker: Worker
    uid: int
    directory: Path
    place: Path
    log_files: int

    def held(self) -> bool:
        """Say whether a host holds its lock."""
        return self.worker.do(self._held)

    def stamp(self, name: str) -> Stamp | None:
        """Say when and what a file is."""
        return self.worker.do(self._stamp, name)

    def read(self, name: str) -> bytes | None:
        """Give a file's bytes; raises OSError for one that is long."""
        return self.worker.do(self._read, self.directory, name)

    def write(self, name: str, text: str, durable: bool = True) -> None:
        """Replace a file whole."""
        self.worker.do(self._write, name, text.encode(), durable)

    def prepare(self, stale: Iterable[str]) -> None:
        """Make the directories, remove what is stale."""
        self.worker.do(self._prepare, list(stale))

    def appender(self) -> int:
        """Open the log."""
        return self.worker.do(self._appender)

    def log(self) -> AccountLog:
        """Give the log."""
        return AccountLog(self)

    def tidy(self, intent: Intent) -> None:
        """Remove a dead host's secrets and sockets; where they are is not taken from any file."""
        with contextlib.suppress(OSError):
            self.worker.do(self._tidy)

    def clear(self) -> None:
        """Remove the directories whole; raises OSError where something stays."""
        self.worker.do(self._clear)

    @contextmanager
    def _open(self, directory: Path, inner: str = "") -> Iterator[int]:
        """Open a directory of the account's, or one in it; what is above it, root alone can change."""
        handle = os.open(directory, trees.DIRECTORY)
        try:
            self._check(handle, directory)
            if not inner:
                yield handle
                return
            within = os.open(inner, trees.DIRECTORY, dir_fd=handle)
            try:
                self._check(within, directory / inner)
                yield within
            finally:
                os.close(within)
        finally:
            os.close(handle)

    def _check(self, handle: int, path: Path, kind: Callable[[int], bool] = stat.S_ISDIR) -> os.stat_result:
        found = os.fstat(handle)
        if not kind(found.st_mode) or found.st_uid != self.uid:
            raise PermissionError(f"{path} is not what a session of user id {self.uid} keeps there")
        return found

    def _file(self, directory: int, name: str, flags: int) -> int:
        """Open a file of the account's own; nothing is followed, nothing is waited for."""
        handle = os.open(name, flags | _SAFELY, 0o600, dir_fd=directory)
        try:
            self._check(handle, self.directory / name, stat.S_ISREG)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _held(self) -> bool:
        try:
            with self._open(self.place) as directory:
                handle = self._file(directory, HOST_LOCK, os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            return held(handle)
        finally:
            os.close(handle)

    def _stamp(self, name: str) -> Stamp | None:
        try:
            with self._open(self.directory) as directory:
                found = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _read(self, path: Path, name: str, inner: str = "") -> bytes | None:
        try:
            with self._open(path, inner) as directory:
                handle = self._file(directory, name, os.O_RDONLY)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb", buffering=0) as source:
            data = source.read(MOST_BYTES + 1) or b""
        if len(data) > MOST_BYTES:
            raise OSError(f"{path / inner / name} is longer than what a session keeps there")
        return data

    def _write(self, name: str, data: bytes, durable: bool) -> None:
        fresh = f".{name}.{secrets.token_hex(8)}"
        with self._open(self.directory) as directory:
            handle = self._file(directory, fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            try:
                with os.fdopen(handle, "wb") as out:
                    out.write(data)
                    out.flush()
                    if durable:
                        os.fsync(out.fileno())
                os.replace(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(fresh, dir_fd=directory)
                raise

    def _prepare(self, stale: list[str]) -> None:
        for path in {self.directory, self.place}:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path, 0o700)
            with self._open(path) as directory:
                os.fchmod(directory, 0o700)
        with self._open(self.directory) as directory:
            for name in stale:
                trees.remove(directory, name)

    def _appender(self) -> int:
        with self._open(self.directory) as directory, contextlib.suppress(FileExistsError):
            os.mkdir(LOG_DIR, 0o700, dir_fd=directory)
        with self._open(self.directory, LOG_DIR) as directory:
            return self._file(directory, LOG_FILE, APPEND)

    def _tidy(self) -> None:
        with self._open(self.place) as place:
            lock = self._file(place, HOST_LOCK, os.O_RDWR | os.O_CREAT)
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
                with self._open(self.directory) as directory:
                    trees.remove(directory, TOKEN)
                trees.remove(place, CONNECTIONS)
                for number, name in enumerate(os.listdir(place)):
                    mode = os.stat(name, dir_fd=place, follow_symlinks=False).st_mode
                    if stat.S_ISSOCK(mode) and number < MOST_SOCKETS:
                        os.unlink(name, dir_fd=place)
            finally:
                os.close(lock)

    def _clear(self) -> None:
        for path in {self.directory, self.place}:
            with contextlib.suppress(FileNotFoundError):
                # Its parent, the account's own directory, is in one that root alone can change.
                with self._open(path.parent) as parent:
                    trees.remove(parent, path.name)


@dataclass(frozen=True)
class AccountLog:
    """The log of a session of another account: the files that its host can have written, by their names."""

    files: AccountFiles

    def open(self) -> list[int]:
        """Open every file there is."""
        return self.files.worker.do(self._open)

    def offsets(self) -> bytes | None:
        """Give what the host wrote of the files' offsets."""
        return self.files.worker.do(self._offsets)

    def _open(self) -> list[int]:
        found: list[int] = []
        files = self.files
        try:
            with contextlib.suppress(FileNotFoundError), files._open(files.directory, LOG_DIR) as directory:
                for name in (LOG_FILE, *(f"{LOG_FILE}.{number}" for number in range(1, files.log_files + 2))):
                    with contextlib.suppress(FileNotFoundError):
                        found.append(files._file(directory, name, os.O_RDONLY))
        except BaseException:
            for handle in found:
                os.close(handle)
            raise
        return found

    def _offsets(self) -> bytes | None:
        return self.files._read(self.files.directory, OFFSETS, LOG_DIR)
