"""What is kept of upstreams in ``upstream.db``: sessions as last seen, and changes under sequences of our own.

Several servers may share the file. Each writes what it saw in a transaction that compares first, so that a change is
logged once, and what was seen earlier never overwrites what was seen later.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jupyter_sessions.model.names import LocationName
from jupyter_sessions.storage import changes
from jupyter_sessions.storage.database import Database
from jupyter_sessions.storage.file import Schema
from jupyter_sessions.upstream.known import Known, steps

FILE = "upstream.db"
APPLICATION_ID = 0x4A53_5550
GONE_NS = 3600 * 10**9
"""For how long a deletion is remembered against lists that were begun before it, in nanoseconds."""
_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE locations (
    location TEXT PRIMARY KEY,
    listed INTEGER NOT NULL DEFAULT 0,
    sequence INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE sessions (
    location TEXT NOT NULL,
    name TEXT NOT NULL,
    seen INTEGER NOT NULL,
    resource TEXT NOT NULL,
    PRIMARY KEY (location, name)
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
CREATE INDEX changes_location ON changes (location, sequence);
"""


def _seed(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO meta VALUES ('pruned_to', ?)", (b"0",))


SCHEMA = Schema(APPLICATION_ID, (_FIRST,), _seed)


@dataclass(frozen=True)
class Written:
    """What came of an observation: the sessions as they now stand, None for one that is gone; whether it was the first
    list of the location, of which no change is told."""

    rows: Mapping[str, Known | None]
    first: bool = False


class Journal:
    """The part of one location. Every method raises Unavailable where the file cannot be used.

    ``logs`` is whether changes get sequences of ours; an upstream that has its own is only remembered.
    """

    def __init__(self, data_dir: Path, location: LocationName) -> None:
        self.database = Database(data_dir / FILE, SCHEMA)
        self._location = location
        self.logs = True
        self._whole_known = asyncio.Event()

    @property
    def whole_known(self) -> bool:
        """Whether the location was ever listed whole, as far as this server has seen."""
        return self._whole_known.is_set()

    async def when_whole(self) -> None:
        """Wait until it was."""
        await self._whole_known.wait()

    async def rows(self, names: Iterable[str] | None = None) -> Mapping[str, Known]:
        """Give the sessions as last seen, all or those named."""
        return await self.database.read(partial(_rows, self._location, None if names is None else set(names)))

    async def sequence(self) -> int:
        """Give the upstream's sequence up to which it was followed, 0 where it never was."""
        return await self.database.read(lambda c: _mark(c, self._location)[1])

    async def follow(self, sequence: int) -> None:
        """Remember up to where the upstream's own changes were followed."""

        def work(connection: sqlite3.Connection) -> None:
            _set_mark(connection, self._location, "sequence", sequence)

        await self.database.write(work)

    async def listed(self) -> bool:
        """Say whether the location was ever listed whole."""
        listed = await self.database.read(lambda c: _mark(c, self._location)[0] > 0)
        if listed:
            self._whole_known.set()
        return listed

    async def whole(self, found: Sequence[Known], started: int) -> Written:
        """Take in a whole list whose first page was asked for at ``started`` (nanoseconds since the epoch)."""
        written = await self.database.write(partial(self._whole, found, started))
        self._whole_known.set()
        return written

    async def some(self, found: Mapping[str, Known | None], started: int) -> Written:
        """Take in some sessions, None for one that is gone, as an answer to a request of ``started`` said."""
        return await self.database.write(partial(self._some, found, started))

    def _whole(self, found: Sequence[Known], started: int, connection: sqlite3.Connection) -> Written:
        first = _mark(connection, self._location)[0] == 0
        stored = _stored(connection, self._location)
        named = {known.name: known for known in found}
        missing = {name: None for name, (_, known) in stored.items() if known is not None and name not in named}
        rows = self._put(connection, stored, {**named, **missing}, started, tell=not first)
        _set_mark(connection, self._location, "listed", started)
        return Written(rows, first)

    def _some(self, found: Mapping[str, Known | None], started: int, connection: sqlite3.Connection) -> Written:
        stored = _stored(connection, self._location, set(found))
        return Written(self._put(connection, stored, found, started, tell=True))

    def _put(
        self,
        connection: sqlite3.Connection,
        stored: Mapping[str, tuple[int, Known | None]],
        found: Mapping[str, Known | None],
        started: int,
        tell: bool,
    ) -> dict[str, Known | None]:
        """Write what differs and is newer than what is there; give what then stands under each name that differs."""
        now = time.time_ns()
        told: list[tuple[int, str, str, changes.States, str, int]] = []
        rows: dict[str, Known | None] = {}
        for name, new in found.items():
            seen, old = stored.get(name, (0, None))
            if (old.essence if old else None) == (new.essence if new else None):
                continue
            rows[name] = old
            # What was seen after now was seen before the clock was set back.
            if started < seen <= now or (old is not None and new is not None and new.older_than(old)):
                continue
            rows[name] = new
            connection.execute(
                "INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)",
                (str(self._location), name, started, new.text if new else ""),
            )
            place = 0
            for was, becomes, message, when in steps(old, new, now) if tell and self.logs else ():
                uuid = old.uuid if old is not None and becomes == 0 else new.uuid if new else ""
                place = max(place, when)
                told.append((place, name, uuid, (was, becomes), message, when))
        for _, name, uuid, states, message, when in sorted(told, key=lambda row: row[0]):
            changes.append(connection, self._location, name, uuid, states, message, when)
        if told:
            changes.prune(connection, now)
        if rows:
            connection.execute("DELETE FROM sessions WHERE resource = '' AND seen < ?", (now - GONE_NS,))
        return rows


def _mark(connection: sqlite3.Connection, location: LocationName) -> tuple[int, int]:
    row = connection.execute("SELECT listed, sequence FROM locations WHERE location = ?", (str(location),)).fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


def _set_mark(connection: sqlite3.Connection, location: LocationName, column: str, value: int) -> None:
    connection.execute("INSERT OR IGNORE INTO locations (location) VALUES (?)", (str(location),))
    statements = {
        "listed": "UPDATE locations SET listed = ? WHERE location = ?",
        "sequence": "UPDATE locations SET sequence = ? WHERE location = ?",
    }
    connection.execute(statements[column], (value, str(location)))


def _stored(
    connection: sqlite3.Connection, location: LocationName, names: set[str] | None = None
) -> dict[str, tuple[int, Known | None]]:
    """Give when each session was seen and what was seen; one that is gone has None."""
    if names is not None and len(names) <= 100:
        marks = ", ".join("?" * len(names))
        rows: Iterable[Any] = connection.execute(
            f"SELECT name, seen, resource FROM sessions WHERE location = ? AND name IN ({marks})",  # noqa: S608 - question marks alone
            (str(location), *names),
        )
    else:
        rows = connection.execute("SELECT name, seen, resource FROM sessions WHERE location = ?", (str(location),))
    return {
        name: (seen, Known(json.loads(text)) if text else None)
        for name, seen, text in rows
        if names is None or name in names
    }


def _rows(location: LocationName, names: set[str] | None, connection: sqlite3.Connection) -> dict[str, Known]:
    return {name: known for name, (_, known) in _stored(connection, location, names).items() if known is not None}
