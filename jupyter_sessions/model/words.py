"""How states, lengths and names are written for people, on a terminal and in a notebook."""

from __future__ import annotations

from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import SECOND

SIGNS = {
    State.STATE_UNSPECIFIED: "?",
    State.CREATING: "◐",
    State.ACTIVE: "●",
    State.TERMINATING: "◌",
    State.TERMINATED: "■",
    State.FAILED: "✕",
}
"""A state's sign; it stands beside the word, never alone."""
_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def length(ns: int) -> str:
    """Give nanoseconds in two units at most: ``4.1 s``, ``12 s``, ``8 m 5 s``, ``2 h 14 m``, ``3 d 4 h``."""
    seconds = max(ns, 0) / SECOND
    if seconds < 10:
        return f"{int(seconds * 10) / 10} s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return _pair(whole, _MINUTE, "m", 1, "s")
    return _pair(whole, _HOUR, "h", _MINUTE, "m") if whole < _DAY else _pair(whole, _DAY, "d", _HOUR, "h")


def _pair(whole: int, big: int, name: str, small: int, lesser: str) -> str:
    rest = whole % big // small
    return f"{whole // big} {name}" + (f" {rest} {lesser}" if rest else "")


def memory(size: int) -> str:
    """Give bytes of memory as the panel does: ``53 MB``, ``1.2 GB``, of 10^6 and 10^9 bytes."""
    return f"{(size + 500_000) // 1_000_000} MB" if size < 1_000_000_000 else f"{size / 1e9:.1f} GB"


def short(name: str) -> str:
    """Give the last part of a resource's name."""
    return name.rpartition("/")[2]


def plain(text: str) -> str:
    """Give a text without what a terminal would act on: an answer from elsewhere may hold anything."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else "\N{REPLACEMENT CHARACTER}" for sign in text)
