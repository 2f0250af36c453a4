"""What outlives the server: its remote kernels and the notebook sessions on them, in a small SQLite file.

Read once, before the server listens; written by one thread, off the event loop. Memory is the truth while the
server runs: a write that fails is logged and costs no kernel, a damaged file is put aside.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_sessions.kernels.offers import to_remember
from jupyter_sessions.kernels.registry import Registry, What
from jupyter_sessions.kernels.remote_kernel import UNKNOWN, RemoteKernel, parse_time, utcnow
from jupyter_sessions.kernels.starts import Asked
from jupyter_sessions.model.api import KernelHost, OfferedKernel
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.names import parse_session
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.model.api import Unsubscribe

log = logging.getLogger(__name__)

FILE = "kernels.sqlite"
READ_TIMEOUT = 0.5
"""Seconds the start waits for another server's write."""
WRITE_TIMEOUT = 10.0

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS kernel (kernel_id TEXT PRIMARY KEY, name TEXT NOT NULL, host_kernel TEXT NOT NULL, "
    "session_uuid TEXT NOT NULL, session TEXT NOT NULL, spec TEXT NOT NULL, cwd TEXT NOT NULL, started TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS notebook_session (root_dir TEXT NOT NULL, session_id TEXT NOT NULL, path TEXT, "
    "name TEXT, type TEXT, kernel_id TEXT NOT NULL, PRIMARY KEY (root_dir, session_id))",
    # Tables of their own: an older server goes on writing the two above.
    "CREATE TABLE IF NOT EXISTS at_gateway (kernel_id TEXT PRIMARY KEY, host_id TEXT NOT NULL, "
    "legacy INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS asked (kernel_id TEXT PRIMARY KEY, session_uuid TEXT NOT NULL, "
    "host_kernel TEXT NOT NULL, at TEXT NOT NULL, before TEXT NOT NULL, cancelled INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS offered (session_uuid TEXT PRIMARY KEY, session TEXT NOT NULL, "
    "display_name TEXT NOT NULL, kernels TEXT NOT NULL)",
)

# Only the server that starts a kernel knows its folder: one that adopts it leaves what is written.
_KEEP_KERNEL = (
    "INSERT INTO kernel VALUES (?,?,?,?,?,?,?,?) "
    "ON CONFLICT (kernel_id) DO UPDATE SET cwd = excluded.cwd WHERE excluded.cwd != ''"
)

_MOVE_KERNEL = "UPDATE kernel SET session_uuid = ?, session = ? WHERE kernel_id = ?"


@dataclass(frozen=True)
class NotebookRow:
    """Jupyter's own record of which document runs on which kernel; the fields are Jupyter Server's columns."""

    session_id: str
    path: str | None
    name: str | None
    type: str | None
    kernel_id: str


class Records:
    """The file in ``folder``, for the server whose files lie in ``root_dir`` (its real path tells servers apart)."""

    def __init__(self, folder: Path, root_dir: str) -> None:
        self._path = folder / FILE
        self._root = os.path.realpath(root_dir)
        self._writer = ThreadPoolExecutor(1, "jupyter-sessions-kernels")
        self._offered: dict[str, tuple[str, str, str]] = {}

    def load(self) -> tuple[list[RemoteKernel], list[NotebookRow]]:
        """Give what was kept: every remote kernel, ``unknown`` as yet, and this root's notebook sessions.

        Blocks, for milliseconds. Never raises for the file's sake: one that cannot be read counts as empty.
        """
        if not self._path.is_file():
            return [], []
        try:
            with self._open(READ_TIMEOUT) as database:
                kernels = database.execute(
                    "SELECT kernel_id, name, host_kernel, session_uuid, session, spec, cwd, started "
                    "FROM kernel ORDER BY started, kernel_id"
                ).fetchall()
                places = _places(database)
                rows = database.execute(
                    "SELECT session_id, path, name, type, kernel_id FROM notebook_session WHERE root_dir = ?",
                    (self._root,),
                ).fetchall()
        except (sqlite3.Error, OSError) as error:
            self._damaged(error)
            return [], []
        found = [_kernel(row, places) for row in kernels]
        return [kernel for kernel in found if kernel is not None], [NotebookRow(*row) for row in rows]

    def load_asked(self) -> list[Asked]:
        """Give the starts that a last server asked of gateways and had no answer to; blocks and raises as ``load``."""
        if not self._path.is_file():
            return []
        try:
            with self._open(READ_TIMEOUT) as database:
                return _asked(database)
        except (sqlite3.Error, OSError, ValueError) as error:
            log.warning("the starts under way cannot be read in %s: %s", self._path, error)
            return []

    def load_offered(self) -> list[KernelHost]:
        """Give what sessions offered, as hosts without an address; blocks and raises as ``load``."""
        if not self._path.is_file():
            return []
        try:
            with self._open(READ_TIMEOUT) as database:
                found = _offered(database)
        except (sqlite3.Error, OSError, ValueError, TypeError, SessionsError) as error:
            log.warning("what sessions offer cannot be read in %s: %s", self._path, error)
            return []
        self._offered = {host.session_uuid: _offer_values(host) for host in found}
        return found

    def ask(self, asked: Asked) -> None:
        """Keep a start that is asked of a gateway."""
        row = (asked.kernel_id, asked.session_uuid, asked.host_kernel, asked.at.isoformat())
        more = (json.dumps(list(asked.before)), int(asked.cancelled))
        self._write("INSERT OR REPLACE INTO asked VALUES (?,?,?,?,?,?)", [(*row, *more)])

    def answer(self, kernel_id: str) -> None:
        """Forget a start that is settled."""
        self._write("DELETE FROM asked WHERE kernel_id = ?", [(kernel_id,)])

    def follow(self, registry: Registry) -> Unsubscribe:
        """Keep up with the registry from here on; subscribe after the loaded kernels are in it."""
        undo = (registry.subscribe(self._heard), registry.subscribe_hosts(self._heard_host))

        def unfollow() -> None:
            for each in undo:
                each()

        return unfollow

    def keep_offered(self, uuids: Collection[str]) -> None:
        """Forget what all but these sessions offered."""
        gone = [(uuid,) for uuid in self._offered if uuid not in uuids]
        self._offered = {uuid: row for uuid, row in self._offered.items() if uuid in uuids}
        if gone:
            self._write("DELETE FROM offered WHERE session_uuid = ?", gone)

    def _heard_host(self, host: KernelHost) -> None:
        if host.starter:
            return
        uuid = host.session_uuid
        if host.state is not State.ACTIVE:
            if self._offered.pop(uuid, None) is not None:
                self._write("DELETE FROM offered WHERE session_uuid = ?", [(uuid,)])
        elif host.kernels and self._offered.get(uuid) != _offer_values(host):
            self._offered[uuid] = _offer_values(host)
            self._write("INSERT OR REPLACE INTO offered VALUES (?,?,?,?)", [(uuid, *self._offered[uuid])])

    def _heard(self, kernel: RemoteKernel, what: What) -> None:
        if what == "added":
            self._write(_KEEP_KERNEL, [_values(kernel)])
            self._place(kernel)
        elif what == "moved":
            self._write(_MOVE_KERNEL, [(kernel.session_uuid, kernel.session, kernel.kernel_id)])
            self._place(kernel)
        elif what in ("dead", "removed"):
            # Whichever root its notebook sessions belong to, none can be restored any more.
            self._write("DELETE FROM notebook_session WHERE kernel_id = ?", [(kernel.kernel_id,)])
            self._write("DELETE FROM kernel WHERE kernel_id = ?", [(kernel.kernel_id,)])
            if _placed(kernel):
                self._write("DELETE FROM at_gateway WHERE kernel_id = ?", [(kernel.kernel_id,)])

    def _place(self, kernel: RemoteKernel) -> None:
        if _placed(kernel):
            row = (kernel.kernel_id, kernel.host_id, int(kernel.legacy))
            self._write("INSERT OR REPLACE INTO at_gateway VALUES (?,?,?)", [row])

    def save(self, row: NotebookRow) -> None:
        """Keep a notebook session, new or changed."""
        self._write("INSERT OR REPLACE INTO notebook_session VALUES (?,?,?,?,?,?)", [(self._root, *astuple(row))])

    def drop(self, session_id: str) -> None:
        """Forget a notebook session."""
        self._write("DELETE FROM notebook_session WHERE root_dir = ? AND session_id = ?", [(self._root, session_id)])

    async def flush(self) -> None:
        """Wait until all that was said so far is written."""
        await asyncio.wrap_future(self._writer.submit(int))

    async def close(self) -> None:
        """Write what is left and end the thread; nothing is written after it."""
        await asyncio.to_thread(self._writer.shutdown)

    def _write(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        try:
            self._writer.submit(self._written, statement, rows)
        except RuntimeError:
            log.debug("the server stops: not written any more: %s", statement)

    def _written(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
        for attempt in (1, 2):
            try:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # Made before SQLite would make it with the umask's mode; its journal takes the file's.
                os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
                with self._open(WRITE_TIMEOUT) as database:
                    for table in _SCHEMA:
                        database.execute(table)
                    database.executemany(statement, rows)
                    database.commit()
                return
            except (sqlite3.Error, OSError) as error:
                if not self._damaged(error) or attempt == 2:
                    return

    @contextlib.contextmanager
    def _open(self, timeout: float) -> Iterator[sqlite3.Connection]:
        database = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=rw", uri=True, timeout=timeout)
        try:
            # As all files of ours: a home directory may be local here and on a network file system there.
            database.execute("PRAGMA journal_mode = DELETE")
            database.execute("PRAGMA synchronous = FULL")
            yield database
        finally:
            database.close()

    def _damaged(self, error: Exception) -> bool:
        """Say in the log what is wrong; put the file aside where it is no database (any more), and say so."""
        if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.OperationalError):
            log.warning("cannot keep the kernels of sessions in %s: %s", self._path, error)
            return False
        aside = self._path.with_name(f"{self._path.name}.damaged")
        log.error("%s is damaged (%s): put aside as %s, begun anew", self._path, error, aside.name)
        try:
            os.replace(self._path, aside)
        except OSError as refusal:
            log.warning("cannot put %s aside: %s", self._path, refusal)
            return False
        return True


def _values(kernel: RemoteKernel) -> tuple[str, ...]:
    return (
        kernel.kernel_id,
        kernel.name,
        kernel.host_kernel,
        kernel.session_uuid,
        kernel.session,
        json.dumps(kernel.spec),
        kernel.cwd,
        kernel.started.isoformat(),
    )


def _placed(kernel: RemoteKernel) -> bool:
    """Whether more must be known of it than of a kernel at a host."""
    return kernel.legacy or kernel.host_id != kernel.kernel_id


@dataclass(frozen=True)
class _Place:
    host_id: str
    legacy: bool
    pending: bool


def _places(database: sqlite3.Connection) -> dict[str, _Place]:
    """Read what is known of kernels behind gateways, by kernel."""
    pending = {asked.kernel_id for asked in _asked(database) if not asked.cancelled}
    places = {kernel_id: _Place(kernel_id, False, True) for kernel_id in pending}
    if _has(database, "at_gateway"):
        for kernel_id, host_id, legacy in database.execute("SELECT kernel_id, host_id, legacy FROM at_gateway"):
            places[kernel_id] = _Place(host_id, bool(legacy), kernel_id in pending)
    return places


def _asked(database: sqlite3.Connection) -> list[Asked]:
    if not _has(database, "asked"):
        return []
    rows = database.execute("SELECT kernel_id, session_uuid, host_kernel, at, before, cancelled FROM asked")
    return [
        Asked(kernel_id, uuid, host_kernel, parse_time(at) or utcnow(), json.loads(before), bool(cancelled))
        for kernel_id, uuid, host_kernel, at, before, cancelled in rows
    ]


def _offer_values(host: KernelHost) -> tuple[str, str, str]:
    kernels = [[kernel.name, dict(kernel.spec), kernel.resource_dir] for kernel in to_remember(host)]
    return (str(host.session), host.display_name, json.dumps(kernels))


def _offered(database: sqlite3.Connection) -> list[KernelHost]:
    if not _has(database, "offered"):
        return []
    return [
        KernelHost(
            parse_session(session),
            uuid,
            title,
            State.ACTIVE,
            "",
            tuple(OfferedKernel(*row) for row in json.loads(kernels)),
        )
        for uuid, session, title, kernels in database.execute("SELECT * FROM offered")
    ]


def _has(database: sqlite3.Connection, table: str) -> bool:
    return bool(database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone())


def _kernel(row: tuple[str, ...], places: Mapping[str, _Place]) -> RemoteKernel | None:
    place = places.get(row[0]) or _Place(row[0], False, False)
    if not place.host_id and not place.pending:
        # Its gateway was never asked for it: the last server ended just before.
        return None
    try:
        kernel_id, name, host_kernel, session_uuid, session, spec, cwd, started = row
        return RemoteKernel(
            kernel_id=kernel_id,
            name=name,
            host_kernel=host_kernel,
            session_uuid=session_uuid,
            session=session,
            spec=json.loads(spec),
            cwd=cwd,
            started=parse_time(started),
            seen=True,
            execution_state="starting" if place.pending else UNKNOWN,
            host_id=place.host_id,
            pending=place.pending,
            legacy=place.legacy,
        )
    except (ValueError, TypeError, AttributeError) as error:
        log.warning("left out a remote kernel that cannot be read: %s", error)
        return None
