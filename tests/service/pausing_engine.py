"""An engine that waits inside one of its methods, so that a test can do something meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from jupyter_sessions.engines.base import Job, Observation
from jupyter_sessions.model.api import LogPage, OfferedKernel
from tests.service.fake_engine import FakeEngine, World


class PausingEngine(FakeEngine):
    """Waits in the ``nth`` call of ``method`` (kernels, logs, observe, update); ``reached`` is set when it does."""

    def __init__(self, method: str, nth: int = 1, world: World | None = None) -> None:
        super().__init__(world)
        self._method = method
        self._left = nth
        self._go = asyncio.Event()
        self.reached = asyncio.Event()

    @contextlib.asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Run the block once the call waits, then let the call go on."""
        await asyncio.wait_for(self.reached.wait(), 10)
        yield
        self._go.set()

    async def _pause(self, method: str) -> None:
        if method != self._method:
            return
        self._left -= 1
        if self._left == 0:
            self.reached.set()
            await asyncio.wait_for(self._go.wait(), 10)

    async def kernels(self, job: Job) -> Sequence[OfferedKernel]:
        """Offer one kernel."""
        await self._pause("kernels")
        return await super().kernels(job)

    async def observe(self, job: Job) -> Observation:
        """Say what the world holds."""
        await self._pause("observe")
        return await super().observe(job)

    async def update(self, job: Job) -> None:
        """Take the limits that were handed over before the pause."""
        await self._pause("update")
        await super().update(job)

    async def logs(self, job: Job, offset: int, limit: int) -> LogPage:
        """Read the world's one log."""
        await self._pause("logs")
        return await super().logs(job, offset, limit)
