"""Times, limits and labels as people read them, beside what :mod:`jupyter_sessions.model.words` has."""

from __future__ import annotations

import time

from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import SECOND
from jupyter_sessions.model.words import length

MOVING = (State.CREATING, State.TERMINATING)
"""The states that end by themselves."""


def clock(ns: int) -> str:
    """Give a time in nanoseconds since the epoch as the local ``2026-01-31 20:15:01``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ns / SECOND))


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
