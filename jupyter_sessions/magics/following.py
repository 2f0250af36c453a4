"""Stays with a cell that runs in a session: its outputs, its questions, and Ctrl-C handed on to its kernel."""

from __future__ import annotations

import builtins
import contextlib
import getpass
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.words import plain

if TYPE_CHECKING:
    from jupyter_sessions.client.execution import Execution, Output, Result

Handler = Callable[[int, FrameType | None], Any] | int | None
LET_GO = "it is still running in the session; %session interrupt ends it"


class Interrupts:
    """Ctrl-C while a cell runs elsewhere: the first interrupts it there, the second lets go of it here."""

    def __init__(self) -> None:
        self.execution: Execution | None = None
        self.count = 0
        self._before: Handler = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.count += 1
        if self.execution is None or self.count > 1:
            raise KeyboardInterrupt(LET_GO if self.execution is not None else "")
        # A request may be under way in the very frame that was interrupted, so another thread makes this one.
        threading.Thread(target=self._interrupt, args=(self.execution,), name="interrupt", daemon=True).start()

    def _interrupt(self, execution: Execution) -> None:
        try:
            execution.interrupt()
        except SessionsError as error:
            sys.stderr.write(plain(f"the interrupt failed: {error}\n"))

    @contextlib.contextmanager
    def taken(self) -> Iterator[Interrupts]:
        """Take Ctrl-C for the time of a ``with`` statement; where this is no main thread none arrives anyway."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        self._before = signal.signal(signal.SIGINT, self)
        try:
            yield self
        finally:
            signal.signal(signal.SIGINT, self._before)

    @contextlib.contextmanager
    def given_back(self) -> Iterator[None]:
        """Let Ctrl-C do what it does, for as long as a person is asked something."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        mine = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, mine)


def follow(execution: Execution, show: Callable[[Output], None], interrupts: Interrupts) -> Result:
    """Show outputs as they come, and give the result; raises KernelDied, ServerGone, and KeyboardInterrupt once let go.

    The caller has taken the interrupts.
    """
    interrupts.execution = execution
    while True:
        try:
            for output in execution:
                show(output)
            interrupts.execution = None
            return execution.result()
        except KeyboardInterrupt:
            # The first one came while a question stood open, and has been handed on.
            if interrupts.count:
                raise
            interrupts.count += 1


def asker(interrupts: Interrupts) -> Callable[[str, bool], str]:
    """Give the function that answers ``input()`` and ``getpass()`` of the code there by asking here."""

    def ask(prompt: str, password: bool) -> str:
        sys.stdout.flush()
        with interrupts.given_back():
            # Looked up at each call: a kernel sets its own, which ask its front end.
            return getpass.getpass(prompt) if password else builtins.input(prompt)

    return ask
