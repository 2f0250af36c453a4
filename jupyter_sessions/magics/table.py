"""Tables: HTML in JupyterLab's own colours for notebooks, aligned text for terminals. Everything shown is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from jupyter_sessions.magics import words
from jupyter_sessions.model.resources import Session, SessionStateHistory
from jupyter_sessions.model.states import State
from jupyter_sessions.model.words import SIGNS, length, plain, short

ENDED_SHOWN = 5
"""Ended sessions that a list shows unless all are asked for."""

# A variable of JupyterLab's theme, what stands for it elsewhere, and an ANSI colour.
_COLOURS = {
    State.ACTIVE: ("--jp-success-color1", "#2e7d32", "32"),
    State.CREATING: ("--jp-info-color1", "#0277bd", "36"),
    State.TERMINATING: ("--jp-info-color1", "#0277bd", "36"),
    State.FAILED: ("--jp-error-color1", "#c62828", "31"),
}
_QUIET = ("--jp-ui-font-color2", "#616161", "2")
MUTED = f"color: var({_QUIET[0]}, {_QUIET[1]})"
"""The style of a line that is not to be in the way."""
_CELL = "padding: 2px 12px 2px 0; text-align: left; vertical-align: top; background: transparent"
_WIDEST = 60


@dataclass(frozen=True)
class Cell:
    """One cell: ``state`` gives it icon and colour, ``muted`` makes it quiet, ``title`` is shown on hover."""

    text: str
    state: State | None = None
    muted: bool = False
    title: str = ""


@dataclass(frozen=True)
class Table:
    """What is shown: rows of cells under columns, and lines of text below them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def bundle(self, colours: bool = False) -> dict[str, str]:
        """Give it as a MIME bundle."""
        return {"text/html": self.html(), "text/plain": self.plain(colours)}

    def html(self) -> str:
        """Give it as HTML; a column that no row fills is left out."""
        titles = [self.columns[n] for n in self._filled()]
        head = "".join(f'<th scope="col" style="{_CELL}; {MUTED}">{escape(title)}</th>' for title in titles)
        rows = "".join(f"<tr>{''.join(_html_cell(row[n]) for n in self._filled())}</tr>" for row in self.rows)
        notes = "".join(f'<div style="{MUTED}">{escape(note)}</div>' for note in self.notes)
        top = f"<thead><tr>{head}</tr></thead>" if any(titles) else ""
        table = f"<table>{top}<tbody>{rows}</tbody></table>" if self.rows else ""
        return f'<div style="color: var(--jp-ui-font-color1, inherit)">{table}{notes}</div>'

    def _filled(self) -> list[int]:
        return [n for n in range(len(self.columns)) if any(row[n].text for row in self.rows)]

    def plain(self, colours: bool = False) -> str:
        """Give it as lines of text; a column that no row fills is left out."""
        shown = self._filled()
        grid = [[Cell(self.columns[n].upper(), muted=True) for n in shown]] if any(self.columns) and self.rows else []
        grid += [[row[n] for n in shown] for row in self.rows]
        texts = [[_plain_cell(cell) for cell in line] for line in grid]
        widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
        lines = []
        for line, written in zip(grid, texts, strict=True):
            cells = [text.ljust(width) for text, width in zip(written, widths, strict=True)]
            if colours:
                cells = [_painted(text, cell) for text, cell in zip(cells, line, strict=True)]
            lines.append("  ".join(cells).rstrip())
        return "\n".join([*lines, *map(plain, self.notes)])


def _html_cell(cell: Cell) -> str:
    style = _CELL
    if cell.state is not None:
        name, fallback, _ = _COLOURS.get(cell.state, _QUIET)
        style += f"; color: var({name}, {fallback}); white-space: nowrap"
    elif cell.muted:
        style += f"; {MUTED}"
    title = f' title="{escape(cell.title)}"' if cell.title else ""
    icon = f'<span aria-hidden="true">{SIGNS[cell.state]}</span> ' if cell.state is not None else ""
    return f'<td style="{style}"{title}>{icon}{escape(cell.text)}</td>'


def _plain_cell(cell: Cell) -> str:
    text = "".join(sign if sign.isprintable() else " " for sign in cell.text)
    icon = f"{SIGNS[cell.state]} " if cell.state is not None else ""
    return icon + (text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…")


def _painted(text: str, cell: Cell) -> str:
    if cell.state is None and not cell.muted:
        return text
    code = (_COLOURS.get(cell.state, _QUIET) if cell.state is not None else _QUIET)[2]
    return f"\x1b[{code}m{text}\x1b[0m"


def sessions(found: Sequence[Session], now: int, *, attached: str = "", all_ended: bool = False) -> Table:
    """Make the table of sessions: live ones first, then those that ended, both newest first.

    ``now`` is nanoseconds since the epoch, ``attached`` the full name of the session that ``%%session`` uses.
    """
    live = [one for one in found if not one.state.final]
    ended = sorted((one for one in found if one.state.final), key=lambda one: -one.state_time)
    shown = [*live, *(ended if all_ended else ended[:ENDED_SHOWN])]
    several = len({one.name.rpartition("/sessions/")[0] for one in found}) > 1
    notes = []
    if not found:
        notes.append("There is no session. Make one: %session create NAME")
    if len(shown) < len(live) + len(ended):
        notes.append(f"{len(live) + len(ended) - len(shown)} more have ended: %session list --all")
    if attached and any(one.name == attached for one in shown):
        notes.append(f"%%session uses {short(attached)} (*) unless it names another.")
    columns = ("session", "state", "for", "ends", "labels", "location", "message")
    return Table(columns, tuple(_session_row(one, now, attached, several) for one in shown), tuple(notes))


def _session_row(one: Session, now: int, attached: str, several: bool) -> tuple[Cell, ...]:
    place = one.name.rpartition("/sessions/")[0].replace("projects/", "").replace("/locations/", "/")
    display = one.jupyter_session.display_name if one.jupyter_session else ""
    return (
        Cell(short(one.name) + (" *" if one.name == attached else ""), title=display or one.name),
        Cell(one.state.name, one.state),
        Cell(words.for_how_long(one, now), title=words.clock(one.state_time)),
        Cell(words.end(one, now), muted=True),
        Cell(words.labels(one), muted=True),
        Cell(place if several else "", muted=True),
        Cell(one.state_message, muted=True),
    )


def history(past: Sequence[SessionStateHistory], now: int) -> Table:
    """Make the table of the states that a session went through; the last one goes on, unless it is final."""
    ends = [later.state_start_time for later in past[1:]] + [now]
    rows = []
    for entry, until in zip(past, ends, strict=True):
        lasted = "" if entry.state.final else length(until - entry.state_start_time)
        start = Cell(words.clock(entry.state_start_time), muted=True)
        rows.append((start, Cell(entry.state.name, entry.state), Cell(lasted), Cell(entry.state_message, muted=True)))
    return Table(("since", "state", "for", "message"), tuple(rows))


def facts(rows: Sequence[tuple[str, Cell]], notes: Sequence[str] = ()) -> Table:
    """Make a table of names and values; those without a value are left out."""
    kept = [(Cell(name, muted=True), cell) for name, cell in rows if cell.text]
    return Table(("", ""), tuple(kept), tuple(notes))
