"""The embedded service: one location whose truth is a store of our own."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jupyter_sessions
from jupyter_sessions.engines.base import Engine, Job
from jupyter_sessions.model.api import (
    Caller,
    Change,
    KernelHost,
    ListRequest,
    Location,
    LogPage,
    Page,
    Reset,
    Unsubscribe,
)
from jupyter_sessions.model.errors import NotFound, SessionsError, Unavailable
from jupyter_sessions.model.names import LOCAL, WILDCARD, LocationName, OperationName, SessionName, TemplateName
from jupyter_sessions.model.resources import Operation, Session, SessionTemplate
from jupyter_sessions.service.actions import Actions, OnStep, no_step
from jupyter_sessions.service.clocks import Clock
from jupyter_sessions.service.core import Core, Limits
from jupyter_sessions.service.directories import Directories
from jupyter_sessions.service.hosts import HostRegistry
from jupyter_sessions.service.kernel_models import read_kernels
from jupyter_sessions.service.machine import Machine, this_machine
from jupyter_sessions.service.operation_calls import OperationCalls
from jupyter_sessions.service.reconciler import Reconciler
from jupyter_sessions.service.schema import StoreFault
from jupyter_sessions.service.session_calls import SessionCalls
from jupyter_sessions.service.store import SessionStore
from jupyter_sessions.service.template_calls import TemplateCalls
from jupyter_sessions.storage.feed import ChangeFeed

log = logging.getLogger(__name__)
MAX_LOG_BYTES = 1 << 20


class EmbeddedSessions:
    """Implements ``SessionsApi`` and ``KernelHosts`` over the store in ``data_dir`` and one engine.

    ``private``: each caller sees and touches only what is their own, unless an admin. ``metadata`` is added to the
    location's. ``limits`` are the defaults and maxima of sessions; ``session_days`` and ``operation_days`` how long
    ended sessions and finished operations are kept. ``machine`` (by default this one) and ``clock`` are for tests, as
    is ``on_step``, called between every two steps of a change. ``poll`` is how often, in seconds, other servers'
    commits are looked for. Until ``start`` has returned, and where the store cannot be used, every call raises
    Unavailable.
    """

    def __init__(
        self,
        data_dir: Path,
        engine: Engine,
        *,
        location: LocationName = LOCAL,
        display_name: str = "This machine",
        labels: Mapping[str, str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        private: bool = False,
        limits: Limits | None = None,
        session_days: float = 30.0,
        operation_days: float = 7.0,
        machine: Machine | None = None,
        clock: Clock | None = None,
        on_step: OnStep = no_step,
        poll: float = 0.5,
    ) -> None:
        self._display_name = display_name
        self._labels = dict(labels or {})
        self._metadata = dict(metadata or {})
        self._poll = poll
        self._given_machine = machine
        self._tasks: set[asyncio.Task[None]] = set()
        store, hosts = SessionStore(data_dir), HostRegistry()
        # Only an engine that runs sessions as their owners' accounts has any; it and the directories must agree.
        directories = Directories(data_dir, accounts=getattr(engine, "accounts", None))
        clock = clock or Clock()
        reconciler = Reconciler(location, store, engine, directories, clock, hosts, (session_days, operation_days))
        feed = ChangeFeed(store, location, reconciler.follow, reconciler.follow_all)
        self._actions = Actions(store, feed, engine, directories, clock, on_step)
        reconciler.use(self._actions)
        self._core = Core(
            location, store, feed, engine, directories, hosts, reconciler, clock, limits or Limits(), on_step, private
        )
        self._sessions = SessionCalls(self._core)
        self._templates = TemplateCalls(self._core)
        self._operations = OperationCalls(self._core, self._sessions)

    async def start(self) -> None:
        """Open the store, take up every session of this machine, begin to reconcile. Raises nothing.

        Where the store cannot be used, that is logged and every call says so; nothing is ended or removed.
        """
        core = self._core
        try:
            machine = self._given_machine
            if machine is None:
                machine = await asyncio.to_thread(this_machine)
            core.machine = machine
            await core.store.open()
            core.directories.store_uuid = core.store.uuid
            await core.feed.start()
            await core.reconciler.start(machine)
        except (StoreFault, SessionsError, OSError) as error:
            core.fault = f"the sessions' store cannot be used: {error} Then restart the Jupyter server."
            log.error("%s", core.fault)
            return
        core.fault = ""
        core.store.watch(self._news, self._poll)

    def _news(self) -> None:
        """Another connection committed; called on the loop."""
        if not self._core.fault:
            task = asyncio.create_task(self._catch_up())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _catch_up(self) -> None:
        try:
            await self._core.feed.catch_up()
        except Unavailable as error:
            log.warning("changes of other servers are told later: %s", error)
        except Exception:
            log.exception("changes of other servers are told later")

    async def stop(self) -> None:
        """Finish the steps under way and close the store; sessions go on."""
        core = self._core
        core.fault = core.fault or "the sessions service has been stopped"
        core.feed.close()
        await core.reconciler.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._actions.close()
        await core.store.close()

    def end_streams(self) -> None:
        """End every watch, as before a stop; other calls are answered as before."""
        self._core.feed.close()

    async def trouble(self) -> str:
        """Say why calls cannot be answered now, ``""`` where they can: reads the store."""
        if not self._core.fault:
            try:
                await self._core.store.read(lambda c: c.execute("SELECT 1").fetchone())
            except SessionsError as error:
                return error.message
        return self._core.fault

    async def list_locations(self, project: str) -> Sequence[Location]:
        """Give this location if it is of ``project`` (``-``: of any)."""
        return [self._location()] if project in (WILDCARD, self._core.location.project) else []

    async def get_location(self, name: LocationName) -> Location:
        """Give this location; raises NotFound for another."""
        if name != self._core.location:
            raise NotFound(f"location {name} is not configured on this server")
        return self._location()

    def _location(self) -> Location:
        core = self._core
        metadata = {
            **self._metadata,
            "service": "jupyter_sessions",
            "version": jupyter_sessions.__version__,
            "provider": "embedded",
            "engine": core.engine.name,
            "capabilities": {**core.engine.capabilities(), "update": True, "templates": True, "watch": True},
            "limits": core.limits.shown(),
            "machine": core.machine.name if core.machine else "",
            "fault": core.fault,
        }
        return Location(core.location, self._display_name, self._labels, metadata)

    async def create_session(
        self, caller: Caller, parent: LocationName, session: Session, session_id: str = "", request_id: str = ""
    ) -> Operation:
        """Commit the intent to make a session and answer its operation."""
        return await self._sessions.create(caller, parent, session, session_id, request_id)

    async def repeated_create(self, caller: Caller, parent: LocationName, request_id: str) -> Operation | None:
        """Give the operation that an earlier create with this request id began, None where there is none."""
        return await self._sessions.repeated(caller, parent, request_id)

    async def get_session(self, caller: Caller, name: SessionName) -> Session:
        """Give one session with its latest usage."""
        return await self._sessions.get(caller, name)

    async def list_sessions(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[Session]:
        """List sessions, newest first."""
        return await self._sessions.list(caller, parent, request)

    async def update_session(
        self, caller: Caller, name: SessionName, session: Session, update_mask: Sequence[str] | None
    ) -> Session:
        """Change labels and limits; ``None`` as mask replaces every mutable field."""
        return await self._sessions.update(caller, name, session, update_mask)

    async def terminate_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        """End a live session; the row stays."""
        return await self._sessions.terminate(caller, name, request_id)

    async def delete_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        """End a session if it lives, then remove it."""
        return await self._sessions.delete(caller, name, request_id)

    async def create_template(self, caller: Caller, parent: LocationName, template: SessionTemplate) -> SessionTemplate:
        """Store a template under the id in its ``name``."""
        return await self._templates.create(caller, parent, template)

    async def get_template(self, caller: Caller, name: TemplateName) -> SessionTemplate:
        """Give one template."""
        return await self._templates.get(caller, name)

    async def list_templates(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[SessionTemplate]:
        """List templates, newest first."""
        return await self._templates.list(caller, parent, request)

    async def update_template(
        self, caller: Caller, name: TemplateName, template: SessionTemplate, update_mask: Sequence[str] | None
    ) -> SessionTemplate:
        """Change a template that the caller owns, else PermissionDenied."""
        return await self._templates.update(caller, name, template, update_mask)

    async def delete_template(self, caller: Caller, name: TemplateName) -> None:
        """Remove a template that the caller owns, else PermissionDenied."""
        await self._templates.delete(caller, name)

    async def get_operation(self, caller: Caller, name: OperationName) -> Operation:
        """Give one operation."""
        return await self._operations.get(caller, name)

    async def list_operations(
        self, caller: Caller, parent: LocationName, request: ListRequest, partial: bool = False
    ) -> Page[Operation]:
        """List operations, newest first."""
        return await self._operations.list(caller, parent, request)

    async def cancel_operation(self, caller: Caller, name: OperationName) -> None:
        """Cancel a running create; changes nothing for another kind or a finished one."""
        await self._operations.cancel(caller, name)

    async def delete_operation(self, caller: Caller, name: OperationName) -> None:
        """Forget an operation, not its work."""
        await self._operations.delete(caller, name)

    async def read_log(self, caller: Caller, name: SessionName, offset: int, limit: int) -> LogPage:
        """Give up to ``limit`` bytes (at most 1 MiB) of log from ``offset``; a negative one counts from the end."""
        row = await self._sessions.row(caller, name)
        core = self._core
        job = Job(core.store.uuid, row.session, core.directories.of_host(row.session), row.lock_dir)
        try:
            return await core.engine.logs(job, offset, max(0, min(limit, MAX_LOG_BYTES)))
        except OSError as error:
            raise Unavailable(f"the log of {name} cannot be read now: {error}") from error

    async def list_kernels(self, caller: Caller, name: SessionName) -> Sequence[Mapping[str, Any]]:
        """Give Jupyter's kernel models of one session, oldest first; none unless it is ACTIVE."""
        row = await self._sessions.row(caller, name)
        host = self._core.hosts.get(row.uuid)
        return [] if host is None else await read_kernels(host)

    def watch(
        self, caller: Caller, parent: LocationName, after: Mapping[LocationName, int]
    ) -> AsyncIterator[Change | Reset]:
        """Follow the change log from the sequence named for this location (absent: from its end) until closed."""
        self._core.check(parent, wildcard=True)
        return self._core.feed.watch(after.get(self._core.location), self._core.only(caller))

    def subscribe(self, listener: Callable[[Change], None]) -> Unsubscribe:
        """Call ``listener`` for each change, in order, on the event loop; also before ``start``."""
        return self._core.feed.subscribe(listener)

    def page_key(self) -> bytes:
        """Give the store's key for page tokens, the same in every server on it; nothing while it is not open."""
        return self._core.store.hmac_key

    def kernel_hosts(self) -> Sequence[KernelHost]:
        """Give every ACTIVE session of this machine from memory."""
        return self._core.hosts.all()

    def watch_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Call ``listener`` whenever a session becomes, stays with new data, or ceases to be ACTIVE."""
        return self._core.hosts.watch(listener)
