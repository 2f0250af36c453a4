"""Stays with a cell that runs in a session: its outputs, its questions, and Ctrl-C handed on to its kernel."""

from __future__ import annotations

import builtins
import contextlib
import getpass
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.words import plain

if TYPE_CHECKING:
    from jupyter_sessions.client.execution import Execution, Output, Result

Handler = Callable[[int, FrameType | None], Any] | int | None
QUEUED_S = 2.0
"""Seconds that a cell may wait for other code until that is said."""
LOOK_S = 0.05
"""Seconds between two looks whether a cell has begun."""


def let_go(execution: Execution) -> str:
    """Say what becomes of a cell that nobody waits for any more."""
    if execution.begun:
        return "it is still running in the session; %session interrupt ends it"
    return "it waits its turn in the session and will run"


def interrupt(execution: Execution, heeded: Callable[[], bool] = lambda: True) -> None:
    """Interrupt a cell once it has begun, for before that its kernel runs other code; a thread of its own waits.

    It waits no longer than ``heeded`` is true. Where the interrupt fails, stderr says so.
    """
    threading.Thread(target=_interrupt, args=(execution, heeded), name="interrupt", daemon=True).start()


def _interrupt(execution: Execution, heeded: Callable[[], bool]) -> None:
    if not (execution.begun or execution.done):
        sys.stderr.write("it has not begun and will be interrupted as it begins\n")
    while not (execution.begun or execution.done):
        if not heeded():
            return
        time.sleep(LOOK_S)
    try:
        execution.interrupt()
    except SessionsError as error:
        sys.stderr.write(plain(f"the interrupt failed: {error}\n"))


@contextlib.contextmanager
def _told_of_others(execution: Execution) -> Iterator[None]:
    """Say so where the cell has to wait for other code of its kernel."""

    def tell() -> None:
        if not (execution.begun or execution.done):
            sys.stderr.write("the kernel is busy with other code; this cell waits for it\n")

    teller = threading.Timer(QUEUED_S, tell)
    teller.daemon = True
    teller.start()
    try:
        yield
    finally:
        teller.cancel()


class Interrupts:
    """Ctrl-C while a cell runs elsewhere: the first interrupts it there, the second lets go of it here."""

    def __init__(self) -> None:
        self.execution: Execution | None = None
        self.count = 0
        self._before: Handler = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal."""
        self.count += 1
        execution = self.execution
        if execution is None or self.count > 1:
            raise KeyboardInterrupt(let_go(execution) if execution is not None else "")
        # A request may be under way in the very frame that was interrupted, so another thread makes this one.
        interrupt(execution, lambda: self.count == 1 and self.execution is execution)

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
    with _told_of_others(execution):
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
