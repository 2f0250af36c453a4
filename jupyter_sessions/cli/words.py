"""How lengths, moments and states are written for people."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import SECOND

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session

READY = "Ready"
"""What an ACTIVE session's message is where there is nothing more to say."""
MINUTE, HOUR, DAY = 60, 3_600, 86_400
SIGNS = {
    State.CREATING: "◐",
    State.ACTIVE: "●",
    State.TERMINATING: "◌",
    State.TERMINATED: "■",
    State.FAILED: "✕",
}
STYLES = {
    State.CREATING: "cyan",
    State.ACTIVE: "green",
    State.TERMINATING: "cyan",
    State.TERMINATED: "dim",
    State.FAILED: "bold red",
}


def length(ns: int) -> str:
    """Give nanoseconds in two units at most: ``4.1 s``, ``12 s``, ``8 m 5 s``, ``2 h 14 m``, ``3 d 4 h``."""
    seconds = max(ns, 0) / SECOND
    if seconds < 10:
        return f"{int(seconds * 10) / 10} s"
    whole = int(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return _pair(whole, MINUTE, "m", 1, "s")
    return _pair(whole, HOUR, "h", MINUTE, "m") if whole < DAY else _pair(whole, DAY, "d", HOUR, "h")


def _pair(whole: int, big: int, name: str, small: int, lesser: str) -> str:
    rest = whole % big // small
    return f"{whole // big} {name}" + (f" {rest} {lesser}" if rest else "")


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


def short(name: str) -> str:
    """Give the last part of a resource's name."""
    return name.rpartition("/")[2]


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
