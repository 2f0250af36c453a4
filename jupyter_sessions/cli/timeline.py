"""A session's states as spans of time, and the line they are drawn on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_sessions.cli.words import STYLES, exact
from jupyter_sessions.model.states import State
from jupyter_sessions.model.words import length

if TYPE_CHECKING:
    from rich.text import Text

    from jupyter_sessions.model.resources import Session

LINE, JOINT, ON, END = "━", "╋", "▶", {State.TERMINATED: "■", State.FAILED: "✕"}
FLOOR = 10
"""Columns of the shortest state, at least; its name needs as many as it has letters."""


@dataclass(frozen=True)
class Span:
    """One state: ``start`` and ``length`` in nanoseconds; the current one runs on, but for a final one."""

    state: State
    message: str
    start: int
    length: int
    current: bool

    @property
    def told(self) -> str:
        """What stands below the line: how long, of a final state when."""
        return exact(self.start)[11:19] if self.state.final else length(self.length)


def spans_of(session: Session, now: int) -> list[Span]:
    """Give the states of a session from its first to the one it is in, which lasts until ``now``."""
    entries = [*session.state_history, session.as_history()]
    ends = [entry.state_start_time for entry in entries[1:]]
    ends.append(session.state_time if session.state.final else now)
    return [
        Span(
            entry.state,
            entry.state_message,
            entry.state_start_time,
            max(end - entry.state_start_time, 0),
            entry is entries[-1],
        )
        for entry, end in zip(entries, ends, strict=True)
    ]


def widths(lengths: Sequence[int], floors: Sequence[int], width: int) -> list[int]:
    """Share ``width`` columns to scale, none below its floor; what does not fit makes the line longer."""
    shares = list(floors)
    rest = width - sum(floors)
    total = sum(lengths)
    if rest <= 0 or total <= 0:
        return shares
    wanted = [max(size * width / total, floor) for size, floor in zip(lengths, floors, strict=True)]
    spare = sum(wide - floor for wide, floor in zip(wanted, floors, strict=True))
    for position, (wide, floor) in enumerate(zip(wanted, floors, strict=True)):
        shares[position] += int((wide - floor) * rest / spare) if spare else 0
    shares[max(range(len(shares)), key=shares.__getitem__)] += width - sum(shares)
    return shares


def drawn(spans: Sequence[Span], width: int) -> Text:
    """Draw the line: the states' names above it, their lengths below."""
    from rich.text import Text

    floors = [max(FLOOR, len(span.state.name) + 2, len(span.told) + 2) for span in spans]
    names, line, below = Text(), Text(), Text()
    for span, columns in zip(spans, widths([span.length for span in spans], floors, width), strict=True):
        style = STYLES.get(span.state, "")
        names.append(span.state.name.ljust(columns), style)
        line.append(_piece(span, columns), style)
        below.append(span.told.ljust(columns))
    for text in (names, line, below):
        text.rstrip()
    return Text("\n").join([names, line, below])


def _piece(span: Span, columns: int) -> str:
    if span.state.final:
        return END[span.state]
    return LINE * (columns - 1) + (ON if span.current else JOINT)
