"""The store of one location's sessions: opening, identity, housekeeping. What it holds is in the ``*_rows`` modules."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from jupyter_sessions.service import schema
from jupyter_sessions.service.clocks import SECOND
from jupyter_sessions.storage import changes
from jupyter_sessions.storage.database import Database

FILE = "sessions.db"
DAY = 86_400 * SECOND


class SessionStore(Database):
    """``{data_dir}/sessions.db``, 0600 in a directory of 0700.

    ``uuid`` and ``hmac_key`` are the store's own, made with the file; they are there once ``open`` has returned.
    """

    def __init__(self, data_dir: Path) -> None:
        super().__init__(data_dir / FILE, schema.SCHEMA)
        self.uuid = ""
        self.hmac_key = b""

    async def open(self) -> None:
        """Make or check the file and read the store's identity; raises schema.StoreFault."""
        await super().open()
        identity, self.hmac_key = await self.read(lambda c: (schema.meta(c, "store_uuid"), schema.meta(c, "hmac_key")))
        self.uuid = identity.decode()


def tidy(connection: sqlite3.Connection, now: int, operation_days: float) -> None:
    """Forget finished operations older than ``operation_days`` (at least one), unused request ids, old changes."""
    bound = now - int(max(operation_days, 1) * DAY)
    connection.execute(
        "DELETE FROM operation_labels WHERE owner IN (SELECT id FROM operations WHERE done = 1 AND done_time < ?)",
        (bound,),
    )
    connection.execute("DELETE FROM operations WHERE done = 1 AND done_time < ?", (bound,))
    # A request id answers with its operation, so it is of no use without; one of a running operation stays.
    connection.execute(
        "DELETE FROM requests WHERE time < ? AND NOT EXISTS "
        "(SELECT 1 FROM operations o WHERE o.parent = requests.parent AND o.id = requests.operation)",
        (now - DAY,),
    )
    changes.prune(connection, now)
