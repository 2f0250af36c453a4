"""Tells changes: only by reading the change log in order, from the last one told.

``catch_up`` is called at once after a commit of this server, and when the database's version moved otherwise. Each
change is first *followed* (this server's memory is brought up to it), then told to the listeners, then to the
watchers; no request of this server is answered from a snapshot newer than what was told.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from jupyter_sessions.model.api import Change, Reset, Unsubscribe
from jupyter_sessions.model.errors import Unavailable
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.service import changes
from jupyter_sessions.service.database import Database

T = TypeVar("T")
log = logging.getLogger(__name__)


class ChangeFeed:
    """The change log of one location, told once to each who asked."""

    def __init__(
        self, database: Database, parent: LocationName, follow: Callable[[list[Change]], Awaitable[None]]
    ) -> None:
        self._database = database
        self._parent = parent
        self._follow = follow
        self._told = 0
        self._turn = asyncio.Lock()
        self._listeners: dict[int, Callable[[Change], None]] = {}
        self._next_listener = 0
        self._news = asyncio.Event()
        self._closed = False

    async def start(self) -> None:
        """Begin at the end of the log: what came before is in the rows already."""
        self._told = await self._database.read(changes.last)

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def subscribe(self, listener: Callable[[Change], None]) -> Unsubscribe:
        """Call ``listener`` for each change from now on; the answer undoes it."""
        number, self._next_listener = self._next_listener, self._next_listener + 1
        self._listeners[number] = listener
        return lambda: void(self._listeners.pop(number, None))

    async def catch_up(self) -> None:
        """Tell everything committed so far, in order; raises Unavailable."""
        async with self._turn:
            while True:
                batch, newest = await self._database.read(partial(_since, self._told))
                mine = [change for change in batch if change.location == self._parent]
                if mine:
                    await self._bring_up(mine)
                    self._tell(mine)
                self._told = batch[-1].sequence if len(batch) == changes.BATCH else newest
                if mine:
                    self._wake()
                if len(batch) < changes.BATCH:
                    return

    async def _bring_up(self, batch: list[Change]) -> None:
        try:
            await self._follow(batch)
        except Unavailable:
            raise
        except Exception:
            # Memory that stays behind for one session must not keep the changes of all from being told.
            log.exception("changes %d to %d were not followed", batch[0].sequence, batch[-1].sequence)

    def _tell(self, batch: list[Change]) -> None:
        for change in batch:
            for listener in list(self._listeners.values()):
                try:
                    listener(change)
                except Exception:
                    # One listener's fault must not keep the change from the others.
                    log.exception("a listener failed on change %d of %s", change.sequence, change.session)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read a snapshot, and tell what it holds before it is answered."""
        result, newest = await self._database.read(lambda c: (work(c), changes.last(c)))
        if newest > self._told:
            await self.catch_up()
        return result

    async def watch(self, after: int | None) -> AsyncIterator[Change | Reset]:
        """Give every change after a sequence (None: from now on) and go on until closed.

        A Reset comes first where the log does not reach back to ``after``, or was never that long.
        """
        position = self._told if after is None else after
        while not self._closed:
            news = self._news
            position, found = await self._next(position)
            for item in found:
                yield item
            if not found:
                await news.wait()

    async def _next(self, position: int) -> tuple[int, list[Change | Reset]]:
        told = self._told
        try:
            batch, pruned, newest = await self._database.read(
                lambda c: (changes.read(c, position, self._parent), changes.pruned_to(c), changes.last(c))
            )
        except Unavailable:
            if self._closed:
                return position, []
            raise
        if position < pruned or position > newest:
            return max(told, pruned), [Reset(self._parent, max(told, pruned))]
        visible: list[Change | Reset] = [change for change in batch if change.sequence <= told]
        if visible:
            last = visible[-1]
            return last.sequence, visible
        return position, []


def _since(after: int, connection: sqlite3.Connection) -> tuple[Sequence[Change], int]:
    return changes.read(connection, after), changes.last(connection)


def void(_: object) -> None:
    """Drop a result."""
