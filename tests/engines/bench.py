"""What the contract suite needs of an engine's own test: jobs to start, and ways to hurt them."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from jupyter_sessions.engines.base import Alive, Engine, Gone, Job, Observation
from jupyter_sessions.model.resources import (
    EnvironmentConfig,
    ExecutionConfig,
    JupyterConfig,
    Kernel,
    RuntimeConfig,
    Session,
)
from jupyter_sessions.model.states import State

SECOND = 1_000_000_000
PATIENCE = 30.0


class Bench(Protocol):
    """One engine with its means."""

    @property
    def engine(self) -> Engine:
        """The engine under test."""

    @property
    def store_uuid(self) -> str:
        """The store whose mark its jobs carry."""

    def job(self, **properties: str) -> Job:
        """Give a job of a new session with these properties, its directory made."""

    def another(self) -> AbstractAsyncContextManager[Engine]:
        """Give the engine of a second server over the same sessions."""

    async def kill_host(self, job: Job) -> None:
        """End a live host by a SIGKILL."""


def session(**properties: str) -> Session:
    """Give the row of a Python session, with the default limits filled in."""
    limits = ExecutionConfig(ttl=14 * 86_400 * SECOND, idle_ttl=86_400 * SECOND)
    return Session(
        name="projects/local/locations/local/sessions/test",
        uuid=str(uuid.uuid4()),
        state=State.CREATING,
        jupyter_session=JupyterConfig(kernel=Kernel.PYTHON, display_name="test"),
        runtime_config=RuntimeConfig(properties=properties),
        environment_config=EnvironmentConfig(execution_config=limits),
    )


async def until(engine: Engine, job: Job, condition: Callable[[Any], bool], seconds: float = PATIENCE) -> Observation:
    """Observe, as often as a service in a hurry does, until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while True:
        seen = await engine.observe(job)
        if condition(seen):
            return seen
        assert time.monotonic() < deadline, f"waited in vain; last seen: {seen}"
        await asyncio.sleep(0.05)


async def ready(engine: Engine, job: Job) -> Alive:
    """Wait until the host serves."""
    seen = await until(engine, job, lambda seen: (isinstance(seen, Alive) and bool(seen.address)) or died(seen))
    assert isinstance(seen, Alive), seen
    return seen


def died(seen: Observation) -> bool:
    """Say whether the host is gone and nothing can come any more."""
    return isinstance(seen, Gone) and not seen.marked


async def end(engine: Engine, job: Job, reason: str = "the test is over") -> Gone:
    """Stop a session as the reconciler does, until nothing of it is left."""
    started = time.monotonic()
    while True:
        elapsed = time.monotonic() - started
        await engine.stop(job, reason, elapsed)
        seen = await engine.observe(job)
        if isinstance(seen, Gone) and not seen.marked:
            return seen
        assert elapsed < PATIENCE, f"not ended; last seen: {seen}"
        await asyncio.sleep(0.05)


@dataclass
class Started:
    """Jobs of one test, all ended with it."""

    engine: Engine
    jobs: list[Job] = field(default_factory=list)

    async def start(self, job: Job, incarnation: int = 1) -> Job:
        """Start a job and remember it."""
        if job not in self.jobs:
            self.jobs.append(job)
        await self.engine.start(job, incarnation)
        return job


@asynccontextmanager
async def started(engine: Engine) -> AsyncIterator[Started]:
    """Start jobs in the block; whatever happens there, nothing of them is left."""
    kept = Started(engine)
    try:
        yield kept
    finally:
        for job in kept.jobs:
            await end(engine, job)


def private(directory: Path) -> Path:
    """Make a 0700 directory and give it."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory
