"""Reads a change feed ahead of its client, so that the feed's place is taken before the stream is open."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from jupyter_sessions.merged import close_feed
from jupyter_sessions.model.api import Change, Reset

Item = Change | Reset


class FeedReader:
    """One reader of one feed; whoever made it closes it."""

    def __init__(self, feed: AsyncIterator[Item]) -> None:
        self._feed = feed
        self._next: asyncio.Task[Item] | None = None

    async def start(self) -> None:
        """Take the place in the feed: a change from now on is told. Raises what the feed refuses at once."""
        self._next = asyncio.ensure_future(self._step())
        # Two turns of the loop: one for the feed itself, one for the feeds that a merged one opens.
        for _ in range(2):
            await asyncio.sleep(0)
        if self._next.done() and not self._next.cancelled():
            error = self._next.exception()
            if error is not None and not isinstance(error, StopAsyncIteration):
                raise error

    async def read(self, timeout: float | None = None) -> Item | None:
        """Give the next entry, None after ``timeout`` seconds of silence; raises StopAsyncIteration at the end."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._step())
        done, _ = await asyncio.wait([self._next], timeout=timeout)
        if not done:
            return None
        item, self._next = self._next, None
        return item.result()

    async def close(self) -> None:
        """Let the feed go, whatever it is waiting for."""
        step, self._next = self._next, None
        if step is not None:
            step.cancel()
            # Its fault, if it had one, came too late to be told to anyone.
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, Exception):
                await step
        await close_feed(self._feed)

    async def _step(self) -> Item:
        return await self._feed.__anext__()
