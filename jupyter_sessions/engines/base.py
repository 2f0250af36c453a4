"""The seam between the service and what runs a session.

An engine starts, observes and stops *hosts* (``python -m jupyter_sessions.host``); it decides no state. Only the
service calls it: ``check`` on create and on template writes, the rest from the reconciler, which holds the session's
``act.lock`` for ``start``, ``stop`` and ``update``. All methods are coroutines that never block the event loop; they
raise OSError where the machine refuses (the reconciler takes it for "cannot tell") and InvalidArgument where said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_sessions.model.api import LogPage, OfferedKernel
from jupyter_sessions.model.errors import FieldViolation
from jupyter_sessions.model.hostfile import End, Heartbeat

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session, SessionTemplate


@dataclass(frozen=True)
class Job:
    """One session as an engine sees it.

    ``directory`` is the session's own (0700), ``lock_dir`` holds ``act.lock`` and ``host.lock`` (the same, but on a
    network file system one under the temporary directory). ``session`` is the row with every default filled in.
    """

    store_uuid: str
    session: Session
    directory: Path
    lock_dir: Path

    @property
    def uuid(self) -> str:
        """The session's uuid."""
        return self.session.uuid


@dataclass(frozen=True)
class Alive:
    """The host lives. ``address`` is empty until it serves; ``step`` says in words what it is doing until then."""

    incarnation: int
    step: str = ""
    address: str = ""
    token: str = field(default="", repr=False)
    uid: int = -1
    heartbeat: Heartbeat | None = None


@dataclass(frozen=True)
class Gone:
    """No host lives.

    ``end`` is its end file (completed with the exit status by the server that reaped it), None where it ended
    without a word or never was. ``marked`` counts processes of the session still running. ``incarnation`` 0: never
    started.
    """

    incarnation: int
    end: End | None = None
    marked: int = 0
    heartbeat: Heartbeat | None = None


@dataclass(frozen=True)
class CannotTell:
    """Nothing is known: ``why`` in words. Changes no state and removes nothing."""

    why: str


Observation = Alive | Gone | CannotTell


class Engine(Protocol):
    """What the service asks of whatever runs sessions."""

    name: str

    def capabilities(self) -> Mapping[str, Any]:
        """Give JSON for the location's metadata: kernels, properties it honours. Called per request; memory only."""

    async def check(self, wanted: Session | SessionTemplate) -> Sequence[FieldViolation]:
        """Name every field it cannot honour, each with the rule and the remedy; empty when it would start this.

        Called by the service before a create is committed and for each template written.
        """

    async def kernels(self, job: Job) -> Sequence[OfferedKernel]:
        """Give what an ACTIVE session offers, default first. Called once as it becomes ACTIVE or is adopted."""

    async def start(self, job: Job, incarnation: int) -> None:
        """Write the intent of ``incarnation`` and start its host; returns when the process is spawned, not when ready.

        Called by the reconciler, under ``act.lock``, for a CREATING session of which nothing lives.
        """

    async def observe(self, job: Job) -> Observation:
        """Say whether the host lives: every second, and every 50 ms while CREATING or TERMINATING. Changes nothing."""

    async def update(self, job: Job) -> None:
        """Hand the row's limits and ACTIVE time to the live host.

        Called under ``act.lock`` after a PATCH of limits and when the session becomes ACTIVE.
        """

    async def stop(self, job: Job, reason: str, elapsed: float) -> None:
        """Do the next step of an end: write the intent, ask; past it TERM, then KILL everything marked.

        Called under ``act.lock`` again and again (each 50 ms) until observe says Gone with nothing marked; returns at
        once. ``elapsed`` is seconds since the stop was first asked (0 at the first call): ask until 10 s, TERM until
        15 s, then KILL.
        """

    async def logs(self, job: Job, offset: int, limit: int) -> LogPage:
        """Read the log; ``offset`` negative counts from its end. Called for GET logs and for a failure's last lines."""

    async def adopt(self, store_uuid: str, known: Mapping[str, Job]) -> Sequence[str]:
        """End what carries this store's mark and belongs to no known session; give the uuids it ended.

        Called once at the service's start, only when the store opened cleanly.
        """
