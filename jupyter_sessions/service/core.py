"""What the calls of one location share: its store, its feed, its engine, its limits."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jupyter_sessions.engines.base import Engine
from jupyter_sessions.model.api import Caller
from jupyter_sessions.model.errors import FieldViolation, InvalidArgument, NotFound, Unavailable
from jupyter_sessions.model.names import LocationName, SessionName, TemplateName
from jupyter_sessions.model.resources import Session, SessionTemplate
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import format_duration
from jupyter_sessions.service import usage, words
from jupyter_sessions.service.clocks import SECOND, Clock
from jupyter_sessions.service.directories import Directories
from jupyter_sessions.service.hosts import HostRegistry
from jupyter_sessions.service.machine import Machine, Place, place
from jupyter_sessions.service.reconciler import Reconciler
from jupyter_sessions.service.rows import SessionRow
from jupyter_sessions.service.store import SessionStore
from jupyter_sessions.storage.database import Work
from jupyter_sessions.storage.feed import ChangeFeed

T = TypeVar("T")
DAY_S = 86_400
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{0,40}")
_EXECUTION = "environmentConfig.executionConfig"


@dataclass(frozen=True)
class Limits:
    """Defaults and maxima of a session's ``ttl`` and ``idleTtl`` in seconds; ``sessions`` live at once, 0 for any."""

    ttl: float = 14 * DAY_S
    max_ttl: float = 14 * DAY_S
    idle_ttl: float = DAY_S
    max_idle_ttl: float = 14 * DAY_S
    sessions: int = 0

    def shown(self) -> dict[str, Any]:
        """Give them as a location's metadata."""
        given = {"ttl": self.ttl, "maxTtl": self.max_ttl, "idleTtl": self.idle_ttl, "maxIdleTtl": self.max_idle_ttl}
        return {**{name: _length(value) for name, value in given.items()}, "sessions": self.sessions}

    def check(self, session: Session, before: Session | None = None) -> list[FieldViolation]:
        """Name each limit of a session that is above this location's, but for one that it had ``before``."""
        old = before or Session()
        rows = (
            ("ttl", session.ttl, old.ttl, self.max_ttl),
            ("idleTtl", session.idle_ttl, old.idle_ttl, self.max_idle_ttl),
        )
        found = []
        for name, given, known, most in rows:
            if given > most * SECOND and given != known:
                found.append(
                    FieldViolation(f"{_EXECUTION}.{name}", f"must be at most {_length(most)} in this location")
                )
        return found


def _length(seconds: float) -> str:
    return format_duration(round(seconds * SECOND))


@dataclass
class Core:
    """One location's parts. ``fault`` says why its store cannot be used, empty while it can.

    ``private``: each caller sees and touches only what is their own, unless an admin.
    """

    location: LocationName
    store: SessionStore
    feed: ChangeFeed
    engine: Engine
    directories: Directories
    hosts: HostRegistry
    reconciler: Reconciler
    clock: Clock
    limits: Limits
    step: Callable[[str], None]
    private: bool = False
    machine: Machine | None = None
    fault: str = field(default="the sessions service has not been started")

    def check(self, parent: LocationName, wildcard: bool = False) -> None:
        """Raise NotFound for another location's name, Unavailable while the store cannot be used."""
        if not (parent == self.location or (wildcard and parent.wild and parent.covers(self.location))):
            raise NotFound(f"location {parent} is not configured on this server")
        if self.fault:
            raise Unavailable(self.fault)

    def only(self, caller: Caller) -> str | None:
        """Give the owner whose things alone this caller may see and touch, None where it is anybody's."""
        return caller.name if self.private and not caller.admin else None

    def taken(self, caller: Caller, name: SessionName | TemplateName, owner: str, remedy: str) -> str:
        """Say that a name is taken; whose it is, and what to do about it, is told only to those who may see it."""
        kind = "session" if isinstance(name, SessionName) else "session template"
        if self.only(caller) in (None, owner):
            return f"{kind} {name} exists already; choose another id, or {remedy}"
        return f"{kind} {name} cannot be made: its id is taken in this location; choose another id"

    async def commit(self, what: str, work: Work[T]) -> T:
        """Write one transaction and tell its changes before anything is answered; raises what ``work`` raises."""
        self.step(f"{what}: before commit")
        result = await self.store.write(work)
        self.step(f"{what}: committed")
        await self.feed.catch_up()
        self.step(f"{what}: told")
        return result

    async def faults(self, wanted: Session | SessionTemplate) -> list[FieldViolation]:
        """Name what the engine cannot honour; raises Unavailable where it cannot look."""
        try:
            return list(await self.engine.check(wanted))
        except OSError as error:
            raise Unavailable(f"what is asked for cannot be checked now: {error}; try again") from error

    def here(self) -> Machine:
        """Give this machine, known once started."""
        if self.machine is None:
            raise Unavailable(self.fault)
        return self.machine

    def elsewhere(self, row: SessionRow) -> bool:
        """Whether a session is another machine's."""
        return place(self.here(), row.machine) is Place.ELSEWHERE

    def shown(self, session: Session) -> Session:
        """Give a session as it is answered: with its latest usage, or the machine it runs on."""
        tracked = self.reconciler.tracked(session.uuid)
        if tracked is None:
            return session
        if tracked.place is Place.ELSEWHERE:
            message = words.on_machine(session.state_message, tracked.row.machine.name)
            return session.model_copy(update={"state_message": message})
        return usage.live(session, tracked.heartbeat) if session.state is State.ACTIVE else session


def check_request_id(request_id: str) -> None:
    """Raise InvalidArgument for a request id that breaks the rule."""
    if _REQUEST_ID.fullmatch(request_id) is None:
        rule = "must be at most 40 of letters, digits, '_' and '-'"
        raise InvalidArgument([FieldViolation("requestId", rule)])
