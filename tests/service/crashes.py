"""A crash between two steps: from then on nothing of the service takes another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_sessions.service.embedded import EmbeddedSessions
from tests.service.fake_engine import FakeEngine, World
from tests.service.servers import HERE


class Crash(BaseException):
    """The program ended here. Not an Exception: nothing may catch it and go on."""


class Crasher:
    """The ``on_step`` of a service that crashes at its ``at``-th step (0: never)."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.steps: list[str] = []
        self.dead = False

    def __call__(self, step: str) -> None:
        self.steps.append(step)
        if self.dead or len(self.steps) == self.at:
            self.dead = True
            raise Crash(step)

    def kill(self) -> None:
        """Crash at whatever step comes next."""
        self.dead = True


class DyingEngine(FakeEngine):
    """An engine whose server may have crashed: then it does nothing more, as a dead program would."""

    def __init__(self, world: World, crasher: Crasher) -> None:
        super().__init__(world)
        self._crasher = crasher

    async def start(self, job: Any, incarnation: int) -> None:
        """Start a host unless the server is dead."""
        if self._crasher.dead:
            raise Crash("start")
        await super().start(job, incarnation)

    async def stop(self, job: Any, reason: str, elapsed: float) -> None:
        """Do a step of the end unless the server is dead."""
        if self._crasher.dead:
            raise Crash("stop")
        await super().stop(job, reason, elapsed)


def mortal(data_dir: Path, world: World, crasher: Crasher) -> EmbeddedSessions:
    """Make a service that crashes where ``crasher`` says."""
    engine = DyingEngine(world, crasher)
    return EmbeddedSessions(data_dir, engine, machine=HERE, on_step=crasher)
