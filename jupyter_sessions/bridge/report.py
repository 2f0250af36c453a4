"""What a bridge tells whoever started it, over a pipe: a JSON object a line, each of one kind.

``{"told": words}`` while it starts, then ``{"ready": {session, kernel, made}}`` or ``{"failed": words}``, and
``{"ended": words}`` when it ends without having been asked to.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

TOLD, READY, FAILED, ENDED = "told", "ready", "failed", "ended"


class Report:
    """The bridge's end. ``handle`` is the pipe's file descriptor, None where nobody listens.

    What went wrong is said on stderr too, unless ``quiet``: most programs show that and nothing else.
    """

    def __init__(self, handle: int | None = None, quiet: bool = False) -> None:
        self._handle = handle
        self._quiet = quiet

    def tell(self, words: str) -> None:
        """Tell how far the start is."""
        self._write(TOLD, words)

    def ready(self, session: str, kernel: str, made: bool) -> None:
        """Tell that the kernel answers; ``made`` says whether the session was made for it and ends with it."""
        self._write(READY, {"session": session, "kernel": kernel, "made": made})

    def failed(self, words: str) -> None:
        """Tell why it did not start."""
        self._write(FAILED, words)
        self.complain(words)

    def ended(self, words: str) -> None:
        """Tell why it ended."""
        self._write(ENDED, words)
        self.complain(words)

    def complain(self, words: str) -> None:
        """Say on stderr what whoever started it cannot know."""
        if not self._quiet:
            with contextlib.suppress(OSError):
                print(f"jupyter_sessions: {words}", file=sys.stderr, flush=True)

    def _write(self, kind: str, what: Any) -> None:
        if self._handle is None:
            return
        try:
            os.write(self._handle, json.dumps({kind: what}).encode() + b"\n")
        except OSError:
            # Whoever listened has gone, which the bridge finds out by itself.
            self._handle = None
