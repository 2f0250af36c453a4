"""What is moved in pieces, from memory or a file to memory or a file; runs at both ends of a transfer.

A source is read once, in order; a sink is written once, in order, and is nothing until ``finish``: then its size and
checksum are right, or it is refused and dropped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from jupyter_sessions.client.values import Refused, told

_MOST_BUFFERS = 32
"""Buffers of one message; more are joined."""


class Source(Protocol):
    """What gives pieces; ``size`` is bytes."""

    size: int

    def read(self, most: int) -> Sequence[Any]:
        """Give the next bytes, at most ``most`` of them, as buffers; raises Refused."""

    def finish(self) -> int:
        """Give the checksum of all that was read; raises Refused where it changed meanwhile."""

    def close(self) -> None:
        """Let go of it."""


class Sink(Protocol):
    """What takes pieces; ``size`` is the bytes it waits for, ``got`` those it has."""

    size: int
    got: int

    def write(self, offset: int, buffers: Iterable[Any]) -> None:
        """Take the next bytes, which begin at ``offset``; raises Refused."""

    def finish(self, checksum: int) -> None:
        """End it: raises Refused where its size or checksum is wrong."""

    def close(self) -> None:
        """Let go of it; what is not finished is dropped."""


def _add(checksum: int, buffers: Iterable[Any]) -> int:
    for buffer in buffers:
        checksum = zlib.crc32(buffer, checksum)
    return checksum


class MemorySource:
    """Pieces of memory, not copied."""

    def __init__(self, pieces: Iterable[Any]) -> None:
        views = [memoryview(piece).cast("B") for piece in pieces]
        self._left = [view for view in reversed(views) if view.nbytes]
        self._checksum = 0
        self.size = sum(view.nbytes for view in views)

    def read(self, most: int) -> Sequence[Any]:
        """Give the next bytes as views."""
        taken: list[Any] = []
        while self._left and most > 0:
            view = self._left.pop()
            if view.nbytes > most:
                self._left.append(view[most:])
                view = view[:most]
            taken.append(view)
            most -= view.nbytes
        self._checksum = _add(self._checksum, taken)
        return [b"".join(taken)] if len(taken) > _MOST_BUFFERS else taken

    def finish(self) -> int:
        """Give the checksum."""
        return self._checksum

    def close(self) -> None:
        """Let go of the memory."""
        self._left = []


class MemorySink:
    """Memory of the right size from the start; ``data`` is it."""

    def __init__(self, size: int) -> None:
        self.size, self.got = size, 0
        self.data = bytearray(size)
        self._checksum = 0

    def write(self, offset: int, buffers: Iterable[Any]) -> None:
        """Copy the next bytes in."""
        _check_place(self, offset, buffers)
        for buffer in buffers:
            view = memoryview(buffer).cast("B")
            self.data[self.got : self.got + view.nbytes] = view
            self.got += view.nbytes
            self._checksum = zlib.crc32(view, self._checksum)

    def finish(self, checksum: int) -> None:
        """Check size and checksum."""
        _check_whole(self, self._checksum, checksum)

    def close(self) -> None:
        """Let go of the memory."""
        self.data = bytearray()


def _check_place(sink: Sink, offset: int, buffers: Iterable[Any]) -> None:
    size = sum(memoryview(buffer).nbytes for buffer in buffers)
    if offset != sink.got or offset + size > sink.size:
        raise Refused(f"bytes {offset} to {offset + size} came where {sink.got} of {sink.size} were there; try again")


def _check_whole(sink: Sink, ours: int, theirs: int) -> None:
    if sink.got != sink.size:
        raise Refused(f"only {sink.got} of {sink.size} bytes arrived; try again")
    if ours != theirs:
        raise Refused("what arrived is not what was sent (the checksums differ); try again")


class FileSource:
    """A regular file; ``mode`` is its permission bits. Raises Refused where it cannot be read, naming the remedy."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            found = os.stat(path)
            if stat.S_ISDIR(found.st_mode):
                name = os.path.basename(os.path.abspath(path))
                raise Refused(f"{path} is a directory; pack it into one file first: tar -czf {name}.tgz {name}")
            if not stat.S_ISREG(found.st_mode):
                raise Refused(f"{path} is no regular file; copy what it gives into one first")
            self._file = open(path, "rb", buffering=0)
        except OSError as error:
            raise file_fault(path, error, "read") from error
        self.mode = stat.S_IMODE(found.st_mode) & 0o777
        self.size = found.st_size
        self._seen = (found.st_size, found.st_mtime_ns)
        self._left = self.size
        self._checksum = 0

    def read(self, most: int) -> Sequence[Any]:
        """Read the next bytes."""
        wanted = min(most, self._left)
        pieces = []
        try:
            while wanted:
                piece = self._file.read(wanted)
                if not piece:
                    raise Refused(f"{self.path} became shorter while it was copied; try again")
                pieces.append(piece)
                wanted -= len(piece)
                self._left -= len(piece)
        except OSError as error:
            raise file_fault(self.path, error, "read") from error
        self._checksum = _add(self._checksum, pieces)
        return pieces

    def finish(self) -> int:
        """Give the checksum; raises Refused where the file was changed meanwhile."""
        found = os.fstat(self._file.fileno())
        if (found.st_size, found.st_mtime_ns) != self._seen:
            raise Refused(f"{self.path} was changed while it was copied; try again")
        return self._checksum

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class FileSink:
    """A file beside ``path``, which becomes ``path`` when it is whole; a link is followed.

    Raises Refused where it cannot be written, naming the remedy.
    """

    def __init__(self, path: str, size: int, mode: int) -> None:
        self.size, self.got = size, 0
        self.path = os.path.realpath(path)
        self._mode = mode & 0o777
        self._checksum = 0
        folder, name = os.path.split(self.path)
        if os.path.isdir(self.path):
            raise Refused(f"{path} is a directory; name a file in it")
        try:
            handle, self._beside = tempfile.mkstemp(prefix=f".{name[:64]}.", suffix=".part", dir=folder)
        except OSError as error:
            raise file_fault(folder, error, "written to") from error
        self._file = os.fdopen(handle, "wb", buffering=0)
        self._open = True

    def write(self, offset: int, buffers: Iterable[Any]) -> None:
        """Append the next bytes."""
        _check_place(self, offset, buffers)
        try:
            for buffer in buffers:
                view = memoryview(buffer).cast("B")
                self._checksum = zlib.crc32(view, self._checksum)
                while view.nbytes:
                    done = self._file.write(view)
                    self.got += done
                    view = view[done:]
        except OSError as error:
            raise file_fault(self.path, error, "written") from error

    def finish(self, checksum: int) -> None:
        """Check size and checksum, then put it in its place."""
        _check_whole(self, self._checksum, checksum)
        try:
            self._file.close()
            os.chmod(self._beside, self._mode)
            os.replace(self._beside, self.path)
        except OSError as error:
            raise file_fault(self.path, error, "written") from error
        self._open = False

    def close(self) -> None:
        """Close it; an unfinished one is removed."""
        self._file.close()
        if self._open:
            self._open = False
            with contextlib.suppress(OSError):
                os.unlink(self._beside)


def place(target: str, name: str) -> str:
    """Give the path that ``target`` means for a file called ``name``: itself, or inside where it is a directory.

    Raises Refused where its directory is not there.
    """
    path = os.path.expanduser(target)
    if not path or path.endswith(os.sep) or os.path.isdir(path):
        path = os.path.join(path, name)
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise Refused(f"there is no directory {folder}; make it first")
    return path


def file_fault(path: str, error: OSError, what: str) -> Refused:
    """Say why a file cannot be read or written, and what to do."""
    remedies = {
        FileNotFoundError: "check the path",
        PermissionError: "change its permissions, or choose another place",
        NotADirectoryError: "check the path",
    }
    remedy = remedies.get(
        type(error), "make room, or choose another place" if error.errno == errno.ENOSPC else "try again"
    )
    reason = error.strerror or told(error)
    return Refused(f"{path} cannot be {what}: {reason}; {remedy}")
