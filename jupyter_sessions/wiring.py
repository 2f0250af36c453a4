"""What runs behind the extension once the server listens: engine, service and router, made of its traits."""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib
import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_sessions.config.folders import Folder, folders
from jupyter_sessions.config.locations import THIS_MACHINE, LocationConfig, Provider
from jupyter_sessions.config.reading import Configured, survey
from jupyter_sessions.engines.process.engine import Bounds, ProcessEngine
from jupyter_sessions.events.publisher import publish
from jupyter_sessions.handlers.identity import owner_name
from jupyter_sessions.model.api import Caller, Unsubscribe
from jupyter_sessions.model.names import LOCAL, LocationName
from jupyter_sessions.router import Backend, Router
from jupyter_sessions.service.core import Limits
from jupyter_sessions.service.embedded import EmbeddedSessions

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from jupyter_sessions.app import SessionsExtension
    from jupyter_sessions.kernels.mount import Mounted
    from jupyter_sessions.upstream.sessions import UpstreamSessions

log = logging.getLogger(__name__)
FIRST_SIGHT = 5.0
"""Seconds that a kernelspec which nobody knows yet is waited for, once the service has started."""
SPECS_SECONDS = 30.0
"""How long the user's kernelspec manager may take to list its kernelspecs."""


class Service:
    """The running service of one server; ``router`` is what handlers, kernels and events hold."""

    def __init__(
        self,
        engine: ProcessEngine,
        embedded: EmbeddedSessions,
        upstreams: Mapping[LocationName, UpstreamSessions],
    ) -> None:
        self._engine = engine
        self._embedded = embedded
        self._upstreams = upstreams
        self._silence: Unsubscribe | None = None
        self._starts: list[asyncio.Task[None]] = []
        backends: dict[LocationName, Backend] = {LOCAL: embedded, **upstreams}
        self.router = Router(backends, embedded.page_key)

    async def start(self, mounted: Mounted | None, serverapp: ServerApp) -> None:
        """Start the service, then hand its hosts to the kernels; events are told from the first change on.

        Upstreams start in the background.
        """
        if serverapp.event_logger is not None:
            try:
                self._silence = publish(self.router, serverapp.event_logger)
            except Exception:
                serverapp.log.exception("changes of sessions are not told on Jupyter's event system")
        self._starts = [asyncio.ensure_future(upstream.start()) for upstream in self._upstreams.values()]
        await self._embedded.start()
        if mounted is not None:
            seen = self._seen if self._upstreams else None
            mounted.attach(self.router, self.router, Caller(owner_name()), seen)

    async def _seen(self) -> None:
        """Wait until every upstream's sessions are known, but not for one that does not answer."""
        waits = [asyncio.ensure_future(upstream.seen()) for upstream in self._upstreams.values()]
        try:
            await asyncio.wait(waits, timeout=FIRST_SIGHT)
        finally:
            for wait in waits:
                wait.cancel()

    async def stop(self) -> None:
        """End every stream and close the store; sessions run on."""
        if self._silence is not None:
            self._silence()
        await asyncio.gather(*self._starts, return_exceptions=True)
        for stopping in await asyncio.gather(*(up.stop() for up in self._upstreams.values()), return_exceptions=True):
            if isinstance(stopping, Exception):
                log.error("a location did not stop cleanly: %s", stopping)
        await self._embedded.stop()
        await self._engine.close()


async def assemble(app: SessionsExtension, mounted: Mounted | None, serverapp: ServerApp) -> Service:
    """Make the parts of one server, none of which runs yet; raises FailedPrecondition where the system cannot."""
    configured = await asyncio.to_thread(_configured, app.locations)
    for fault in configured.faults:
        serverapp.log.error("Jupyter Sessions: %s", fault)
    specs = OwnSpecs(mounted, serverapp)
    bounds = Bounds(app.spool_memory, app.spool_disk, app.log_bytes, app.log_files)
    default_kernel = serverapp.kernel_manager.default_kernel_name
    # What proves this server to an upstream is not for code that runs in a session.
    tokens = [one.bearer.environment for one in configured.locations if one.bearer is not None]
    engine = ProcessEngine(specs, serverapp.root_dir, default_kernel, bounds, withheld=frozenset(filter(None, tokens)))
    here = next((one for one in configured.locations if one.name == LOCAL), THIS_MACHINE)
    faults = [fault.shown() for fault in configured.faults]
    embedded = EmbeddedSessions(
        Path(app.data_dir),
        engine,
        display_name=here.display_name or THIS_MACHINE.display_name,
        labels=here.labels,
        metadata={"configuration": {"faults": faults}} if faults else None,
        limits=_limits(app, here),
        session_days=app.keep_ended_days,
        operation_days=app.keep_operations_days,
    )
    upstreams = await _upstreams(configured.locations, Path(app.data_dir))
    return Service(engine, embedded, upstreams)


def _configured(traits: Sequence[Mapping[str, object]]) -> Configured:
    """Read the configuration; where there is none at all, nothing is imported for it."""
    if not traits and not any(map(_holds_files, folders())):
        return Configured((THIS_MACHINE,), ())
    return survey(traits)


def _holds_files(folder: Folder) -> bool:
    try:
        return bool(folder.files())
    except OSError:
        return True  # a fault, which reading tells


def _limits(app: SessionsExtension, here: LocationConfig) -> Limits:
    """Give the limits of this machine: those of its configuration, where it says any, before the traits."""
    given = here.limits
    max_ttl = given.max_ttl or app.max_ttl
    max_idle_ttl = given.max_idle_ttl or app.max_idle_ttl
    limits = Limits(
        min(given.ttl or app.default_ttl, max_ttl),
        max_ttl,
        min(given.idle_ttl or app.default_idle_ttl, max_idle_ttl),
        max_idle_ttl,
        app.max_sessions,
    )
    return limits if given.sessions is None else replace(limits, sessions=given.sessions)


async def _upstreams(locations: Sequence[LocationConfig], data_dir: Path) -> Mapping[LocationName, UpstreamSessions]:
    """Make the proxy of each upstream location; one that cannot be made is logged, and missing."""
    wanted = [config for config in locations if config.provider is Provider.UPSTREAM]
    if not wanted:
        return {}
    # In a thread: it takes a while to load, and the first page comes first.
    making = await asyncio.to_thread(importlib.import_module, "jupyter_sessions.upstream.making")
    made: dict[LocationName, UpstreamSessions] = {}
    for config in wanted:
        try:
            made[config.name] = making.make_upstream(config, data_dir)
        except Exception:
            # One location's fault must not take the others'.
            log.exception("%s (%s) cannot be reached", config.name, config.source)
    return made


class OwnSpecs:
    """The user's own kernelspecs, without those of sessions; called on a worker thread, made on the server's loop.

    The user's class is used on that loop alone, as Jupyter Server uses it: one like nb_conda_kernels keeps caches and
    writes kernelspecs, one of a gateway holds a client that belongs to the loop.
    """

    def __init__(self, mounted: Mounted | None, serverapp: ServerApp) -> None:
        self._loop = asyncio.get_running_loop()
        self._mounted = mounted if mounted is not None and mounted.bound else None
        self._manager: Any = serverapp.kernel_spec_manager

    def __call__(self) -> Mapping[str, Any]:
        """Give them by name, as the kernelspec manager's ``get_all_specs`` does.

        Raises what that raises, and OSError where the server is too busy or ending.
        """
        try:
            asked = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
            return asked.result(SPECS_SECONDS)
        except (RuntimeError, concurrent.futures.CancelledError, concurrent.futures.TimeoutError) as error:
            raise OSError(f"the server's kernelspecs cannot be read now: {error or 'it took too long'}") from error

    async def _read(self) -> Mapping[str, Any]:
        if self._mounted is not None:
            return await self._mounted.own_specs()
        found = self._manager.get_all_specs()
        specs: Mapping[str, Any] = await found if inspect.isawaitable(found) else found
        return specs
