"""The store's file: its tables, their migrations, and what makes a file ours.

Migrations only add, so that a server of an older version which has the file open goes on working. A file that is
damaged, of a newer version or not ours is never written to.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import uuid
from pathlib import Path

APPLICATION_ID = 0x4A53_4553
BUSY_TIMEOUT_MS = 20_000

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE sessions (
    uuid TEXT PRIMARY KEY,
    parent TEXT NOT NULL,
    id TEXT NOT NULL,
    state INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    final_time INTEGER,
    version INTEGER NOT NULL,
    resource TEXT NOT NULL,
    machine_id TEXT NOT NULL,
    machine_name TEXT NOT NULL,
    boot_id TEXT NOT NULL,
    pid_namespace TEXT NOT NULL,
    lock_dir TEXT NOT NULL,
    incarnation INTEGER NOT NULL DEFAULT 0,
    deleting INTEGER NOT NULL DEFAULT 0,
    limits_pending INTEGER NOT NULL DEFAULT 0,
    failing TEXT NOT NULL DEFAULT '',
    UNIQUE (parent, id)
);
CREATE INDEX sessions_order ON sessions (parent, create_time DESC, id);
CREATE INDEX sessions_state ON sessions (parent, state, create_time DESC, id);

CREATE TABLE session_labels (
    owner TEXT NOT NULL REFERENCES sessions (uuid) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE TABLE templates (
    parent TEXT NOT NULL,
    id TEXT NOT NULL,
    uuid TEXT NOT NULL UNIQUE,
    creator TEXT NOT NULL,
    create_time INTEGER NOT NULL,
    update_time INTEGER NOT NULL,
    version INTEGER NOT NULL,
    resource TEXT NOT NULL,
    PRIMARY KEY (parent, id)
);
CREATE INDEX templates_order ON templates (parent, create_time DESC, id);

CREATE TABLE template_labels (
    owner TEXT NOT NULL REFERENCES templates (uuid) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE TABLE operations (
    parent TEXT NOT NULL,
    id TEXT NOT NULL,
    type INTEGER NOT NULL,
    session TEXT NOT NULL,
    session_uuid TEXT NOT NULL,
    done INTEGER NOT NULL,
    create_time INTEGER NOT NULL,
    done_time INTEGER,
    hidden INTEGER NOT NULL DEFAULT 0,
    resource TEXT NOT NULL,
    PRIMARY KEY (parent, id)
);
CREATE INDEX operations_order ON operations (parent, create_time DESC, id);
CREATE INDEX operations_running ON operations (session_uuid, done);

CREATE TABLE operation_labels (
    owner TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (owner, key)
) WITHOUT ROWID;

CREATE TABLE requests (
    caller TEXT NOT NULL,
    parent TEXT NOT NULL,
    method TEXT NOT NULL,
    request_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (caller, parent, method, request_id)
) WITHOUT ROWID;

CREATE TABLE changes (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    location TEXT NOT NULL,
    session TEXT NOT NULL,
    session_uuid TEXT NOT NULL,
    old_state INTEGER NOT NULL,
    new_state INTEGER NOT NULL,
    message TEXT NOT NULL,
    time INTEGER NOT NULL
);
"""

MIGRATIONS: tuple[str, ...] = (_FIRST,)
"""Each takes the file from version N to N + 1; ``PRAGMA user_version`` is the number applied."""


class StoreFault(Exception):
    """The file cannot be used; the message names the path, what is wrong and what to do."""


def connect(path: Path) -> sqlite3.Connection:
    """Open one connection in autocommit mode, usable from any one thread at a time; raises sqlite3.Error."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def prepare(path: Path) -> None:
    """Make the file if there is none, bring it to this version, check that it is whole.

    Raises StoreFault, and then has changed nothing.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            # Made here, not by sqlite, so that it (and the journals that take its mode) is never readable by others.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        _keep_private(path)
        with contextlib.closing(connect(path)) as connection:
            _check_ours(connection, path)
            _migrate(connection, path)
            _check_whole(connection, path)
    except OSError as error:
        raise StoreFault(f"{path}: {error.strerror or error}. Make the directory writable for this account.") from error
    except sqlite3.OperationalError as error:
        raise StoreFault(f"{path}: {error}. Free disk space or make the file accessible.") from error
    except sqlite3.DatabaseError as error:
        raise StoreFault(_damaged(path, str(error))) from error


def _keep_private(path: Path) -> None:
    """Take from others what a careless copy may have given them; raises OSError."""
    for place, mode in ((path.parent, 0o700), (path, 0o600)):
        if place.stat().st_mode & 0o077 and (place.is_file() or mode == 0o700):
            place.chmod(mode)


def _damaged(path: Path, what: str) -> str:
    return (
        f"{path} is damaged ({what}). Nothing was changed in it. Restore it from a backup, or move it away to start "
        "with an empty list of sessions."
    )


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    version = _version(connection)
    if version > len(MIGRATIONS):
        raise StoreFault(
            f"{path} has version {version} and this program knows {len(MIGRATIONS)}: it was written by a newer "
            "jupyter_sessions. Nothing was changed in it. Upgrade jupyter_sessions in this environment."
        )
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if (tables or application) and application != APPLICATION_ID:
        raise StoreFault(
            f"{path} is a database of another program. Nothing was changed in it. Move it away, or set another data "
            "directory."
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    if _version(connection) == len(MIGRATIONS):
        return
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")
        if version == 0:
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            rows = [("store_uuid", str(uuid.uuid4()).encode()), ("hmac_key", secrets.token_bytes(32))]
            connection.executemany("INSERT INTO meta VALUES (?, ?)", [*rows, ("pruned_to", b"0")])
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    if verdict != "ok":
        raise StoreFault(_damaged(path, verdict))


def meta(connection: sqlite3.Connection, key: str) -> bytes:
    """Read one value of the ``meta`` table; raises KeyError."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    if row is None:
        raise KeyError(key)
    return bytes(row[0])
