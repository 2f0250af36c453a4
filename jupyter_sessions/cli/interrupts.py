"""Ctrl-C and SIGTERM while remote code runs: the first Ctrl-C goes to the kernel, the next lets go of it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C, as shells have it."""


class LetGo(BaseException):
    """Stop waiting and leave the remote code running; ``code`` is the exit code. No ``Exception``: nothing eats it."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Interrupts:
    """Handles signals of the main thread while it is entered.

    The first SIGINT calls ``forward`` in a thread of its own, so that no output is torn; the second, and SIGTERM at
    once, raise :class:`LetGo` in the main thread. While :attr:`asking` is set, a SIGINT raises KeyboardInterrupt there
    instead, for an answer that is being typed: whoever asked then interrupts the code.
    """

    def __init__(self, forward: Callable[[], object]) -> None:
        self._forward = forward
        self._before: dict[int, Any] = {}
        self.interrupted = False
        self.asking = False

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT or self.interrupted:
            raise LetGo(128 + number)
        self.interrupted = True
        if self.asking:
            raise KeyboardInterrupt
        threading.Thread(target=self._forward, name="interrupt", daemon=True).start()
