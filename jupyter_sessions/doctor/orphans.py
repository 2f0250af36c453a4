"""Looks for what belongs to no session, and for sessions whose host is gone. Changes nothing."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jupyter_sessions.doctor.findings import Finding, fault, warn, well
from jupyter_sessions.doctor.storage import reading
from jupyter_sessions.engines.process import marked
from jupyter_sessions.engines.process.files import lock_is_held
from jupyter_sessions.model.hostfile import HOST_LOCK, HostProcess, UnknownVersion, read
from jupyter_sessions.model.states import State
from jupyter_sessions.service import schema
from jupyter_sessions.service.directories import Directories
from jupyter_sessions.service.machine import Machine, Place, place, this_machine
from jupyter_sessions.service.store import FILE

CHECK = "orphans"
START = "start a Jupyter server here"
SETTLE = 2.0
"""Seconds after which a host that seems gone is looked for again: a running server notes an end each second."""


@dataclass(frozen=True)
class _Row:
    """What the store knows of a session."""

    id: str
    state: int
    machine: Machine
    lock_dir: Path


def check_orphans(data_dir: Path) -> list[Finding]:
    """Compare the store's rows with processes, directories and locks, in both directions."""
    path = data_dir / FILE
    if not path.exists():
        return []
    try:
        with reading(path) as connection:
            identity = schema.meta(connection, "store_uuid").decode()
            # Processes and directories first: a session that is made meanwhile has its row before them.
            processes = list(marked.scan(f"{identity}/"))
            directories = Directories(data_dir, identity)
            left = list(directories.leftovers(()))
            rows = _rows(connection)
        found = [*_processes(processes, rows), *_left(directories, left, rows), *_gone(path, rows)]
    except (sqlite3.Error, KeyError, OSError) as error:
        return [warn(CHECK, str(path), "whether sessions left something behind is not known", str(error))]
    return found or [well(CHECK, "", "each process and directory belongs to a session, and each session has its host")]


def _rows(connection: sqlite3.Connection) -> dict[str, _Row]:
    query = "SELECT uuid, id, state, machine_id, boot_id, machine_name, pid_namespace, lock_dir FROM sessions"
    return {
        str(row[0]): _Row(str(row[1]), int(row[2]), Machine(*map(str, row[3:7])), Path(str(row[7])))
        for row in connection.execute(query)
    }


def _processes(processes: list[marked.Process], rows: Mapping[str, _Row]) -> Iterator[Finding]:
    lost: dict[str, list[int]] = {}
    for process in processes:
        uuid = process.mark.split("/")[1]
        over = uuid not in rows or rows[uuid].state >= int(State.TERMINATED)
        if over and marked.start_time(process.pid) == process.started:
            lost.setdefault(uuid, []).append(process.pid)
    for uuid, pids in sorted(lost.items()):
        listed = " ".join(map(str, sorted(pids)))
        why = f"the session {rows[uuid].id} has ended" if uuid in rows else "the session is not in the store"
        remedy = f"{START}, which ends what belongs to no session; or: kill {listed}"
        what = f"process{'' if len(pids) == 1 else 'es'} {listed} still run"
        yield fault(CHECK, f"session {uuid}", f"{what}{'s' if len(pids) == 1 else ''}", why, remedy)


def _left(directories: Directories, left: list[str], rows: Mapping[str, _Row]) -> Iterator[Finding]:
    for uuid in sorted(uuid for uuid in left if uuid not in rows):
        directory = directories.of(uuid)
        pid = _host(directory)
        if pid is not None:
            remedy = f"{START}, which ends it; or: kill {pid}"
            yield fault(CHECK, str(directory), f"its host {pid} runs", "the session is not in the store", remedy)
        else:
            remedy = f"{START}, which removes it; or: rm -r {directory}"
            yield warn(CHECK, str(directory), "belongs to no session", "the session is not in the store", remedy)


def _host(directory: Path) -> int | None:
    """Give the process id of a host that lives in a directory."""
    with contextlib.suppress(OSError, ValueError, UnknownVersion):
        host = read(directory, HostProcess)
        if host is not None and lock_is_held(directory / HOST_LOCK):
            return host.pid
    return None


def _gone(path: Path, rows: Mapping[str, _Row]) -> Iterator[Finding]:
    """Name sessions that the store calls ACTIVE and that have no host, unless it says so a moment later."""
    suspects = _without_host(rows)
    if suspects:
        time.sleep(SETTLE)
        with reading(path) as connection:
            suspects = [uuid for uuid in suspects if uuid in _without_host(_rows(connection))]
    for uuid in suspects:
        remedy = f"{START} with this data directory: it marks the session FAILED, and it can be deleted"
        why = "no server runs that would have noted its end, or that server hangs"
        yield fault(CHECK, f"session {rows[uuid].id}", "is ACTIVE in the store, and its host is gone", why, remedy)


def _without_host(rows: Mapping[str, _Row]) -> list[str]:
    here = this_machine()
    found = []
    for uuid, row in sorted(rows.items()):
        if row.state == int(State.ACTIVE):
            where = place(here, row.machine)
            near = where in (Place.HERE, Place.SIBLING)
            if where is Place.REBOOTED or (near and not lock_is_held(row.lock_dir / HOST_LOCK)):
                found.append(uuid)
    return found
