"""Times, limits and sizes as people read them."""

from __future__ import annotations

import time

from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import SECOND

LIVE = (State.CREATING, State.ACTIVE, State.TERMINATING)
"""The states that something may follow."""
MOVING = (State.CREATING, State.TERMINATING)
"""The states that end by themselves."""
ICONS = {
    State.CREATING: "◐",
    State.ACTIVE: "●",
    State.TERMINATING: "◌",
    State.TERMINATED: "■",
    State.FAILED: "✕",
    State.STATE_UNSPECIFIED: "?",
}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60))


def length(ns: int) -> str:
    """Give a length in nanoseconds as ``2 h 14 m``, the two largest units; seconds with a decimal below ten."""
    seconds = max(ns, 0) / SECOND
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    found: list[str] = []
    for unit, size in (*_UNITS, ("s", 1)):
        count, whole = divmod(whole, size)
        if count or found:
            found.append(f"{count} {unit}")
    return " ".join(part for part in found[:2] if not part.startswith("0 "))


def clock(ns: int) -> str:
    """Give a time in nanoseconds since the epoch as the local ``2026-01-31 20:15:01``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ns / SECOND))


def short_id(name: str) -> str:
    """Give the id of a resource's full name."""
    return name.rpartition("/")[2]


def active_since(session: Session) -> int:
    """Give when a session became ACTIVE, 0 if it never did."""
    if session.state is State.ACTIVE:
        return session.state_time
    return next((past.state_start_time for past in session.state_history if past.state is State.ACTIVE), 0)


def end(session: Session, now: int) -> str:
    """Say when a limit will end a live session: at the latest, and after how long idle."""
    since = active_since(session)
    if session.state is not State.ACTIVE:
        return ""
    parts = [f"in {length(since + session.ttl - now)}"] if session.ttl else []
    parts += [f"after {length(session.idle_ttl)} idle"] if session.idle_ttl else []
    return ", or ".join(parts)


def for_how_long(session: Session, now: int) -> str:
    """Say how long a session has been as it is; for an ended one how long ago that was."""
    since = length(now - session.state_time)
    return f"{since} ago" if session.state.final else since


def labels(session: Session) -> str:
    """Give the labels as ``k:v`` words."""
    return " ".join(f"{key}:{value}" if value else key for key, value in sorted(session.labels.items()))


def memory(count: int) -> str:
    """Give bytes as ``12.3 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
