"""One sqlite file: what makes it ours, its migrations, and how a connection to it is opened.

Migrations only add, so that a server of an older version which has the file open goes on working. A file that is
damaged, of a newer version or not ours is never written to.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

BUSY_TIMEOUT_MS = 20_000


@dataclass(frozen=True)
class Schema:
    """What one kind of file holds.

    Each of ``migrations`` takes it from version N to N + 1 (``PRAGMA user_version`` is the number applied);
    ``application_id`` marks the file; ``seed`` writes the first rows, in the transaction of the first migration.
    """

    application_id: int
    migrations: Sequence[str]
    seed: Callable[[sqlite3.Connection], object] = id


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


def prepare(path: Path, schema: Schema) -> None:
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
            _check_ours(connection, path, schema)
            _migrate(connection, schema)
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


def _check_ours(connection: sqlite3.Connection, path: Path, schema: Schema) -> None:
    version = _version(connection)
    if version > len(schema.migrations):
        raise StoreFault(
            f"{path} has version {version} and this program knows {len(schema.migrations)}: it was written by a newer "
            "jupyter_sessions. Nothing was changed in it. Upgrade jupyter_sessions in this environment."
        )
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    tables = int(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if (tables or application) and application != schema.application_id:
        raise StoreFault(
            f"{path} is a database of another program. Nothing was changed in it. Move it away, or set another data "
            "directory."
        )


def _migrate(connection: sqlite3.Connection, schema: Schema) -> None:
    if _version(connection) == len(schema.migrations):
        return
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _version(connection)
        for number, script in enumerate(schema.migrations[version:], start=version + 1):
            for statement in filter(str.strip, script.split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")
        if version == 0:
            connection.execute(f"PRAGMA application_id={schema.application_id}")
            schema.seed(connection)
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
