"""Runs a configured program for what it prints, without a shell, for a limited time."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterable, Sequence

from jupyter_sessions.upstream.errors import SHOWN, printable

COMMAND_TIMEOUT = 20.0
"""Seconds that a program may take."""
SECRET = re.compile(r"(?i)bearer\s+\S+|ya29\.|eyj[\w-]+\.|token\s*[=:]\s*\S|(?=[\w+=-]*[0-9])[\w+=-]{24,}")
"""What looks like a token, or like its beginning."""


def output(argv: Sequence[str], seconds: float, known: Iterable[str] = ()) -> str:
    """Run a program to its end and give its stdout; blocks up to ``seconds``.

    It gets no input and is killed, with all of its process group, when the time is up. Raises OSError whose
    ``strerror`` says what went wrong, with the last line of stderr unless a token may stand in it; ``known`` are
    tokens of before.
    """
    # S603: the administrator's own argv, without a shell.
    with subprocess.Popen(  # noqa: S603
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            # What it wrote is not read to its end: something that left its group may hold that open for ever.
            raise OSError(0, f"it did not end within {seconds:.3g} s") from None
    text = out.decode("latin-1")
    if process.returncode:
        raise OSError(0, f"it ended with status {process.returncode}{_said(err, [text.strip(), *known])}")
    return text


def _said(stderr: bytes, known: Iterable[str]) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    if not lines:
        return ""
    text = "\n".join(lines)
    if any(word and word in text for word in known) or SECRET.search(text):
        return "; what it wrote to stderr is not shown, for a token may stand in it"
    return f": {printable(lines[-1])[:SHOWN]}"
