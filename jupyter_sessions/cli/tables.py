"""The table of sessions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_sessions.cli import output
from jupyter_sessions.cli.ends import ends_of, kernels_by_session
from jupyter_sessions.cli.words import STYLES, kernel_word, note
from jupyter_sessions.model.states import State
from jupyter_sessions.model.words import SIGNS, length, short

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.model.resources import Session


LESSER = ("kernel", "kernels", "labels", "location", "ends", "message")
"""Columns that a narrow terminal does without, in this order."""
ELASTIC = {"name": 12, "message": 16, "labels": 12}
"""Columns that may be cut, to no less than so many letters."""
GAP = 3


def sessions_table(
    client: SessionsClient, found: Sequence[Session], located: bool, away: Mapping[str, str]
) -> tuple[Table, str]:
    """Make the table, and say what it lacks; ``located`` shows each one's location also where all are in one."""
    active = any(one.state is State.ACTIVE for one in found)
    return fill(found, kernels_by_session(client) if active else {}, located, time.time_ns(), away)


def fill(
    found: Sequence[Session],
    kernels: Mapping[str, Sequence[Mapping[str, Any]]],
    located: bool,
    now: int,
    away: Mapping[str, str] = {},
) -> tuple[Table, str]:
    """Make the table of what is known at ``now``, and say what it has no room for, ``""`` where it has for all.

    A column that would be empty is left out. ``away``: what stands beside the sessions of a location that does not
    answer, in place of their message and of their end, which is not known.
    """
    columns: dict[str, list[Text]] = {}
    for one in found:
        own = kernels.get(one.name, ())
        cells = {
            "name": short(one.name),
            "state": "",
            "for": length(now - one.state_time),
            "kernel": kernel_word(one),
            "kernels": str(len(own) or ""),
            "ends": ends_of(one, own).word(now),
            "location": one.name.partition("/sessions/")[0].removeprefix("projects/").replace("/locations/", "/"),
            "labels": " ".join(f"{key}={value}" for key, value in sorted(one.labels.items())),
            "message": note(one),
        }
        mark = away.get(one.name.partition("/sessions/")[0], "")
        if mark and not one.state.final:
            cells.update(ends="", message=mark)
        for name, text in cells.items():
            columns.setdefault(name, []).append(output.cell(text))
        columns["state"][-1] = state_cell(one.state)
    if not located and len({cell.plain for cell in columns["location"]}) == 1:
        del columns["location"]
    columns = {name: cells for name, cells in columns.items() if any(cell.plain for cell in cells)}
    kept = fitting(columns, output.width())
    made = output.table(tuple(kept))
    for column, wide in zip(made.columns, kept.values(), strict=True):
        column.no_wrap, column.overflow, column.width = True, "ellipsis", wide
    for row in zip(*(columns[name] for name in kept), strict=True):
        made.add_row(*row)
    return made, lacking([name for name in columns if name not in kept])


def lacking(names: Sequence[str]) -> str:
    """Say which columns a narrow terminal does without, and where they are; ``""`` for none."""
    return f"no room for {', '.join(names)}: widen the terminal, or add -o yaml" if names else ""


def fitting(columns: Mapping[str, Sequence[Text]], width: int) -> dict[str, int]:
    """Give the columns that ``width`` has room for, each with its width.

    The least important go first; of those that may be cut each has its least, and what is left over.
    """
    natural = {name: max(len(name), *(cell.cell_len for cell in cells)) for name, cells in columns.items()}
    kept = {name: min(wide, ELASTIC.get(name, wide)) for name, wide in natural.items()}
    for name in LESSER:
        if sum(kept.values()) + GAP * (len(kept) - 1) <= width:
            break
        kept.pop(name, None)
    spare = width - sum(kept.values()) - GAP * (len(kept) - 1)
    for name in (name for name in ELASTIC if name in kept and spare > 0):
        more = min(natural[name] - kept[name], spare)
        kept[name] += more
        spare -= more
    return kept


def state_cell(state: State) -> Text:
    """Give a state's cell: sign, word and colour."""
    return output.cell(f"{SIGNS[state]} {state.name}", STYLES.get(state, ""))
