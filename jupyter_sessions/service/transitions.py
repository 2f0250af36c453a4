"""Changes of a session inside one transaction: the row, the change log and the operations it decides."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import Callable, Sequence

from jupyter_sessions.model import states
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.resources import RuntimeInfo, Session
from jupyter_sessions.model.states import State
from jupyter_sessions.service import operation_rows, rows
from jupyter_sessions.service.rows import SessionRow
from jupyter_sessions.storage import changes

Move = tuple[State, str, int]
"""The new state, its message, its time in nanoseconds."""
KERNELS_ENDPOINT = "Jupyter Kernels"


def begin(connection: sqlite3.Connection, row: SessionRow) -> None:
    """Write a new CREATING session and its first change."""
    rows.insert(connection, row)
    session = row.session
    log(connection, row, State.STATE_UNSPECIFIED, session.state, session.state_message, session.create_time)


def log(connection: sqlite3.Connection, row: SessionRow, old: State, new: State, message: str, time: int) -> None:
    """Append one change of a session to the log."""
    changes.append(connection, row.parent, row.session.name, row.uuid, (old, new), message, time, row.owner)


def advance(
    connection: sqlite3.Connection,
    row: SessionRow,
    moves: Sequence[Move],
    now: int,
    error: SessionsError | None = None,
    change: Callable[[Session], Session] | None = None,
) -> SessionRow:
    """Write one or more transitions of a row, each a change of the log; give the new row.

    ``change`` alters the resource beside (endpoints, usage); ``error`` ends a create that is cut short. Raises Stale.
    """
    session = row.session if change is None else change(row.session)
    told: list[tuple[State, Session]] = []
    for state, message, time in moves:
        old = session.state
        session = states.advance(session, state, message, time)
        session = session if state is State.ACTIVE else without_endpoint(session)
        told.append((old, session))
    pending = row.limits_pending or session.state is State.ACTIVE
    failing = "" if session.state.final else row.failing
    new = rows.update(
        connection, row, dataclasses.replace(row, session=session, limits_pending=pending, failing=failing)
    )
    for old, step in told:
        log(connection, new, old, step.state, step.state_message, step.state_time)
        operation_rows.settle(connection, step, max(now, step.state_time), error)
    return new


def remark(connection: sqlite3.Connection, row: SessionRow, message: str, now: int) -> SessionRow:
    """Write a new message within the state, as a change; raises Stale."""
    session = states.remark(row.session, message)
    new = rows.update(connection, row, dataclasses.replace(row, session=session))
    log(connection, new, session.state, session.state, message, now)
    return new


def remove(connection: sqlite3.Connection, row: SessionRow, now: int) -> None:
    """Remove a row, finish its operations, tell it as STATE_UNSPECIFIED; raises Stale."""
    rows.remove(connection, row)
    operation_rows.settle_removed(connection, row.session, now)
    log(connection, row, row.state, State.STATE_UNSPECIFIED, row.session.state_message, now)


def without_endpoint(session: Session) -> Session:
    """Take the kernels' address out of a session that is not ACTIVE."""
    if KERNELS_ENDPOINT not in session.runtime_info.endpoints:
        return session
    endpoints = {key: value for key, value in session.runtime_info.endpoints.items() if key != KERNELS_ENDPOINT}
    return with_info(session, session.runtime_info.model_copy(update={"endpoints": endpoints}))


def with_info(session: Session, info: RuntimeInfo) -> Session:
    """Give the session with another ``runtimeInfo``."""
    return session.model_copy(update={"runtime_info": info})
