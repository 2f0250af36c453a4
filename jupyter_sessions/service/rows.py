"""Session rows: what the store knows of a session beside the resource, and the compare-and-swap that changes it."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_sessions.model.errors import Internal
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.service import stored
from jupyter_sessions.service.machine import Machine

log = logging.getLogger(__name__)
_COLUMNS = (
    "uuid, resource, version, machine_id, boot_id, machine_name, pid_namespace, lock_dir, incarnation, deleting, "
    "limits_pending, failing"
)


class Stale(Exception):
    """The row changed, or went, since it was read: read it again and decide anew."""


def owner_of(session: Session) -> str:
    """Give whose session it is."""
    return session.user or session.creator


@dataclass(frozen=True)
class SessionRow:
    """One session as stored.

    ``deleting``: to be removed once it has ended. ``limits_pending``: the host has not been handed its limits.
    ``failing``: a CREATING session that shall fail with these words once nothing of it is left.
    """

    session: Session
    machine: Machine
    lock_dir: Path
    version: int = 1
    incarnation: int = 0
    deleting: bool = False
    limits_pending: bool = False
    failing: str = ""

    @property
    def uuid(self) -> str:
        """The session's uuid."""
        return self.session.uuid

    @property
    def owner(self) -> str:
        """Whose session it is: its ``user``, who is its creator unless an admin made it for somebody else."""
        return owner_of(self.session)

    @property
    def state(self) -> State:
        """The session's state."""
        return self.session.state

    @property
    def id(self) -> str:
        """The last part of the session's name."""
        return self.session.name.rpartition("/")[2]

    @property
    def parent(self) -> LocationName:
        """The session's location."""
        _, project, _, location, *_ = self.session.name.split("/")
        return LocationName(project, location)

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do for it."""
        return self.state.final and not self.deleting


def _row(values: Sequence[object]) -> SessionRow:
    _, resource, version, machine_id, boot, name, namespace, lock_dir, incarnation, deleting, pending, failing = values
    return SessionRow(
        session=stored.session(str(resource)),
        machine=Machine(str(machine_id), str(boot), str(name), str(namespace)),
        lock_dir=Path(str(lock_dir)),
        version=int(str(version)),
        incarnation=int(str(incarnation)),
        deleting=bool(deleting),
        limits_pending=bool(pending),
        failing=str(failing),
    )


def find(connection: sqlite3.Connection, parent: LocationName, session_id: str) -> SessionRow | None:
    """Read the row of a session's name, None where there is none."""
    return _one(connection, "parent = ? AND id = ?", (str(parent), session_id))


def find_uuid(connection: sqlite3.Connection, uuid: str) -> SessionRow | None:
    """Read the row of a session's uuid, None where there is none."""
    return _one(connection, "uuid = ?", (uuid,))


def _one(connection: sqlite3.Connection, where: str, values: Sequence[str]) -> SessionRow | None:
    query = f"SELECT {_COLUMNS} FROM sessions WHERE {where}"  # noqa: S608 - literals of this module
    found = connection.execute(query, values).fetchone()
    return None if found is None else _row(found)


def find_uuids(connection: sqlite3.Connection, wanted: Collection[str]) -> dict[str, SessionRow | None]:
    """Read the rows of several uuids, None where there is none; one that cannot be read is logged and left out."""
    found: dict[str, SessionRow | None] = {}
    for uuid in wanted:
        with _leaving(uuid):
            found[uuid] = find_uuid(connection, uuid)
    return found


def unsettled(connection: sqlite3.Connection, parent: LocationName) -> list[SessionRow]:
    """Read every row of a location that is live or to be deleted; one that cannot be read is logged and left."""
    return _some(connection, "parent = ? AND (state < ? OR deleting = 1)", (str(parent), int(State.TERMINATED)))


def ended_before(connection: sqlite3.Connection, parent: LocationName, time: int, most: int) -> list[SessionRow]:
    """Read up to ``most`` rows that ended before ``time``, oldest first; one that cannot be read is logged and left."""
    where = "parent = ? AND state >= ? AND deleting = 0 AND final_time < ? ORDER BY final_time LIMIT ?"
    return _some(connection, where, (str(parent), int(State.TERMINATED), time, most))


def _some(connection: sqlite3.Connection, where: str, values: Sequence[str | int]) -> list[SessionRow]:
    found: list[SessionRow] = []
    query = f"SELECT {_COLUMNS} FROM sessions WHERE {where}"  # noqa: S608 - as above
    for row in connection.execute(query, values):
        with _leaving(row[0]):
            found.append(_row(row))
    return found


@contextlib.contextmanager
def _leaving(uuid: str) -> Iterator[None]:
    """Log a row that cannot be read and go on with the next."""
    try:
        yield
    except Internal as error:
        log.error("session %s is left as it is: %s", uuid, error)


def count_live(connection: sqlite3.Connection, parent: LocationName, owner: str | None = None) -> int:
    """Count the sessions of a location that are not in a final state; ``owner`` None counts everybody's."""
    query = "SELECT count(*) FROM sessions WHERE parent = ? AND state < ? AND (? IS NULL OR owner = ?)"
    return int(connection.execute(query, (str(parent), int(State.TERMINATED), owner, owner)).fetchone()[0])


def uuids(connection: sqlite3.Connection) -> set[str]:
    """Give the uuids of all sessions of all locations."""
    return {str(row[0]) for row in connection.execute("SELECT uuid FROM sessions")}


def insert(connection: sqlite3.Connection, row: SessionRow) -> None:
    """Write a new row; raises sqlite3.IntegrityError where its name is taken."""
    values = {"uuid": row.uuid, "parent": str(row.parent), "id": row.id, "owner": row.owner, **_values(row)}
    names = ", ".join(values)
    marks = ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO sessions ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608 - as above
    write_labels(connection, "session", row.uuid, row.session.labels)


def _values(row: SessionRow) -> dict[str, object]:
    final = row.session.state_time if row.state.final else None
    return {
        "state": int(row.state),
        "create_time": row.session.create_time,
        "final_time": final,
        "version": row.version,
        "resource": stored.text(row.session),
        "machine_id": row.machine.id,
        "machine_name": row.machine.name,
        "boot_id": row.machine.boot,
        "pid_namespace": row.machine.pid_namespace,
        "lock_dir": str(row.lock_dir),
        "incarnation": row.incarnation,
        "deleting": int(row.deleting),
        "limits_pending": int(row.limits_pending),
        "failing": row.failing,
    }


def update(connection: sqlite3.Connection, old: SessionRow, new: SessionRow) -> SessionRow:
    """Replace ``old`` by ``new`` if it is still what is stored; give ``new`` with its version; raises Stale."""
    new = dataclasses.replace(new, version=old.version + 1)
    values = _values(new)
    assignments = ", ".join(f"{name} = ?" for name in values)
    cursor = connection.execute(
        f"UPDATE sessions SET {assignments} WHERE uuid = ? AND version = ?",  # noqa: S608 - as above
        (*values.values(), old.uuid, old.version),
    )
    if cursor.rowcount != 1:
        raise Stale(old.uuid)
    if new.session.labels != old.session.labels:
        write_labels(connection, "session", new.uuid, new.session.labels)
    return new


def remove(connection: sqlite3.Connection, row: SessionRow) -> None:
    """Remove a row that is still what was read; raises Stale."""
    cursor = connection.execute("DELETE FROM sessions WHERE uuid = ? AND version = ?", (row.uuid, row.version))
    if cursor.rowcount != 1:
        raise Stale(row.uuid)


def write_labels(connection: sqlite3.Connection, kind: str, owner: str, labels: Mapping[str, str]) -> None:
    """Replace the indexed labels of one ``session``, ``template`` or ``operation``."""
    connection.execute(f"DELETE FROM {kind}_labels WHERE owner = ?", (owner,))  # noqa: S608 - one of three literals
    connection.executemany(
        f"INSERT INTO {kind}_labels VALUES (?, ?, ?)",  # noqa: S608 - one of three literals
        [(owner, key, value) for key, value in labels.items()],
    )
