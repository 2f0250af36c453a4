"""A table of sessions that is kept up to date for a while."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Sequence

from jupyter_sessions.client.client import SessionsClient
from jupyter_sessions.client.watching import Watch
from jupyter_sessions.magics import words
from jupyter_sessions.magics.front import Front
from jupyter_sessions.magics.table import Table
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.resources import Session

LONGEST_S = 600.0
"""Seconds that a table is kept up to date at most."""
MOST = 500
"""Updates of one table at most."""
REFRESH_S = 30.0
"""Seconds after which the times are written anew while a session is starting or ending."""
PAUSE_S = 0.25
"""Seconds between two updates: changes that come together are shown together."""

Look = Callable[[], Sequence[Session]]
Draw = Callable[[Sequence[Session]], Table]


class LiveTable:
    """One table in one place. ``look`` lists the sessions, ``draw`` makes the table of them.

    A thread follows the change stream, within :data:`LONGEST_S` and :data:`MOST`; a new table ends it.
    """

    def __init__(self, front: Front, client: SessionsClient, location: str | None, look: Look, draw: Draw) -> None:
        self._front = front
        self._client = client
        self._location = location
        self._look = look
        self._draw = draw
        self._id = uuid.uuid4().hex
        self._stopped = threading.Event()
        self._changed = threading.Event()
        self._deaf = threading.Event()
        self._watch: Watch | None = None
        self._last: dict[str, str] = {}

    def show(self, found: Sequence[Session]) -> None:
        """Show the table of these, and keep it up to date."""
        self._last = self._draw(found).bundle()
        self._front.publish(self._last, display_id=self._id)
        threading.Thread(target=self._run, name="session table", daemon=True).start()

    def stop(self) -> None:
        """End the updates."""
        self._stopped.set()
        self._changed.set()
        if self._watch is not None:
            self._watch.close()

    def _run(self) -> None:
        # What is shown stays as it was where the server goes away: the next table says why.
        with contextlib.suppress(SessionsError):
            self._follow()

    def _follow(self) -> None:
        self._watch = self._client.watch(self._location)
        threading.Thread(target=self._listen, args=(self._watch,), name="session changes", daemon=True).start()
        end, updates = time.monotonic() + LONGEST_S, 0
        try:
            # The stream is open: what changed before is in the first list, what changes later wakes this loop.
            while not self._stopped.is_set() and updates < MOST and time.monotonic() < end:
                self._changed.clear()
                found = self._look()
                updates += self._update(self._draw(found))
                if self._deaf.is_set():
                    return
                # Where nothing moves, a time that grows is no reason to change what a notebook shows.
                left = max(end - time.monotonic(), 0.0)
                self._changed.wait(min(left, REFRESH_S) if moving(found) else left)
                self._stopped.wait(PAUSE_S)
        finally:
            self.stop()

    def _listen(self, watch: Watch) -> None:
        with contextlib.suppress(SessionsError):
            for _ in watch:
                self._changed.set()
        self._deaf.set()
        self._changed.set()

    def _update(self, table: Table) -> int:
        bundle = table.bundle()
        if bundle == self._last or self._stopped.is_set():
            return 0
        self._last = bundle
        self._front.publish(bundle, display_id=self._id, update=True)
        return 1


def moving(found: Sequence[Session]) -> bool:
    """Whether one of these is on its way to another state."""
    return any(one.state in words.MOVING for one in found)
