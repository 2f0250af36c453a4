"""What remote code prints, written here: in order, in blocks while it comes fast, without delay while it does not."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Sequence
from typing import TextIO

BLOCK = 64 * 1024
"""Characters that are written without waiting."""
PAUSE_S = 0.02
"""How long text is kept back at most, in seconds: what comes in that time goes out as one block."""
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def coloured(stream: TextIO) -> bool:
    """Say whether colours may be written to a stream: a terminal whose user did not refuse them."""
    return stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def traceback_text(lines: Sequence[str], colours: bool) -> str:
    """Give a remote traceback as text that ends its last line, without its colours unless ``colours``."""
    text = "\n".join(lines).rstrip("\n") + "\n"
    return text if colours else _COLOUR.sub("", text)


class Streams:
    """stdout and stderr of this process for the output of remote code.

    :meth:`out` and :meth:`err` may be called from any thread. The order over both streams is kept. Raises what writing
    raised (BrokenPipeError where the reader went) at the next call. Use as a context manager: leaving it writes all.
    """

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._files = (out or sys.stdout, err or sys.stderr)
        self._pending: list[tuple[int, str]] = []
        self._size = 0
        self._fault: OSError | None = None
        self._closed = False
        self._changed = threading.Condition()
        self._flusher = threading.Thread(target=self._flush_now_and_then, name="output", daemon=True)

    def __enter__(self) -> Streams:
        for file in self._files:
            reconfigure = getattr(file, "reconfigure", None)
            if reconfigure is not None:  # a locale that lacks a sign must not end the output
                reconfigure(errors="backslashreplace")
        self._flusher.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
            self._write()

    def out(self, text: str) -> None:
        """Write to stdout."""
        self._add(0, text)

    def err(self, text: str) -> None:
        """Write to stderr."""
        self._add(1, text)

    def flush(self) -> None:
        """Write what is kept back."""
        with self._changed:
            self._write()
            self._complain()

    def _add(self, file: int, text: str) -> None:
        if not text:
            return
        with self._changed:
            self._complain()
            self._pending.append((file, text))
            self._size += len(text)
            if self._size >= BLOCK:
                self._write()
            else:
                self._changed.notify()

    def _complain(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _write(self) -> None:
        """Write all that is pending, neighbours of one stream as one piece; the caller holds the lock."""
        pending, self._pending, self._size = self._pending, [], 0
        start = 0
        try:
            for end in range(1, len(pending) + 1):
                if end == len(pending) or pending[end][0] != pending[start][0]:
                    file = self._files[pending[start][0]]
                    file.write("".join(text for _, text in pending[start:end]))
                    file.flush()
                    start = end
        except OSError as error:
            self._fault = error

    def _flush_now_and_then(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._closed)
                self._changed.wait_for(lambda: self._closed, PAUSE_S)
                if self._closed:
                    return
                self._write()
