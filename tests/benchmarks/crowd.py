"""A store full of sessions, and an engine that keeps the live ones alive without a process."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

from jupyter_sessions.engines.base import Alive, Job, Observation
from jupyter_sessions.model import states
from jupyter_sessions.model.hostfile import Heartbeat
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.model.resources import (
    EnvironmentConfig,
    ExecutionConfig,
    JupyterConfig,
    Kernel,
    OperationType,
    RuntimeConfig,
    Session,
)
from jupyter_sessions.model.states import State
from jupyter_sessions.service import operation_rows, rows, transitions
from jupyter_sessions.service.actions import with_endpoint
from jupyter_sessions.service.clocks import SECOND
from jupyter_sessions.service.machine import Machine, this_machine
from jupyter_sessions.service.rows import SessionRow
from jupyter_sessions.service.store import SessionStore
from tests.service.fake_engine import FakeEngine, FakeHost

ENDED, LIVE = 1_000, 50
BEAT_SECONDS = 5.0


class CrowdEngine(FakeEngine):
    """Takes every session of the store for alive, its host saying so every five seconds as a real one does.

    Made with the process engine's arguments, in whose place it stands. Nothing listens at the addresses it gives.
    """

    def __init__(self, *_: Any) -> None:
        super().__init__()

    async def observe(self, job: Job) -> Observation:
        """Say that it lives, unless it was stopped."""
        host = self.world.hosts.get(job.uuid)
        if host is None:
            host = self.world.hosts[job.uuid] = FakeHost(1, serving=True)
        beat = time.time() // BEAT_SECONDS * BEAT_SECONDS
        if host.heartbeat is None or host.heartbeat.time < beat:
            host.heartbeat = Heartbeat(1, beat, cpu=0.01, memory=90_000_000, milli_dcu=15, milli_dcu_seconds=int(beat))
        return await super().observe(job)


def fill(data_dir: Path, ended: int = ENDED, live: int = LIVE) -> None:
    """Write a new store with this many TERMINATED and ACTIVE sessions, an hour old, and their operations."""
    asyncio.run(_fill(data_dir, ended, live))


async def _fill(data_dir: Path, ended: int, live: int) -> None:
    store = SessionStore(data_dir)
    await store.open()
    try:
        machine = this_machine()
        await store.write(lambda connection: _insert(connection, data_dir, machine, ended, live))
    finally:
        await store.close()


def _insert(connection: sqlite3.Connection, data_dir: Path, machine: Machine, ended: int, live: int) -> None:
    born = time.time_ns() - 3600 * SECOND
    for number in range(ended + live):
        begun = states.begin(_session(number), born + number * SECOND, "Waiting to be started")
        row = SessionRow(begun, machine, data_dir / begun.uuid, incarnation=1)
        transitions.begin(connection, row)
        now = begun.create_time
        operation_rows.begin(connection, LOCAL, OperationType.CREATE, begun, now)
        ready = [(State.ACTIVE, "Ready", now + SECOND)]
        row = transitions.advance(connection, row, ready, now + SECOND, change=_with_endpoint)
        row = rows.update(connection, row, dataclasses.replace(row, limits_pending=False))
        if number < ended:
            end = [
                (State.TERMINATING, "Terminated by alice", now + 60 * SECOND),
                (State.TERMINATED, "Terminated by alice", now + 61 * SECOND),
            ]
            operation_rows.begin(connection, LOCAL, OperationType.TERMINATE, begun, now + 60 * SECOND)
            transitions.advance(connection, row, end, now + 61 * SECOND)


def _with_endpoint(session: Session) -> Session:
    return with_endpoint(session, Alive(1, address=f"unix:/run/{session.uuid}/host.sock"))


def _session(number: int) -> Session:
    session_uuid = str(uuid.uuid4())
    return Session(
        name=f"{LOCAL}/sessions/crowd-{number:04}",
        uuid=session_uuid,
        creator="alice",
        user="alice",
        labels={"team": f"team-{number % 7}", "stage": "test", "run": str(number)},
        jupyter_session=JupyterConfig(kernel=Kernel.PYTHON, display_name=f"Session {number}"),
        runtime_config=RuntimeConfig(version="3.11", properties={"local:cwd": "/tmp", "local:env.RUN": str(number)}),
        environment_config=EnvironmentConfig(
            execution_config=ExecutionConfig(ttl=14 * 86_400 * SECOND, idle_ttl=86_400 * SECOND)
        ),
    )
