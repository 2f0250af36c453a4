"""One writer thread and one reader thread over a sqlite file, and a cheap look at whether others wrote to it."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from jupyter_sessions.model.errors import Unavailable
from jupyter_sessions.storage import file

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
POLL_S = 0.5


class Database:
    """The file at ``path``: ``write`` runs a function in a transaction of its own, ``read`` in a snapshot.

    Both answer on the event loop and raise Unavailable where sqlite fails; nothing is then written.
    """

    def __init__(self, path: Path, schema: file.Schema) -> None:
        self.path = path
        self._schema = schema
        self._writer = ThreadPoolExecutor(1, "sessions-writer")
        self._reader = ThreadPoolExecutor(1, "sessions-reader")
        self._write_connection: sqlite3.Connection | None = None
        self._read_connection: sqlite3.Connection | None = None
        self._closed = threading.Event()
        self._watcher: threading.Thread | None = None

    async def open(self) -> None:
        """Make or check the file and open both connections; raises file.StoreFault."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._writer, file.prepare, self.path, self._schema)
        try:
            self._write_connection = await loop.run_in_executor(self._writer, file.connect, self.path)
            self._read_connection = await loop.run_in_executor(self._reader, file.connect, self.path)
        except sqlite3.Error as error:
            raise file.StoreFault(f"{self.path}: {error}. Make the file accessible.") from error

    async def close(self) -> None:
        """Close everything after the work under way; a second call does nothing."""
        self._closed.set()
        loop = asyncio.get_running_loop()
        for executor, name in ((self._writer, "_write_connection"), (self._reader, "_read_connection")):
            connection: sqlite3.Connection | None = getattr(self, name)
            setattr(self, name, None)
            if connection is not None:
                await loop.run_in_executor(executor, connection.close)
            executor.shutdown(wait=False)
        if self._watcher is not None:
            watcher, self._watcher = self._watcher, None
            await loop.run_in_executor(None, watcher.join)

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` between BEGIN IMMEDIATE and COMMIT on the writer thread; what it raises rolls back."""
        return await self._run(self._writer, self._write_connection, "BEGIN IMMEDIATE", work)

    async def read(self, work: Work[T]) -> T:
        """Run ``work`` in one snapshot on the reader thread."""
        return await self._run(self._reader, self._read_connection, "BEGIN", work)

    async def _run(
        self, executor: ThreadPoolExecutor, connection: sqlite3.Connection | None, begin: str, work: Work[T]
    ) -> T:
        if connection is None:
            raise Unavailable(f"the session store {self.path} is closed")
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(executor, self._transact, connection, begin, work)
        # A caller that goes away (a closed connection, a stop) must not leave a commit whose result nobody sees.
        return await asyncio.shield(future)

    def _transact(self, connection: sqlite3.Connection, begin: str, work: Work[T]) -> T:
        try:
            connection.execute(begin)
            try:
                result = work(connection)
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise
            return result
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise Unavailable(
                f"the session store {self.path} cannot be used now: {error}. Sessions go on; free disk space or make "
                "the file accessible, then try again."
            ) from error

    def watch(self, changed: Callable[[], None], interval: float = POLL_S) -> None:
        """Call ``changed`` on the running loop after any other connection's commit, looked at every ``interval`` s."""
        loop = asyncio.get_running_loop()
        self._watcher = threading.Thread(
            target=self._watch, args=(loop, changed, interval), name="sessions-watcher", daemon=True
        )
        self._watcher.start()

    def _watch(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None], interval: float) -> None:
        connection: sqlite3.Connection | None = None
        seen = -1
        while not self._closed.wait(interval):
            try:
                connection = connection or file.connect(self.path)
                version = int(connection.execute("PRAGMA data_version").fetchone()[0])
            except sqlite3.Error:
                continue  # looked at again in a moment
            if version != seen:
                seen = version
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    loop.call_soon_threadsafe(changed)
        if connection is not None:
            connection.close()
