"""Commands on a pseudo-terminal, as a person at a keyboard has them."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.cli.beside import environment
from tests.cli.running import command
from tests.real.server import RealServer

CTRL_C = "\x03"
# The first of a new session that opens a terminal makes it its own; a shell does it, for a fork of Python's that runs
# code before the program begins is no longer safe beside threads.
HOLD = ': <>"$0"; exec "$@"'
ACTS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A command with its stdin, stdout and stderr on one terminal; ``text`` is all it wrote, as letters."""

    def __init__(self, handle: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.raw = ""
        self._handle = handle

    @property
    def text(self) -> str:
        """What was written, without colours and moves."""
        return ACTS.sub("", self.raw).replace("\r", "\n")

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._handle, keys.encode())

    def until(self, words: str, seconds: float = 60.0) -> str:
        """Read until all that was written holds ``words``; fails the test after ``seconds``."""
        end = time.monotonic() + seconds
        while words not in self.text:
            assert time.monotonic() < end, f"waited for {words!r}; there is {self.text[-2000:]!r}"
            assert self._read(), f"it ended without {words!r}; there is {self.text[-2000:]!r}"
        return self.text

    def end(self, seconds: float = 60.0) -> int:
        """Read to the end and give the exit code."""
        end = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < end, f"it does not end; there is {self.text[-2000:]!r}"
        return self.process.wait(seconds)

    def _read(self) -> bool:
        if select.select([self._handle], [], [], 1.0)[0]:
            try:
                piece = os.read(self._handle, 65_536)
            except OSError:
                return False
            self.raw += piece.decode(errors="replace")
            return bool(piece)
        return True


@contextlib.contextmanager
def terminal(server: RealServer, *words: str, columns: int = 140) -> Iterator[Terminal]:
    """Run a command on a terminal of its own, with job control as a shell gives it; at the end it is gone."""
    environ = {**environment(server), "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": "40"}
    with on_terminal(command(*words), environ, server.home) as made:
        yield made


@contextlib.contextmanager
def on_terminal(argv: Sequence[str], environ: Mapping[str, str], folder: Path) -> Iterator[Terminal]:
    """Run a program in ``folder`` on a terminal that Ctrl-C goes through to it; at the end it is gone."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["/bin/sh", "-c", HOLD, os.ttyname(theirs), *argv],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=dict(environ),
        cwd=folder,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(ours, process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(30)
        os.close(ours)
