"""How often a client looks while it waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from jupyter_sessions.model.errors import DeadlineExceeded

FIRST, LAST, GROWTH = 0.05, 1.0, 1.5
SOON = 2.0
"""Seconds after which a wait for a kernel is worth a word."""


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


class Patience:
    """Waits for a kernel's answers, each ``timeout`` seconds at most (None: for ever).

    ``on_wait`` is called once, by whoever waits, when an answer is not there after :data:`SOON` seconds: the kernel may
    be busy with other code.
    """

    def __init__(self, timeout: float | None = None, on_wait: Callable[[], None] | None = None) -> None:
        self.timeout = timeout
        self._on_wait = on_wait

    def wait(self, there: Callable[[float | None], bool]) -> None:
        """Wait with ``there(seconds)``, which says whether the answer came in that time; raises DeadlineExceeded."""
        left = self.timeout
        if self._on_wait is not None and (left is None or left > SOON):
            if there(SOON):
                return
            left = None if left is None else left - SOON
            told, self._on_wait = self._on_wait, None
            told()
        if not there(left):
            raise DeadlineExceeded(
                f"the kernel gave no answer for {self.timeout:g} s; it may be busy with other code: wait for that to "
                "end, interrupt it, or use another kernel"
            )


NO_END = Patience()
"""Waits for ever, and says nothing."""
