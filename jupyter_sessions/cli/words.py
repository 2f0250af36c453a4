"""How moments and states are written for people, beside what :mod:`jupyter_sessions.model.words` has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import SECOND
from jupyter_sessions.model.words import length

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session

READY = "Ready"
"""What an ACTIVE session's message is where there is nothing more to say."""
DAY = 86_400
STYLES = {
    State.CREATING: "cyan",
    State.ACTIVE: "green",
    State.TERMINATING: "cyan",
    State.TERMINATED: "dim",
    State.FAILED: "bold red",
}


def moment(ns: int, now: int) -> str:
    """Give a time near now in local time: ``21:40`` today, ``Wed 21:40`` within a week, else ``24 Nov 2026``."""
    there, here = time.localtime(ns // SECOND), time.localtime(now // SECOND)
    if there[:3] == here[:3]:
        return time.strftime("%H:%M", there)
    if abs(ns - now) < 6 * DAY * SECOND:
        return time.strftime("%a %H:%M", there)
    return time.strftime("%d %b %Y", there)


def exact(ns: int) -> str:
    """Give a time in local time to the millisecond: ``2026-11-24 19:20:03.120``."""
    return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(ns // SECOND))}.{ns % SECOND // 1_000_000:03}"


def first_line(text: str) -> str:
    """Give the first line of a message."""
    return text.strip().partition("\n")[0]


def kernel_word(session: Session) -> str:
    """Give the language of a session's kernels."""
    return session.kernel.name.capitalize() if session.kernel else "Python"


def since(session: Session, now: int) -> str:
    """Say how long a session has been in its state, or of an ended one since when."""
    if session.state.final:
        return f"since {moment(session.state_time, now)}"
    return f"for {length(now - session.state_time)}"


def note(session: Session) -> str:
    """Give the first line of its state's message, but not of what ACTIVE says already."""
    message = first_line(session.state_message)
    return "" if session.state is State.ACTIVE and message == READY else message
