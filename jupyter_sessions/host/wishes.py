"""What is wanted of a running host: its intent file, read again when it changed."""

from __future__ import annotations

import logging
from pathlib import Path

from jupyter_sessions.model.hostfile import FILES, Intent, UnknownVersion, read

_MISSED_LIMIT = 10

logger = logging.getLogger("jupyter_sessions.host")


class Wishes:
    """Follows ``intent.json`` of one incarnation.

    A file that cannot be read changes nothing. ``over`` becomes (cause, message) once the host is to end.
    """

    def __init__(self, directory: Path, intent: Intent) -> None:
        self._directory = directory
        self._path = directory / FILES[Intent]
        self._intent = intent
        self._stamp: tuple[int, int, int] | None = None
        self._missed = 0
        self.over: tuple[str, str] | None = None

    def look(self) -> Intent | None:
        """Give the intent if it is news, else None; does file I/O, raises nothing."""
        try:
            found = self._path.stat()
            self._missed = 0
            stamp = (found.st_mtime_ns, found.st_ino, found.st_size)
            if stamp == self._stamp:
                return None
            intent = read(self._directory, Intent)
            self._stamp = stamp
        except (OSError, ValueError, UnknownVersion) as error:
            self._miss(error)
            return None
        if intent is None or intent == self._intent:
            return None
        self._judge(intent)
        self._intent = intent
        return intent

    def _judge(self, intent: Intent) -> None:
        if intent.incarnation != self._intent.incarnation:
            self.over = ("asked", f"replaced by incarnation {intent.incarnation} of its host")
        elif intent.wanted == "stop":
            self.over = ("asked", intent.reason or "asked to end")

    def _miss(self, error: Exception) -> None:
        """Count looks at a directory that is no more: a host whose files are gone can be found by nobody."""
        if isinstance(error, FileNotFoundError) and not self._directory.exists():
            self._missed += 1
            if self._missed >= _MISSED_LIMIT:
                self.over = ("fault", "its directory was removed")
            return
        if self._missed == 0:
            logger.warning("intent.json could not be read (%s); going on with the one before", error)
        self._missed = 1
