"""What other threads bring to the bridge's loop, which sleeps on its file descriptor."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")
HELD = 16 << 20
"""Bytes that wait before whoever brings more has to wait itself."""


class Inbox(Generic[T]):
    """A queue whose putters wait while it is full. ``wake`` is written to, also by whoever has a signal to tell."""

    def __init__(self) -> None:
        self.read_end, self.wake = os.pipe()
        os.set_blocking(self.read_end, False)
        os.set_blocking(self.wake, False)
        self._items: deque[tuple[T, int]] = deque()
        self._size = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T, size: int = 0) -> None:
        """Add an item of so many bytes; what has no size never waits."""
        with self._changed:
            self._changed.wait_for(lambda: not size or self._size < HELD or self._closed)
            self._items.append((item, size))
            self._size += size
            if len(self._items) == 1:
                self.ring()

    def ring(self) -> None:
        """Wake the loop."""
        # A full pipe wakes as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self.wake, b"\0")

    def quieten(self) -> None:
        """Take what woke the loop."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.read_end, 4096):
                pass

    def take(self) -> T | None:
        """Give the next item, None where there is none."""
        with self._changed:
            if not self._items:
                return None
            item, size = self._items.popleft()
            self._size -= size
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Let nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
