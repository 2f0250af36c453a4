"""One request for many who ask the same, and its answer again while nothing has changed."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar

from jupyter_sessions.upstream.ending import end

T = TypeVar("T")
KEPT = 64
"""How many answers are kept; the oldest goes first."""


class Shared:
    """Lets callers who ask the same at the same time share one request.

    It goes on when one of them goes away. ``changed`` makes whoever asks from then on ask anew.
    """

    def __init__(self) -> None:
        self._running: dict[tuple[int, Hashable], asyncio.Task[Any]] = {}
        self.generation = 0

    def changed(self) -> None:
        """Say that what is under way may be old."""
        self.generation += 1

    async def run(self, key: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """Give the answer of the request under way for ``key``, or of ``work``."""
        known = (self.generation, key)
        task: asyncio.Task[T] | None = self._running.get(known)
        if task is None:
            task = asyncio.ensure_future(_called(work))
            self._running[known] = task
            task.add_done_callback(lambda done: self._done(known, done))
        return await asyncio.shield(task)

    def _done(self, key: tuple[int, Hashable], task: asyncio.Task[Any]) -> None:
        self._running.pop(key, None)
        if not task.cancelled():
            task.exception()  # heard also where everybody who asked has gone

    async def close(self) -> None:
        """End what is under way."""
        await end(self._running.values())


async def _called(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


class Kept(Generic[T]):
    """Answers that hold until ``clear``, each for at most the seconds that whoever asks allows."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def get(self, key: Hashable, seconds: float) -> T | None:
        """Give what is kept for ``key`` if it is at most so old."""
        found = self._answers.get(key)
        return found[1] if found is not None and self._clock() - found[0] <= seconds else None

    def put(self, key: Hashable, answer: T) -> None:
        """Keep an answer of now."""
        self._answers[key] = (self._clock(), answer)
        self._answers.move_to_end(key)
        while len(self._answers) > KEPT:
            self._answers.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._answers.clear()
