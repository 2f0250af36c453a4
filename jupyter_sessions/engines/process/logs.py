"""Reads a session's log by absolute offsets, whatever its host rotates meanwhile. Blocking: call it off the loop."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from jupyter_sessions.model.api import LogPage
from jupyter_sessions.model.hostfile import LOG_FILE

OFFSETS = "offsets.json"
"""Written by the host beside its log: inode of a file to the absolute offset it begins at."""

MAX_BYTES = 4 << 20
_TRIES = 20
_FARTHEST = 1 << 53


@dataclass(frozen=True)
class _Part:
    """One open file of the log: its bytes are ``start`` to ``end`` of the whole."""

    handle: int
    start: int
    end: int


class LogSource(Protocol):
    """Where a log's files are; both methods raise OSError."""

    def open(self) -> list[int]:
        """Open every file there is, in any order; the reader closes them."""

    def offsets(self) -> bytes | None:
        """Give the bytes of the host's ``OFFSETS``, None where there are none."""


@dataclass(frozen=True)
class DirectoryLog:
    """A log in a directory of this account."""

    directory: Path

    def open(self) -> list[int]:
        """Open every file there is."""
        handles = []
        for path in self.directory.glob(f"{LOG_FILE}*"):
            with contextlib.suppress(FileNotFoundError):
                handles.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
        return handles

    def offsets(self) -> bytes | None:
        """Give what the host wrote of the files' offsets."""
        try:
            return (self.directory / OFFSETS).read_bytes()
        except FileNotFoundError:
            return None


def read_log(source: LogSource, offset: int, limit: int, ended: bool) -> LogPage:
    """Give at most ``limit`` bytes of text from ``offset`` (negative: from the end).

    A character is never cut: a page ends before one that does not fit whole. ``ended``: nobody writes any more.
    """
    limit = max(1, min(limit, MAX_BYTES)) if limit else MAX_BYTES
    tries = _TRIES
    while True:
        tries -= 1
        with ExitStack() as stack:
            parts = sorted(_parts(source, stack), key=lambda part: part.start)
            # Rotations in this very moment may hide a file between two names, or the newest: look again.
            whole = all(a.end == b.start for a, b in itertools.pairwise(parts))
            if not tries or (whole and offset <= (parts[-1].end if parts else 0)):
                return _page(parts, offset, limit, ended)


def _parts(source: LogSource, stack: ExitStack) -> Iterator[_Part]:
    seen = set()
    handles = source.open()
    for handle in handles:
        stack.callback(os.close, handle)
    # Read after the files are opened: whatever they were renamed to, their offsets are written by now.
    offsets = _offsets(source.offsets())
    for handle in handles:
        found = os.fstat(handle)
        if found.st_ino not in seen:
            seen.add(found.st_ino)
            start = offsets.get(found.st_ino, 0)
            yield _Part(handle, start, start + found.st_size)


def _offsets(text: bytes | None) -> dict[int, int]:
    try:
        starts = {int(inode): int(start) for inode, start in json.loads(text or b"{}").items()}
        if any(not 0 <= start <= _FARTHEST for start in starts.values()):
            raise ValueError("it names no place in a log")
        return starts
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as error:
        raise OSError(f"the log's {OFFSETS} is damaged: {error}") from error


def _page(parts: list[_Part], offset: int, limit: int, ended: bool) -> LogPage:
    begin, end = (parts[0].start, parts[-1].end) if parts else (0, 0)
    wanted = max(0, end + offset) if offset < 0 else min(offset, end)
    start = max(begin, wanted)
    data = _bytes(parts, start, min(limit, end - start))
    if offset < 0 or start > wanted:
        # The reader named no exact place: begin at a whole character.
        skipped = len(data) - len(_without_tail_of_character(data))
        data, start = data[skipped:], start + skipped
    at_end = start + len(data) >= end
    if not (at_end and ended):
        data = data[: len(data) - _cut_character(data)] or data
    following = start + len(data)
    return LogPage(
        content=data.decode("utf-8", "replace"),
        offset=start,
        next_offset=following,
        truncated=start > wanted and begin > wanted,
        complete=ended and following >= end,
    )


def _bytes(parts: list[_Part], start: int, count: int) -> bytes:
    pieces = []
    for part in parts:
        if count > 0 and part.start <= start < part.end:
            piece = os.pread(part.handle, min(count, part.end - start), start - part.start)
            pieces.append(piece)
            start, count = start + len(piece), count - len(piece)
    return b"".join(pieces)


def _without_tail_of_character(data: bytes) -> bytes:
    """Drop leading bytes that only continue a character."""
    skip = 0
    while skip < min(3, len(data)) and data[skip] & 0xC0 == 0x80:
        skip += 1
    return data[skip:]


def _cut_character(data: bytes) -> int:
    """Give how many bytes at the end begin a character that is not whole."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return back if length > back else 0
        if byte & 0x80 == 0:
            return 0
    return 0
