"""The store's file: its tables and their migrations."""

from __future__ import annotations

import secrets
import sqlite3
import uuid
from pathlib import Path

from jupyter_sessions.storage import file
from jupyter_sessions.storage.file import Schema, StoreFault, connect, meta

__all__ = ["MIGRATIONS", "SCHEMA", "StoreFault", "connect", "meta", "prepare"]

APPLICATION_ID = 0x4A53_4553

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

# Whose each thing is. A row that an older program writes has no owner here: a private service lists it to admins only.
# A resource that is no JSON is left to whoever reads it; it must not keep the file from being opened.
_OWNERS = """
ALTER TABLE sessions ADD COLUMN owner TEXT NOT NULL DEFAULT '';
UPDATE sessions SET owner = CASE WHEN json_valid(resource)
    THEN coalesce(json_extract(resource, '$.user'), json_extract(resource, '$.creator'), '') ELSE '' END;
CREATE INDEX sessions_owner ON sessions (parent, owner, create_time DESC, id);
CREATE INDEX templates_creator ON templates (parent, creator, create_time DESC, id);
ALTER TABLE operations ADD COLUMN owner TEXT NOT NULL DEFAULT '';
UPDATE operations SET owner = coalesce((SELECT s.owner FROM sessions s WHERE s.uuid = session_uuid), '');
CREATE INDEX operations_owner ON operations (parent, owner, create_time DESC, id);
ALTER TABLE changes ADD COLUMN owner TEXT NOT NULL DEFAULT '';
UPDATE changes SET owner = coalesce((SELECT s.owner FROM sessions s WHERE s.uuid = session_uuid), '');
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _OWNERS)


def _seed(connection: sqlite3.Connection) -> None:
    rows = [("store_uuid", str(uuid.uuid4()).encode()), ("hmac_key", secrets.token_bytes(32))]
    connection.executemany("INSERT INTO meta VALUES (?, ?)", [*rows, ("pruned_to", b"0")])


SCHEMA = Schema(APPLICATION_ID, MIGRATIONS, _seed)


def prepare(path: Path) -> None:
    """Make the store's file if there is none, bring it to this version, check that it is whole; raises StoreFault."""
    file.prepare(path, SCHEMA)
