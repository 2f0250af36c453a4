"""A controllable engine at the engine seam: hosts that are records in memory, shared by every server of a world."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from jupyter_sessions.engines.base import Alive, CannotTell, Engine, Gone, Job, Observation
from jupyter_sessions.engines.process.spawn import exit_words
from jupyter_sessions.model.api import LogPage, OfferedKernel
from jupyter_sessions.model.errors import FieldViolation
from jupyter_sessions.model.hostfile import End, Heartbeat
from jupyter_sessions.model.resources import Session, SessionTemplate

KERNELS = (OfferedKernel("python3", {"argv": [], "display_name": "Python 3", "language": "python"}),)


@dataclass
class FakeHost:
    """One session's host as a world knows it.

    ``serving``: it has its address. ``end``: it is gone and said why. ``marked``: processes it left. ``stubborn``: how
    many steps of a stop it ignores.
    """

    incarnation: int
    alive: bool = True
    serving: bool = False
    step: str = "Starting the kernels' host"
    end: End | None = None
    marked: int = 0
    stubborn: int = 0
    heartbeat: Heartbeat | None = None
    limits: tuple[int, int] = (0, 0)
    wanted: str = "run"


@dataclass
class World:
    """What runs, on one machine, whatever servers come and go.

    ``ready``: a host serves as soon as it is started. ``spawned`` holds (session uuid, incarnation) of every start;
    ``doubles`` the uuids for which a host was started beside a living one. ``stops`` holds (uuid, elapsed).
    """

    ready: bool = True
    stubborn: int = 0
    hosts: dict[str, FakeHost] = field(default_factory=dict)
    spawned: list[tuple[str, int]] = field(default_factory=list)
    doubles: list[str] = field(default_factory=list)
    stops: list[tuple[str, float]] = field(default_factory=list)
    log: str = "first line\nlast line\n"

    def serve(self, uuid: str) -> None:
        """Let a starting host be ready."""
        self.hosts[uuid].serving = True

    def kill(self, uuid: str, exit_status: int | None = None, marked: int = 0, end: bool = False) -> None:
        """Let a host die without a word, or (``end``) reaped by its server with ``exit_status``."""
        host = self.hosts[uuid]
        host.alive, host.marked = False, marked
        if end:
            now = time.time()
            words = "" if exit_status is None else exit_words(exit_status)
            cause = "died" if host.serving else "start"
            host.end = End(host.incarnation, cause, f"The session's host {words}", now, now, exit_status)

    def finish(self, uuid: str, cause: str, message: str, terminating_at: float = 0.0, ended_at: float = 0.0) -> None:
        """Let a host end itself and say why; times are seconds since the epoch, 0 for now."""
        host, now = self.hosts[uuid], time.time()
        host.alive = False
        host.end = End(host.incarnation, cause, message, terminating_at or now, ended_at or now, 0)

    def beat(self, uuid: str, **values: Any) -> None:
        """Let a host write a heartbeat with these fields."""
        host = self.hosts[uuid]
        known = host.heartbeat or Heartbeat(host.incarnation, time.time())
        host.heartbeat = replace(known, **values)

    def reboot(self) -> None:
        """Let the machine restart: nothing lives."""
        for host in self.hosts.values():
            host.alive, host.marked = False, 0

    @property
    def living(self) -> set[str]:
        """The uuids of sessions of which a process lives."""
        return {uuid for uuid, host in self.hosts.items() if host.alive or host.marked}


class FakeEngine:
    """An engine over a World.

    ``faults`` is what ``check`` answers; ``blind`` makes ``observe`` answer CannotTell; ``refuse`` is raised by
    ``start`` and counted in ``refusals``, ``hang`` keeps ``observe`` waiting until it is set.
    """

    name = "fake"

    def __init__(self, world: World | None = None) -> None:
        self.world = world or World()
        self.faults: list[FieldViolation] = []
        self.blind = ""
        self.refuse: OSError | None = None
        self.refusals = 0
        self.hang: asyncio.Event | None = None
        self.observed = 0

    def capabilities(self) -> Mapping[str, Any]:
        """Say that it is a fake."""
        return {"kernels": ["PYTHON"], "properties": []}

    async def check(self, wanted: Session | SessionTemplate) -> Sequence[FieldViolation]:
        """Answer ``faults``."""
        return list(self.faults)

    async def kernels(self, job: Job) -> Sequence[OfferedKernel]:
        """Offer one kernel."""
        return KERNELS

    async def start(self, job: Job, incarnation: int) -> None:
        """Make a host, which serves at once if the world says so."""
        if self.refuse is not None:
            self.refusals += 1
            raise self.refuse
        known = self.world.hosts.get(job.uuid)
        if known is not None and (known.alive or known.marked):
            self.world.doubles.append(job.uuid)
        self.world.spawned.append((job.uuid, incarnation))
        host = FakeHost(incarnation, serving=self.world.ready, stubborn=self.world.stubborn)
        self.world.hosts[job.uuid] = host

    async def observe(self, job: Job) -> Observation:
        """Say what the world holds."""
        self.observed += 1
        if self.hang is not None:
            await self.hang.wait()
        if self.blind:
            return CannotTell(self.blind)
        host = self.world.hosts.get(job.uuid)
        if host is None:
            return Gone(0)
        if not host.alive:
            return Gone(host.incarnation, host.end, host.marked, host.heartbeat)
        if not host.serving:
            return Alive(host.incarnation, host.step)
        address = f"unix:{job.directory}/host.sock"
        return Alive(host.incarnation, address=address, token=f"secret-{job.uuid}", uid=0, heartbeat=host.heartbeat)

    async def update(self, job: Job) -> None:
        """Take the limits."""
        host = self.world.hosts.get(job.uuid)
        if host is not None:
            host.limits = (job.session.ttl, job.session.idle_ttl)

    async def stop(self, job: Job, reason: str, elapsed: float) -> None:
        """End the host, once it has ignored as many steps as it is stubborn."""
        self.world.stops.append((job.uuid, elapsed))
        host = self.world.hosts.get(job.uuid)
        if host is None:
            return
        host.wanted = "stop"
        if host.stubborn > 0:
            host.stubborn -= 1
            return
        host.marked = 0
        if host.alive:
            now = time.time()
            host.alive, host.end = False, End(host.incarnation, "asked", reason, now, now, 0)

    async def logs(self, job: Job, offset: int, limit: int) -> LogPage:
        """Read the world's one log."""
        data = self.world.log.encode()
        start = max(0, len(data) + offset) if offset < 0 else min(offset, len(data))
        piece = data[start : start + limit]
        alive = job.uuid in self.world.living
        return LogPage(piece.decode(), start, start + len(piece), False, not alive and start + len(piece) == len(data))

    async def adopt(self, store_uuid: str, known: Mapping[str, Job]) -> Sequence[str]:
        """End what no session knows."""
        ended = [uuid for uuid in self.world.living if uuid not in known]
        for uuid in ended:
            del self.world.hosts[uuid]
        return ended


def check_protocol() -> Engine:
    """Show the type checker that this is an engine."""
    return FakeEngine()
