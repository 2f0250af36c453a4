"""Checks where sessions are kept. Changes nothing."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from jupyter_sessions.doctor.findings import Finding, fault, warn, well
from jupyter_sessions.model.states import State
from jupyter_sessions.service import schema
from jupyter_sessions.service.store import FILE

DIRECTORY, STORE = "data directory", "store"
LEAST_FREE = 100 << 20


def check_directory(data_dir: Path) -> list[Finding]:
    """Say whether sessions' directory can be used by this account, and by no other."""
    subject = str(data_dir)
    try:
        state = data_dir.stat()
    except (FileNotFoundError, NotADirectoryError):
        return [*_new(data_dir)]
    except OSError as error:
        return [
            fault(DIRECTORY, subject, "cannot be looked into", error.strerror or "", "make it yours: chown, chmod 700")
        ]
    if not stat.S_ISDIR(state.st_mode):
        return [fault(DIRECTORY, subject, "is no directory", "", "move the file away, or set another data_dir")]
    found: list[Finding] = []
    if state.st_uid != os.geteuid():
        found.append(fault(DIRECTORY, subject, "belongs to another account", "", "set another data_dir, or chown it"))
    if state.st_mode & 0o077:
        why = f"mode {state.st_mode & 0o777:03o}: others may reach sessions' sockets and tokens"
        found.append(fault(DIRECTORY, subject, "is open to other accounts", why, f"chmod 700 {data_dir}"))
    if not os.access(data_dir, os.W_OK | os.X_OK):
        found.append(
            fault(DIRECTORY, subject, "cannot be written to", "no session can be made", f"chmod 700 {data_dir}")
        )
    return [*(found or [well(DIRECTORY, subject, "can be used by this account alone")]), *_space(data_dir)]


def _new(data_dir: Path) -> Iterator[Finding]:
    """Say whether a directory that is not there yet can be made."""
    above = next(parent for parent in data_dir.absolute().parents if parent.exists())
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        yield well(DIRECTORY, str(data_dir), "is made with the first start")
        yield from _space(above)
    else:
        yield fault(DIRECTORY, str(data_dir), f"cannot be made in {above}", "", "set another data_dir")


def _space(path: Path) -> Iterator[Finding]:
    with contextlib.suppress(OSError):
        free = shutil.disk_usage(path).free
        if free < LEAST_FREE:
            why = f"{free >> 20} MiB are free; a full disk keeps output and changes from being stored"
            yield warn(DIRECTORY, str(path), "is nearly full", why, "free some space")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open the store so that nothing can be written to it; raises sqlite3.Error."""
    with contextlib.closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5)) as connection:
        yield connection


def check_store(data_dir: Path) -> list[Finding]:
    """Say whether the store can be read, is whole, and is of a version that this program knows."""
    path = data_dir / FILE
    subject = str(path)
    if not path.exists():
        return [well(STORE, subject, "is made with the first start")]
    try:
        with reading(path) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            application = int(connection.execute("PRAGMA application_id").fetchone()[0])
            if application != schema.SCHEMA.application_id:
                remedy = "move it away, or set another data_dir"
                return [fault(STORE, subject, "is a database of another program", "", remedy)]
            if version > len(schema.MIGRATIONS):
                why = f"it has version {version}, this program knows {len(schema.MIGRATIONS)}"
                return [
                    fault(STORE, subject, "was written by a newer jupyter_sessions", why, "upgrade jupyter_sessions")
                ]
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            if verdict != "ok":
                return [_damaged(subject, verdict)]
            live = _live(connection)
    except sqlite3.OperationalError as error:
        return [fault(STORE, subject, "cannot be read now", str(error), "free disk space, or make it readable")]
    except sqlite3.DatabaseError as error:
        return [_damaged(subject, str(error))]
    return [well(STORE, subject, f"is whole; {live} session{'' if live == 1 else 's'} live", f"version {version}")]


def _damaged(subject: str, why: str) -> Finding:
    remedy = "restore it from a backup, or move it away to start with an empty list"
    return fault(STORE, subject, "is damaged", why, remedy)


def _live(connection: sqlite3.Connection) -> int:
    query = "SELECT count(*) FROM sessions WHERE state < ?"
    return int(connection.execute(query, (int(State.TERMINATED),)).fetchone()[0])
