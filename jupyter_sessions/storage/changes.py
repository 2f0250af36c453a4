"""The change log's table: what is told to anybody is read from here, in order."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from jupyter_sessions.model.api import Change
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.states import State

States = tuple[State, State]
"""The old state and the new."""
KEPT_ROWS = 10_000
KEPT_NS = 7 * 86_400 * 10**9
BATCH = 500


def append(
    connection: sqlite3.Connection,
    parent: LocationName,
    session: str,
    session_uuid: str,
    states: States,
    message: str,
    time: int,
    owner: str | None = None,
) -> int:
    """Write one change inside the caller's transaction; give its sequence.

    ``owner`` is whose session it is, None in a file whose log knows no owners.
    """
    values = [str(parent), session, session_uuid, int(states[0]), int(states[1]), message, time]
    column, mark = ("", "") if owner is None else (", owner", ", ?")
    cursor = connection.execute(
        f"INSERT INTO changes (location, session, session_uuid, old_state, new_state, message, time{column}) "  # noqa: S608 - literals
        f"VALUES (?, ?, ?, ?, ?, ?, ?{mark})",
        values if owner is None else [*values, owner],
    )
    return int(cursor.lastrowid or 0)


def last(connection: sqlite3.Connection) -> int:
    """Give the newest sequence ever given, 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
    return int(row[0]) if row else 0


def pruned_to(connection: sqlite3.Connection) -> int:
    """Give the newest sequence that the log has forgotten, 0 where it is whole."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'pruned_to'").fetchone()
    return int(row[0]) if row else 0


def read(
    connection: sqlite3.Connection, after: int, parent: LocationName | None = None, owner: str | None = None
) -> Sequence[Change]:
    """Read up to BATCH changes after a sequence, in order.

    ``parent`` None reads every location's, ``owner`` None those of everybody's sessions.
    """
    whose, values = ("", []) if owner is None else (" AND owner = ?", [owner])
    rows = connection.execute(
        "SELECT location, sequence, session, session_uuid, old_state, new_state, message, time FROM changes "  # noqa: S608 - literals
        f"WHERE sequence > ? AND (? OR location = ?){whose} ORDER BY sequence LIMIT ?",
        (after, parent is None, str(parent), *values, BATCH),
    )
    return [_change(row) for row in rows]


def _change(row: Sequence[Any]) -> Change:
    location, sequence, session, uuid, old, new, message, time = row
    _, project, _, place = location.split("/")
    return Change(
        location=LocationName(project, place),
        sequence=sequence,
        session=session,
        session_uuid=uuid,
        old_state=State(old),
        new_state=State(new),
        state_message=message,
        time=time,
    )


def prune(connection: sqlite3.Connection, now: int) -> None:
    """Forget what is older than KEPT_NS or beyond the newest KEPT_ROWS, and remember up to where."""
    newest = last(connection)
    # Up to the first young one, not the last old one: an end that is noticed late is told with its own, old time.
    young = connection.execute("SELECT min(sequence) FROM changes WHERE time >= ?", (now - KEPT_NS,)).fetchone()[0]
    bound = max(newest - KEPT_ROWS, newest if young is None else int(young) - 1)
    if bound <= pruned_to(connection):
        return
    connection.execute("DELETE FROM changes WHERE sequence <= ?", (bound,))
    connection.execute("UPDATE meta SET value = ? WHERE key = 'pruned_to'", (str(bound).encode(),))
