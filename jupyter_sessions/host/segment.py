"""One file of the output spool: messages as records, appended by one thread, read from anywhere by number."""

from __future__ import annotations

import bisect
import os
import struct
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from jupyter_sessions.host.frames import Part

SEGMENT = 16 << 20
_BLOCK = 1 << 18
_PIECES = 512
_COUNT = struct.Struct("<I")


class Segment:
    """A nameless file of messages ``first`` to ``next`` (not included); ``start`` is the log's byte position of first.

    Only what :meth:`publish` has told may be read; both are called under the log's lock, :meth:`write` is not.
    """

    def __init__(self, directory: Path, first: int, start: int) -> None:
        self.first = first
        self.next = first
        self.start = start
        self.size = 0
        self._index: list[tuple[int, int]] = []
        self._pending: list[tuple[int, int]] = []
        self._hint = (first, 0)
        # Closed by close(): the file lives as long as the segment.
        self._file = tempfile.TemporaryFile(dir=directory, buffering=0)

    @property
    def full(self) -> bool:
        """Whether the next batch belongs into a new file."""
        return self.size >= SEGMENT

    def write(self, messages: Iterable[tuple[int, Sequence[Part]]]) -> int:
        """Append numbered messages and give the bytes written; raises OSError and then leaves the file as it was."""
        pieces: list[Part] = []
        place = self.size
        for number, parts in messages:
            if not self._pending or place - self._pending[-1][1] >= _BLOCK:
                self._pending.append((number, place))
            head = struct.pack(f"<I{len(parts)}Q", len(parts), *map(len, parts))
            pieces.append(head)
            pieces.extend(parts)
            place += len(head) + sum(map(len, parts))
        try:
            self._write_all(pieces)
        except OSError:
            self._pending.clear()
            os.ftruncate(self._file.fileno(), self.size)
            raise
        written, self.size = place - self.size, place
        return written

    def _write_all(self, pieces: Sequence[Part]) -> None:
        # As many pieces at once as the system takes, large ones uncopied.
        place = self.size
        for at in range(0, len(pieces), _PIECES):
            left = [memoryview(piece) for piece in pieces[at : at + _PIECES] if len(piece)]
            while left:
                done = os.pwritev(self._file.fileno(), left, place)
                place += done
                while left and done >= len(left[0]):
                    done -= len(left.pop(0))
                if left:
                    left[0] = left[0][done:]

    def publish(self, following: int) -> None:
        """Let the last batch be read: the messages before number ``following``."""
        self._index.extend(self._pending)
        self._pending.clear()
        self.next = following

    def read(self, number: int, limit: int) -> Iterator[tuple[int, Sequence[Part]]]:
        """Give messages from ``number`` on, about ``limit`` bytes and at least one."""
        at, place = self._index[bisect.bisect_right(self._index, (number, self.size)) - 1]
        # Readers mostly go on where the last one stopped.
        if at <= self._hint[0] <= number:
            at, place = self._hint
        window = _Window(self._file.fileno())
        taken = 0
        while at < self.next and (taken < limit or not taken):
            (count,) = _COUNT.unpack(window.read(place, _COUNT.size))
            lengths = struct.unpack(f"<{count}Q", window.read(place + _COUNT.size, 8 * count))
            place += _COUNT.size + 8 * count
            if at >= number:
                yield at, list(window.split(place, lengths))
                taken += max(1, sum(lengths))
            place += sum(lengths)
            at += 1
        self._hint = (at, place)

    def close(self) -> None:
        """Free the file's space."""
        self._file.close()


class _Window:
    """Reads a file a block at a time: small messages cost no system call each."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._block = b""
        self._begin = 0

    def read(self, place: int, length: int) -> bytes:
        at = place - self._begin
        if at < 0 or at + length > len(self._block):
            if length > _BLOCK:
                return os.pread(self._handle, length, place)
            self._block, self._begin, at = os.pread(self._handle, _BLOCK, place), place, 0
        return self._block[at : at + length]

    def split(self, place: int, lengths: Sequence[int]) -> Iterator[bytes]:
        for length in lengths:
            yield self.read(place, length)
            place += length
