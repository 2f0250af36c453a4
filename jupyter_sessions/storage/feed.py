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
from jupyter_sessions.storage import changes
from jupyter_sessions.storage.database import Database
from jupyter_sessions.storage.listeners import Listeners

T = TypeVar("T")
log = logging.getLogger(__name__)


class ChangeFeed:
    """The change log of one location, told once to each who asked.

    ``follow`` brings memory up to some changes, ``follow_all`` up to whatever the rows say now.
    """

    def __init__(
        self,
        database: Database,
        parent: LocationName,
        follow: Callable[[list[Change]], Awaitable[None]],
        follow_all: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._parent = parent
        self._follow = follow
        self._follow_all = follow_all
        self._told = 0
        self._turn = asyncio.Lock()
        self._listeners = Listeners[Change]()
        self._news = asyncio.Event()
        self._closed = False
        self._resets = 0

    async def start(self) -> None:
        """Begin at the end of the log: what came before is in the rows already."""
        self._told = await self._database.read(changes.last)

    def close(self) -> None:
        """End every watch."""
        self._closed = True
        self._wake()

    def reset(self) -> None:
        """Tell every watch to list again: more is new than the log says."""
        self._resets += 1
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    def subscribe(self, listener: Callable[[Change], None]) -> Unsubscribe:
        """Call ``listener`` for each change from now on; the answer undoes it."""
        return self._listeners.add(listener)

    async def catch_up(self) -> None:
        """Tell everything committed so far, in order; raises Unavailable."""
        async with self._turn:
            while True:
                batch, newest, pruned = await self._database.read(partial(_since, self._told))
                if pruned > self._told:
                    # This server slept so long that the log forgot what it had not told: the rows know what came of it.
                    await self._bring_up(self._follow_all)
                mine = [change for change in batch if change.location == self._parent]
                if mine:
                    await self._bring_up(partial(self._follow, mine))
                for change in mine:
                    self._listeners.tell(change)
                told, self._told = self._told, batch[-1].sequence if len(batch) == changes.BATCH else newest
                if self._told != told:
                    self._wake()
                if len(batch) < changes.BATCH:
                    return

    async def _bring_up(self, follow: Callable[[], Awaitable[None]]) -> None:
        try:
            await follow()
        except Unavailable:
            raise
        except Exception:
            # Memory that stays behind for one session must not keep the changes of all from being told.
            log.exception("changes after %d were not followed", self._told)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Read a snapshot, and tell what it holds before it is answered."""
        result, newest = await self._database.read(lambda c: (work(c), changes.last(c)))
        if newest > self._told:
            await self.catch_up()
        return result

    async def watch(self, after: int | None, owner: str | None = None) -> AsyncIterator[Change | Reset]:
        """Give every change after a sequence (None: from now on) and go on until closed.

        ``owner`` gives those of one owner's sessions alone, in a file whose log knows owners. A Reset comes first
        where the log does not reach back to ``after``, or was never that long.
        """
        position = self._told if after is None else after
        resets = self._resets
        while not self._closed:
            news = self._news
            if resets != self._resets:
                resets, position = self._resets, self._told
                yield Reset(self._parent, position)
            position, found = await self._next(position, owner)
            for item in found:
                yield item
            if not found:
                await news.wait()

    async def _next(self, position: int, owner: str | None) -> tuple[int, list[Change | Reset]]:
        told = self._told
        try:
            batch, pruned, newest = await self._database.read(
                lambda c: (changes.read(c, position, self._parent, owner), changes.pruned_to(c), changes.last(c))
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
        # What was told since is other locations' or other owners'; the log may forget it.
        return max(position, told), []


def _since(after: int, connection: sqlite3.Connection) -> tuple[Sequence[Change], int, int]:
    return changes.read(connection, after), changes.last(connection), changes.pruned_to(connection)
