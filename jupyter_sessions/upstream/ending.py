"""Ending tasks, also those whose cancellation gets lost on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

AGAIN = 0.2
"""Seconds after which a task that has not ended is cancelled again."""


async def end(tasks: Iterable[asyncio.Future[Any] | None]) -> None:
    """Cancel tasks and wait until each has ended.

    Before Python 3.12 ``asyncio.wait_for`` drops a cancellation that comes in the same turn as what it waits for.
    """
    left = {task for task in tasks if task is not None}
    while left:
        for task in left:
            task.cancel()
        done, left = await asyncio.wait(left, timeout=AGAIN)
        for task in done:
            if not task.cancelled():
                task.exception()  # heard: whoever ends a task wants none of it
