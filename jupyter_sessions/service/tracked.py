"""What this server remembers of a session that is not settled, between two looks at it."""

from __future__ import annotations

import asyncio
import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from jupyter_sessions.engines.base import Alive, CannotTell, Gone, Job, Observation
from jupyter_sessions.model.api import OfferedKernel
from jupyter_sessions.model.hostfile import Heartbeat
from jupyter_sessions.model.states import State
from jupyter_sessions.service.directories import Directories
from jupyter_sessions.service.machine import Machine, Place, place
from jupyter_sessions.service.rows import SessionRow
from jupyter_sessions.service.verdicts import Facts

QUICK_S = 0.05
SLOW_S = 1.0
PATIENCE_S = 120.0


@dataclass
class Tracked:
    """One unsettled session.

    ``since`` is when this server first saw it in its phase, ``stop_since`` when it first did a step of its end,
    ``due`` when it looks again: all of the steady clock. ``trouble`` is what kept it from being looked at last time.
    ``late``: a look at it took too long for a request to wait for.
    """

    row: SessionRow
    job: Job
    place: Place
    since: float
    due: float
    seen: Observation = field(default_factory=lambda: CannotTell("not looked at yet"))
    kernels: Sequence[OfferedKernel] | None = None
    heartbeat: Heartbeat | None = None
    stop_since: float | None = None
    trouble: str = ""
    late: bool = False
    visit: asyncio.Task[None] | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody waits for its next step."""
        return self.row.state is State.ACTIVE and not self.row.limits_pending and self.stop_since is None

    @property
    def untouchable(self) -> bool:
        """Whether it is another machine's and therefore not even looked at."""
        return self.place is Place.ELSEWHERE and not (self.row.state.final and self.row.deleting)

    @property
    def alive(self) -> Alive | None:
        """The last observation, where it was Alive."""
        return self.seen if isinstance(self.seen, Alive) else None

    def notice(self, seen: Observation) -> None:
        """Remember an observation and the newest heartbeat of all."""
        self.seen = seen
        if isinstance(seen, Alive | Gone) and seen.heartbeat is not None:
            self.heartbeat = seen.heartbeat

    def job_of(self, row: SessionRow) -> Job:
        """Give the job of this session as ``row`` has it."""
        return dataclasses.replace(self.job, session=row.session)

    def facts(self, now: float) -> Facts:
        """Give what a verdict needs, at ``now`` of the steady clock."""
        row = self.row
        return Facts(
            state=row.state,
            message=row.session.state_message,
            incarnation=row.incarnation,
            place=self.place,
            waited=now - self.since,
            ending=0.0 if self.stop_since is None else now - self.stop_since,
            deleting=row.deleting,
            limits_pending=row.limits_pending,
            failing=row.failing,
        )

    def take(self, row: SessionRow, now: float) -> None:
        """Go on with a newer row, never back to an older snapshot's; a new phase starts its clocks."""
        if row.version <= self.row.version:
            return
        old, self.row = self.row, row
        self.job = self.job_of(row)
        if (old.state, bool(old.failing), old.deleting) != (row.state, bool(row.failing), row.deleting):
            self.since, self.stop_since, self.due = now, None, now

    def rest(self, now: float) -> None:
        """Set when to look again: ACTIVE sessions together once a second, the others every 50 ms.

        What has waited for long (for a process that no signal ends, say) is looked at once a second too.
        """
        if self.untouchable:
            self.due = math.inf
        elif self.idle or now - self.since > PATIENCE_S:
            self.due = math.floor(now / SLOW_S) * SLOW_S + SLOW_S
        else:
            self.due = now + QUICK_S


def track(row: SessionRow, store_uuid: str, directories: Directories, machine: Machine, now: float) -> Tracked:
    """Begin to remember a session."""
    job = Job(store_uuid, row.session, directories.of_host(row.session), row.lock_dir)
    return Tracked(row=row, job=job, place=place(machine, row.machine), since=now, due=now)
