"""A plain list as a table: kernels, locations, templates, operations."""

from __future__ import annotations

from collections.abc import Sequence

from jupyter_sessions.cli import output


def show_rows(columns: Sequence[str], rows: Sequence[Sequence[str]], nothing: str) -> None:
    """Write rows to stdout, without the columns that are empty in all; where there are none say ``nothing``."""
    if not rows:
        output.say(nothing)
        return
    kept = [index for index in range(len(columns)) if any(row[index] for row in rows)]
    made = output.table([columns[index] for index in kept])
    # A name or an id that is broken over lines cannot be copied.
    made.columns[0].no_wrap = True
    for row in rows:
        made.add_row(*(output.cell(row[index]) for index in kept))
    output.show(made)
