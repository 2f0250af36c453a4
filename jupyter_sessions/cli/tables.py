"""The table of sessions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_sessions.cli import output
from jupyter_sessions.cli.ends import ends_of, kernels_by_session
from jupyter_sessions.cli.words import SIGNS, STYLES, kernel_word, length, note, short
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.model.resources import Session


def sessions_table(client: SessionsClient, found: Sequence[Session], located: bool) -> Table:
    """Make the table; ``located`` shows each one's location also where all are in one."""
    active = any(one.state is State.ACTIVE for one in found)
    return fill(found, kernels_by_session(client) if active else {}, located, time.time_ns())


def fill(
    found: Sequence[Session], kernels: Mapping[str, Sequence[Mapping[str, Any]]], located: bool, now: int
) -> Table:
    """Make the table of what is known at ``now``; a column that would be empty is left out."""
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
        for column, text in cells.items():
            columns.setdefault(column, []).append(output.cell(text))
        columns["state"][-1] = state_cell(one.state)
    if not located and len({cell.plain for cell in columns["location"]}) == 1:
        del columns["location"]
    columns = {name: cells for name, cells in columns.items() if any(cell.plain for cell in cells)}
    made = output.table(tuple(columns))
    for made_column in made.columns:
        made_column.no_wrap = made_column.header in ("name", "state", "for", "kernel", "kernels", "ends", "message")
        made_column.overflow = "ellipsis" if made_column.header == "message" else "fold"
    for row in zip(*columns.values(), strict=True):
        made.add_row(*row)
    return made


def state_cell(state: State) -> Text:
    """Give a state's cell: sign, word and colour."""
    return output.cell(f"{SIGNS.get(state, '?')} {state.name}", STYLES.get(state, ""))
