"""When a session ends by itself: two limits and one warning, computed from a wall clock that the caller reads.

Pure: no clock, no file and no kernel is touched here, so a test drives hours in microseconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WARN_SECONDS = 600.0
"""How long before its end a session is warned; a limit under twice this is warned at its half."""

_WORDS = {"ttl": "ttl", "idleTtl": "idle"}


@dataclass(frozen=True)
class Limits:
    """The two limits in seconds (0 or less: none) and when both clocks start, seconds since the epoch."""

    ttl: float
    idle_ttl: float
    started: float


@dataclass(frozen=True)
class Outlook:
    """What is to come: ``ends_at`` (0: no limit runs), its cause, and the warning's text once it is due."""

    ends_at: float = 0.0
    ends_why: str = ""
    warning: str = ""

    def due(self, now: float) -> bool:
        """Say whether the end has come."""
        return bool(self.ends_why) and now >= self.ends_at


class Lifetime:
    """Watches the two limits of one session."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._last_busy = 0.0
        self._warned: tuple[str, float, str] = ("", 0.0, "")

    def look(self, now: float, busy: int, last_activity: float) -> Outlook:
        """Give the outlook at ``now``.

        ``busy`` counts executing kernels (while there is one, the session is not idle); ``last_activity`` is the last
        execution in any kernel, 0 for none. All times are seconds since the epoch.
        """
        if busy:
            self._last_busy = now
        why, ends_at, limit = self._first_end(now, busy, last_activity)
        if not why:
            return Outlook()
        before = WARN_SECONDS if limit >= 2 * WARN_SECONDS else limit / 2
        if now < ends_at - before:
            self._warned = ("", 0.0, "")
            return Outlook(ends_at, why)
        return Outlook(ends_at, why, self._warning(why, ends_at, min(before, ends_at - now)))

    def message(self, why: str) -> str:
        """Give the state message of an end by ``why`` (``ttl`` or ``idleTtl``)."""
        if why == "ttl":
            return f"ended by its ttl: {spoken(self.limits.ttl)} since it became active"
        return f"ended by its idleTtl: no kernel was busy for {spoken(self.limits.idle_ttl)}"

    def _first_end(self, now: float, busy: int, last_activity: float) -> tuple[str, float, float]:
        ends = []
        if self.limits.ttl > 0:
            ends.append((self.limits.started + self.limits.ttl, "ttl", self.limits.ttl))
        if self.limits.idle_ttl > 0 and not busy:
            # A clock set back leaves activity in the future: it counts as now, or the session would never be idle.
            active = max(self.limits.started, min(now, max(last_activity, self._last_busy)))
            ends.append((active + self.limits.idle_ttl, "idleTtl", self.limits.idle_ttl))
        if not ends:
            return "", 0.0, 0.0
        ends_at, why, limit = min(ends)
        return why, ends_at, limit

    def _warning(self, why: str, ends_at: float, left: float) -> str:
        """Give one text for one end: it is told as a change, so it must not count down."""
        if self._warned[:2] != (why, ends_at):
            minutes = max(1, math.ceil(left / 60 - 0.05))
            self._warned = (why, ends_at, f"ends in {minutes} min: {_WORDS[why]}")
        return self._warned[2]


def spoken(seconds: float) -> str:
    """Give a duration in the largest unit that names it whole: ``24 h``, ``14 d``, ``90 s``."""
    whole = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if whole >= 2 * size and whole % size == 0:
            return f"{whole // size} {unit}"
    return f"{whole} s"
