"""The processes of a session: found, written down each second, and ended at its end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import psutil

from jupyter_sessions.host.process import Reaper, descendants, is_zombie, start_time
from jupyter_sessions.model.hostfile import MARK, MARKED, write_private

_PAUSE = 0.02


class Family:
    """All processes below a host, those that detached themselves included.

    ``mark`` is the session's own. A process of another mark (a session that was started from inside this one) is
    listed with the others, but is never signalled from here. ``root`` is the host's pid, this process's by default.
    """

    def __init__(self, directory: Path, mark: str, root: int | None = None) -> None:
        self._directory = directory
        self._mark = mark
        self._root = os.getpid() if root is None else root
        self._known: dict[int, float] = {}
        self._written = ""
        self.reaper = Reaper()

    def look(self) -> dict[int, float]:
        """Give pid and start time of every living process of the session but the host's."""
        found: dict[int, float] = {}
        for pid in self._candidates():
            started = start_time(pid)
            if started is not None and not is_zombie(pid):
                found[pid] = started
        self._known = found
        return found

    def write(self) -> None:
        """Write ``marked.json`` if what was last looked at is news; raises OSError."""
        text = json.dumps(sorted(self._known.items()))
        if text != self._written:
            write_private(self._directory / MARKED, text, durable=False)
            self._written = text

    def signal(self, number: signal.Signals) -> int:
        """Send a signal to each living process of the session and give how many were reached."""
        reached = 0
        for pid, started in self.look().items():
            if not self._foreign(pid) and start_time(pid) == started:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
                    reached += 1
        return reached

    def left(self) -> int:
        """Give how many processes of the session live, after reaping what can be."""
        self.reaper.reap(())
        return sum(not self._foreign(pid) for pid in self.look())

    def end(self, term_seconds: float, kill_seconds: float) -> int:
        """End everything: TERM, then KILL until nothing is left; give what is left after both times have passed."""
        if term_seconds > 0:
            self.signal(signal.SIGTERM)
            if not self._wait(term_seconds):
                return 0
        deadline = time.monotonic() + kill_seconds
        while True:
            # Again and again: what is killed may have started something in between.
            self.signal(signal.SIGKILL)
            left = self._wait(0.2)
            if not left or time.monotonic() >= deadline:
                return left

    def _wait(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        while True:
            left = self.left()
            if not left or time.monotonic() >= deadline:
                return left
            time.sleep(_PAUSE)

    def _candidates(self) -> set[int]:
        found = descendants(self._root)
        for pid, started in self._known.items():
            # Without a subreaper (macOS) an orphan leaves the tree: it stays known by pid and start time.
            if pid not in found and start_time(pid) == started:
                found |= {pid} | descendants(pid)
        found.discard(self._root)
        return found

    def _foreign(self, pid: int) -> bool:
        mark = process_mark(pid)
        return mark is not None and mark != self._mark


def process_mark(pid: int) -> str | None:
    """Give the mark in a process's environment, None where it has none or refuses to be read."""
    if sys.platform != "linux":
        try:
            return psutil.Process(pid).environ().get(MARK)
        except (psutil.Error, OSError):
            return None
    prefix = f"{MARK}=".encode()
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as source:
            block = source.read()
    except OSError:
        return None
    for entry in block.split(b"\0"):
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode("utf-8", "replace")
    return None
