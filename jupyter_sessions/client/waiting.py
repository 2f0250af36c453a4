"""How often a client looks while it waits."""

from __future__ import annotations

import time

FIRST, LAST, GROWTH = 0.05, 1.0, 1.5


class Pace:
    """Pauses that grow from 0.05 s to 1 s, so that a quick thing is seen soon and a slow one costs little."""

    def __init__(self) -> None:
        self._pause = FIRST

    def wait(self, end: float | None = None) -> None:
        """Pause once, not beyond ``end`` (of ``time.monotonic``)."""
        pause = self._pause if end is None else min(self._pause, max(end - time.monotonic(), 0.0))
        time.sleep(pause)
        self._pause = min(self._pause * GROWTH, LAST)

    def reset(self) -> None:
        """Begin with short pauses again."""
        self._pause = FIRST
