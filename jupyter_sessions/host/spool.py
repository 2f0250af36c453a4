"""The output spool: what kernels said and some client has not read yet, in memory first, then on disk.

One :class:`Spool` a session holds the two bounds, one :class:`Log` a kernel the messages in the kernel's order, one
:class:`Cursor` a client its place. A message is numbered and kept only until every cursor has passed it. The kernel's
drain is the only thread that appends in bulk and spills; readers come from the event loop and its helper threads.
Files are nameless (unlinked as they are made), so nothing is left behind however the host ends.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_sessions.host.frames import Part
from jupyter_sessions.host.segment import Segment

_BATCH = 1 << 20
_READ = 1 << 18
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One message: its number in the log, how many bytes lie before it, its own bytes, its parts."""

    number: int
    start: int
    size: int
    parts: Sequence[Part] = field(repr=False)


@dataclass(frozen=True)
class Taken:
    """What a cursor found: the next entries, and how much before them was dropped unread."""

    entries: Sequence[Entry]
    lost_messages: int = 0
    lost_bytes: int = 0


class Spool:
    """The bounds, shared by all kernels of a session: ``memory`` and ``disk`` bytes.

    ``directory`` is made, mode 0700, when the first message goes to disk.
    """

    def __init__(self, directory: Path, memory: int, disk: int) -> None:
        self.directory = directory
        self.memory = memory
        self.disk = disk
        self.lock = threading.Lock()
        self.logs: set[Log] = set()

    @property
    def memory_used(self) -> int:
        """Bytes of messages in memory."""
        return sum(each.memory_used for each in list(self.logs))

    @property
    def disk_used(self) -> int:
        """Bytes of files."""
        return sum(each.disk_used for each in list(self.logs))

    def open_log(self) -> Log:
        """Give a new, empty log."""
        with self.lock:
            made = Log(self)
            self.logs.add(made)
            return made

    def spill(self) -> None:
        """Bring memory, then disk, within their bounds. For one thread only: it writes outside the lock."""
        if self.memory_used > self.memory:
            while self.memory_used > self.memory * 3 // 4:
                fullest = max(list(self.logs), key=lambda each: each.memory_used)
                if not fullest.spill(_BATCH):
                    break
        while self.disk_used > self.disk:
            with self.lock:
                if not max(self.logs, key=lambda each: each.disk_used).drop_segment():
                    break


class Log:
    """One kernel's messages; made by :meth:`Spool.open_log`."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.memory_used = 0
        self.disk_used = 0
        self.next = 0
        self.end = 0
        self._memory: deque[Entry] = deque()
        self._segments: deque[Segment] = deque()
        self._writing: Segment | None = None
        self._cursors: set[Cursor] = set()

    @property
    def first(self) -> tuple[int, int]:
        """Number and byte position of the oldest message still here."""
        if self._segments:
            return self._segments[0].first, self._segments[0].start
        if self._memory:
            return self._memory[0].number, self._memory[0].start
        return self.next, self.end

    def append(self, messages: Iterable[Sequence[Part]]) -> None:
        """Add messages at the end; with no cursor open they are only counted."""
        with self.spool.lock:
            for parts in messages:
                size = sum(map(len, parts))
                if self._cursors:
                    self._memory.append(Entry(self.next, self.end, size, parts))
                    self.memory_used += size
                self.next += 1
                self.end += size

    def cursor(self) -> Cursor:
        """Open a cursor at the end."""
        with self.spool.lock:
            made = Cursor(self, self.next, self.end)
            self._cursors.add(made)
            return made

    def close(self) -> None:
        """Give up everything."""
        with self.spool.lock:
            self._cursors.clear()
            self._trim()
            self.spool.logs.discard(self)

    def spill(self, limit: int) -> bool:
        """Move about ``limit`` bytes, oldest first, from memory to disk; False where nothing may move."""
        with self.spool.lock:
            # What a client waits for right now would only be written to be read back at once.
            if not self._memory or any(c.waiting and c.number == self._memory[0].number for c in self._cursors):
                return False
            batch, size = [], 0
            for entry in self._memory:
                batch.append(entry)
                size += entry.size
                if size >= limit:
                    break
        written = self._write(batch)
        with self.spool.lock:
            if written is not None:
                self.disk_used += written
            while self._memory and self._memory[0].number <= batch[-1].number:
                self.memory_used -= self._memory.popleft().size
            self._trim()
        return True

    def _write(self, batch: Sequence[Entry]) -> int | None:
        """Write a batch; where the disk refuses, the oldest segments go, and with none left the batch itself."""
        while True:
            try:
                segment, written = self._written(batch)
            except OSError as error:
                log.warning("the output spool cannot be written (%s); the oldest output is dropped", error)
                with self.spool.lock:
                    self._writing = None
                    if not self.drop_segment():
                        return None
                continue
            with self.spool.lock:
                self._writing = None
                segment.publish(batch[-1].number + 1)
                if not self._segments or self._segments[-1] is not segment:
                    self._segments.append(segment)
            return written

    def _written(self, batch: Sequence[Entry]) -> tuple[Segment, int]:
        """Write a batch into the last file or a new one; until that is published no reader's move may close it."""
        messages = ((entry.number, entry.parts) for entry in batch)
        with self.spool.lock:
            last = self._segments[-1] if self._segments else None
            if last is not None and not last.full and last.next == batch[0].number:
                self._writing = last
        if self._writing is not None:
            return self._writing, self._writing.write(messages)
        os.makedirs(self.spool.directory, mode=0o700, exist_ok=True)
        made = Segment(self.spool.directory, batch[0].number, batch[0].start)
        try:
            return made, made.write(messages)
        except OSError:
            made.close()
            raise

    def drop_segment(self) -> bool:
        """Give up the oldest segment, under the lock; False where there is none, or it is being written."""
        if not self._segments or self._segments[0] is self._writing:
            return False
        oldest = self._segments.popleft()
        self.disk_used -= oldest.size
        oldest.close()
        return True

    def _trim(self) -> None:
        low = min((cursor.number for cursor in self._cursors), default=self.next)
        while self._segments and self._segments[0].next <= low and self.drop_segment():
            pass
        while self._memory and self._memory[0].number < low:
            self.memory_used -= self._memory.popleft().size

    def _find(self, cursor: Cursor, limit: int) -> Sequence[Entry]:
        if self._memory and cursor.number >= self._memory[0].number:
            return self._from_memory(cursor.number - self._memory[0].number, limit)
        for segment in self._segments:
            if segment.first <= cursor.number < segment.next:
                return self._from_segment(segment, cursor, limit)
        return []

    def _from_memory(self, index: int, limit: int) -> Sequence[Entry]:
        found: list[Entry] = []
        size = 0
        while index < len(self._memory) and (size < limit or not found):
            found.append(self._memory[index])
            size += self._memory[index].size
            index += 1
        return found

    def _from_segment(self, segment: Segment, cursor: Cursor, limit: int) -> Sequence[Entry]:
        found: list[Entry] = []
        start = cursor.position
        for number, parts in segment.read(cursor.number, limit):
            size = sum(map(len, parts))
            found.append(Entry(number, start, size, parts))
            start += size
        return found

    def forget(self, cursor: Cursor) -> None:
        """Close a cursor: what only it wanted goes."""
        with self.spool.lock:
            self._cursors.discard(cursor)
            self._trim()

    def move(self, cursor: Cursor, number: int, position: int) -> None:
        """Set a cursor: what all have passed goes."""
        with self.spool.lock:
            cursor.number, cursor.position = number, position
            self._trim()

    def take(self, cursor: Cursor, limit: int) -> Taken:
        """See :meth:`Cursor.take`."""
        with self.spool.lock:
            first, start = self.first
            lost = max(0, first - cursor.number), max(0, start - cursor.position)
            if lost[0]:
                cursor.number, cursor.position = first, start
            cursor.waiting = False
            return Taken(self._find(cursor, limit), *lost)

    def in_memory(self, cursor: Cursor) -> bool:
        """Say whether a cursor's next message needs no file."""
        return bool(self._memory) and cursor.number >= self._memory[0].number


class Cursor:
    """One client's place in a log: the number of its next message. ``waiting``: it has read all and wants more."""

    def __init__(self, source: Log, number: int, position: int) -> None:
        self._log = source
        self.number = number
        self.position = position
        self.waiting = False

    @property
    def behind(self) -> bool:
        """Whether there is something to take."""
        return self.number < self._log.next

    @property
    def quick(self) -> bool:
        """Whether the next :meth:`take` reads no file."""
        return self._log.in_memory(self)

    def take(self, limit: int = _READ) -> Taken:
        """Give the next messages, about ``limit`` bytes and at least one, without moving; may read a file."""
        return self._log.take(self, limit)

    def advance(self, entry: Entry) -> None:
        """Move past ``entry``."""
        self._log.move(self, entry.number + 1, entry.start + entry.size)

    def close(self) -> None:
        """Give the place up."""
        self._log.forget(self)
