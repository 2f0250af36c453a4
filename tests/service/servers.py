"""Services of a test: made on a directory and a world, started, and stopped or left like after a crash."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from jupyter_sessions.model.api import Caller
from jupyter_sessions.model.names import LOCAL, SessionName
from jupyter_sessions.model.resources import Operation, Session
from jupyter_sessions.model.states import State
from jupyter_sessions.service.embedded import EmbeddedSessions
from jupyter_sessions.service.machine import Machine
from tests.service.fake_engine import FakeEngine, World

ALICE = Caller("alice")
BOB = Caller("bob")
HERE = Machine("machine-a", "boot-1", "workstation")
DEADLINE_S = 15.0


@contextlib.asynccontextmanager
async def serving(
    data_dir: Path, world: World | None = None, engine: FakeEngine | None = None, **options: Any
) -> AsyncIterator[EmbeddedSessions]:
    """Run one service on ``data_dir`` until the block ends."""
    options.setdefault("machine", HERE)
    service = EmbeddedSessions(data_dir, engine or FakeEngine(world), **options)
    await service.start()
    try:
        yield service
    finally:
        await service.stop()


async def until(probe: Callable[[], Any], seconds: float = DEADLINE_S) -> Any:
    """Ask ``probe`` (awaiting its answer if need be) until the answer is true, and give it; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while True:
        found = probe()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, f"not within {seconds} s"
        await asyncio.sleep(0.01)


def named(session_id: str) -> SessionName:
    """Name a session of the local location."""
    return SessionName(LOCAL, session_id)


async def finished(service: EmbeddedSessions, operation: Operation) -> Operation:
    """Wait for an operation's end."""

    async def probe() -> Operation | None:
        found = await service.get_operation(ALICE, operation.parsed_name)
        return found if found.done else None

    done: Operation = await until(probe)
    return done


async def in_state(service: EmbeddedSessions, session_id: str, state: State, seconds: float = DEADLINE_S) -> Session:
    """Wait for a session's state."""

    async def probe() -> Session | None:
        found = await service.get_session(ALICE, named(session_id))
        return found if found.state is state else None

    session: Session = await until(probe, seconds)
    return session


async def active(service: EmbeddedSessions, session_id: str = "one-session", session: Session | None = None) -> Session:
    """Create a session and wait until it is ACTIVE."""
    operation = await service.create_session(ALICE, LOCAL, session or Session(), session_id)
    done = await finished(service, operation)
    assert done.response is not None, done.error
    return done.response
