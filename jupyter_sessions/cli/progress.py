"""What goes on at the server, told on stderr as it goes: a line that moves on a terminal, else a line for each step."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import TYPE_CHECKING

from jupyter_sessions.cli import output
from jupyter_sessions.cli.words import first_line
from jupyter_sessions.model.times import SECOND
from jupyter_sessions.model.words import length, plain, short

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

    from jupyter_sessions.model.resources import Session

FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PER_SECOND = 8


class Steps:
    """A ``with`` statement around a wait; it is the ``progress`` that the client calls with the session's steps."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._words = "waiting"
        self._since = time.monotonic_ns()
        self._live: Live | None = None

    def __enter__(self) -> Steps:
        if output.stderr_moves():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(
                self, console=Console(stderr=True), refresh_per_second=PER_SECOND, transient=True, redirect_stdout=False
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, session: Session) -> None:
        """Tell a step that has begun; the end is left to whoever waits for it."""
        self._name = short(session.name)
        message = first_line(session.state_message)
        now, words = time.monotonic_ns(), session.state.name + (f": {message}" if message else "")
        if self._live is not None:
            self._live.console.print(self._line(" ", now))
        elif not session.state.final:
            output.say(f"{length(now - self._since):>7}  {self._name} {words}")
        self._words = words

    def __rich__(self) -> Text:
        """Give the line as it is now."""
        now = time.monotonic_ns()
        return self._line(FRAMES[(now - self._since) * PER_SECOND // SECOND % len(FRAMES)], now)

    def _line(self, sign: str, now: int) -> Text:
        from rich.text import Text

        words = plain(f"{sign} {length(now - self._since):>7}  {self._name} {self._words}")
        return Text(words, no_wrap=True, overflow="ellipsis")


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Keep Ctrl-C back until the block has ended, so that what was sent is known; a second one breaks it off."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt
