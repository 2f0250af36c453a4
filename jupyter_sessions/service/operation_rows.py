"""Operation rows, the request ids that lead to them, and how a session's transitions finish them."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_sessions.model import operations
from jupyter_sessions.model.errors import Aborted, Internal, SessionsError
from jupyter_sessions.model.names import LocationName, OperationName
from jupyter_sessions.model.resources import Operation, OperationType, Session
from jupyter_sessions.model.states import State
from jupyter_sessions.service import rows, stored

Begin = Callable[[sqlite3.Connection], Operation]
"""Writes an operation inside a transaction."""


@dataclass(frozen=True)
class Request:
    """What makes a call the same call again: the caller, the location, the method and the request id."""

    caller: str
    parent: LocationName
    method: str
    id: str


def begin(
    connection: sqlite3.Connection, parent: LocationName, kind: OperationType, session: Session, now: int
) -> Operation:
    """Write a new running operation on ``session``, owned by the session's owner."""
    operation_id = str(uuid.uuid4())
    operation = operations.begin(OperationName(parent, operation_id), session, kind, now)
    metadata = operation.metadata
    connection.execute(
        "INSERT INTO operations (parent, id, type, session, session_uuid, done, create_time, resource, owner) "
        "VALUES (?, ?, ?, ?, ?, 0, ?, ?, ?)",
        (
            str(parent),
            operation_id,
            int(kind),
            session.name,
            session.uuid,
            metadata.create_time,
            stored.text(operation),
            rows.owner_of(session),
        ),
    )
    rows.write_labels(connection, "operation", operation_id, metadata.labels)
    return operation


_FOUND = "parent = ? AND id = ? AND hidden = 0 AND (? IS NULL OR owner = ?)"


def find(
    connection: sqlite3.Connection, parent: LocationName, operation_id: str, owner: str | None = None
) -> Operation | None:
    """Read an operation that was not deleted, None where there is none; ``owner`` None reads anybody's."""
    query = f"SELECT resource FROM operations WHERE {_FOUND}"  # noqa: S608 - a literal of this module
    found = connection.execute(query, (str(parent), operation_id, owner, owner)).fetchone()
    return None if found is None else stored.operation(str(found[0]))


def running(connection: sqlite3.Connection, session_uuid: str) -> list[Operation]:
    """Read a session's running operations that were not deleted, oldest first."""
    found = connection.execute(
        "SELECT resource FROM operations WHERE session_uuid = ? AND done = 0 AND hidden = 0 ORDER BY create_time",
        (session_uuid,),
    )
    return [stored.operation(str(row[0])) for row in found]


def hide(connection: sqlite3.Connection, parent: LocationName, operation_id: str, owner: str | None = None) -> bool:
    """Forget an operation for everybody but its request id; False where there is none (of ``owner``'s, if named)."""
    query = f"UPDATE operations SET hidden = 1 WHERE {_FOUND}"  # noqa: S608 - as above
    return connection.execute(query, (str(parent), operation_id, owner, owner)).rowcount == 1


def finish(
    connection: sqlite3.Connection, operation: Operation, result: Session | SessionsError, now: int
) -> Operation:
    """Write an operation's end."""
    if isinstance(result, SessionsError):
        done = operations.fail(operation, result, now)
    else:
        done = operations.succeed(operation, result, now)
    connection.execute(
        "UPDATE operations SET done = 1, done_time = ?, resource = ? WHERE id = ? AND done = 0",
        (done.metadata.done_time, stored.text(done), done.name.rpartition("/")[2]),
    )
    return done


def settle(connection: sqlite3.Connection, session: Session, now: int, error: SessionsError | None = None) -> None:
    """Finish what a session's new state decides: called in the transaction that wrote it.

    ``error`` is how a create ends that was cut short, by default ABORTED.
    """
    found = connection.execute(
        "SELECT resource FROM operations WHERE session_uuid = ? AND done = 0", (session.uuid,)
    ).fetchall()
    for row in found:
        operation = stored.operation(str(row[0]))
        result = _result(session, operation.metadata.operation_type, error)
        if result is not None:
            finish(connection, operation, result, now)


def _result(session: Session, kind: OperationType, error: SessionsError | None) -> Session | SessionsError | None:
    if session.state is State.FAILED and kind is not OperationType.DELETE:
        return Internal(session.state_message)
    if kind is OperationType.CREATE and session.state in (State.TERMINATING, State.TERMINATED):
        return error or Aborted(session.state_message)
    if kind is OperationType.CREATE and session.state is State.ACTIVE:
        return session
    if kind is OperationType.TERMINATE and session.state is State.TERMINATED:
        return session
    return None


def settle_removed(connection: sqlite3.Connection, session: Session, now: int) -> None:
    """Finish the operations of a session whose row is removed in the same transaction."""
    for row in connection.execute(
        "SELECT resource FROM operations WHERE session_uuid = ? AND done = 0", (session.uuid,)
    ).fetchall():
        finish(connection, stored.operation(str(row[0])), session, now)


def answered(connection: sqlite3.Connection, request: Request) -> Operation | None:
    """Give the operation that the same call was answered with before, None for a first call or without an id."""
    if not request.id:
        return None
    found = connection.execute(
        "SELECT o.resource FROM requests r JOIN operations o ON o.parent = r.parent AND o.id = r.operation "
        "WHERE r.caller = ? AND r.parent = ? AND r.method = ? AND r.request_id = ?",
        (request.caller, str(request.parent), request.method, request.id),
    ).fetchone()
    return None if found is None else stored.operation(str(found[0]))


def remember(connection: sqlite3.Connection, request: Request, operation: Operation, now: int) -> None:
    """Write down what a call was answered with; without a request id nothing."""
    if request.id:
        connection.execute(
            "INSERT OR REPLACE INTO requests VALUES (?, ?, ?, ?, ?, ?)",
            (
                request.caller,
                str(request.parent),
                request.method,
                request.id,
                operation.name.rpartition("/")[2],
                now,
            ),
        )
