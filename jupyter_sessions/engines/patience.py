"""Waiting for a while, in a task that may be cancelled meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


async def within(work: Awaitable[T], seconds: float | None) -> T:
    """Wait for ``work``, and cancel it after ``seconds`` (None: never).

    Raises asyncio.TimeoutError when it took longer, and CancelledError whenever the waiting task was cancelled:
    ``asyncio.wait_for`` before Python 3.12 forgets a cancellation that meets the end of the work, and a loop that waits
    with it then runs on for ever. What the work gave in that moment is dropped, so it must be nothing to close.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
        if task.done():
            return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        # Whoever leaves by an error hears no more of how the work ended.
        _ = task.cancelled() or task.exception()
    if not task.cancelled():
        return task.result()
    raise asyncio.TimeoutError
