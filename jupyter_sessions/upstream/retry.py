"""How long to wait before a request is sent again, and whether at all."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from jupyter_sessions.model.errors import SessionsError

REPEATABLE = frozenset({429, 502, 503, 504})
"""The status codes of answers after which the same request may fare better."""


@dataclass(frozen=True)
class Patience:
    """``attempts`` tries at most; before the next one ``first`` seconds, then twice that up to ``longest``.

    Up to ``jitter`` seconds come on top, so that many clients do not come back at once.
    """

    attempts: int = 3
    first: float = 0.2
    longest: float = 3.0
    jitter: float = 0.3


class Failed(Exception):
    """A try that failed with ``error``.

    ``again``: another may fare better, after ``pause`` seconds if it says so. ``unreadable``: something answered, but
    not the service itself.
    """

    def __init__(
        self, error: SessionsError, *, again: bool = False, pause: float | None = None, unreadable: bool = False
    ) -> None:
        super().__init__(error.message)
        self.error = error
        self.again = again
        self.pause = pause
        self.unreadable = unreadable


def retry_after(value: str, now: Callable[[], float] = time.time) -> float | None:
    """Read a Retry-After header, seconds or an HTTP date, as seconds from now; None where it says nothing."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now())
    except (ValueError, TypeError, OverflowError):
        return None


def pause(
    error: Exception, remaining: float, patience: Patience, chance: Callable[[float, float], float] = random.uniform
) -> bool | float:
    """Decide about a failed try: False is no more, True the usual pause, else so many seconds.

    A pause that the upstream asks for is kept if the deadline, ``remaining`` seconds from now, allows; else there is no
    use in waiting at all.
    """
    if not isinstance(error, Failed) or not error.again:
        return False
    if error.pause is None:
        return remaining > patience.first
    asked = error.pause + chance(0.0, patience.jitter)
    return asked if asked < remaining else False
