"""Work that may hang, done on threads that nobody waits for at exit.

An executor's threads are joined when the interpreter ends: one that waits for a name server or a dead host would hold
the exit of the whole server. These are daemon threads, one for each piece of work.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import threading
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class NoThread(OSError):
    """The machine has no thread to give."""

    def __init__(self) -> None:
        super().__init__(errno.EAGAIN, "there is no thread to be had now")


def in_thread(function: Callable[[], T], name: str, done: Callable[[], None] | None = None) -> asyncio.Future[T]:
    """Run ``function`` on a new daemon thread and give its outcome as a future of the running loop.

    ``done`` is called on the loop once the thread has ended, also if the future was cancelled meanwhile. Where no
    thread can be had the future fails with NoThread.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done is not None:
            done()
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)  # type: ignore[arg-type]  # without an error it is the function's own result

    def run() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as fault:
            error = fault
        # A loop that was closed meanwhile has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, result, error)

    try:
        threading.Thread(target=run, name=name, daemon=True).start()
    except RuntimeError:
        settle(None, NoThread())
    return future


class Once(Generic[T]):
    """Work that is done once for all who ask while it is under way; one asker's cancellation does not end it."""

    def __init__(self, work: Callable[[], Awaitable[T]]) -> None:
        self._work = work
        self._task: asyncio.Task[T] | None = None

    def start(self) -> asyncio.Task[T]:
        """Start the work unless it is under way, and give its task."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
            # Nobody may be waiting any more when it fails.
            self._task.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._task

    async def result(self) -> T:
        """Wait for the work's result, starting it if need be."""
        return await asyncio.shield(self.start())

    async def _run(self) -> T:
        return await self._work()
