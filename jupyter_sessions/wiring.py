"""What runs behind the extension once the server listens: engine, service and router, made of its traits."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_sessions.engines.process.engine import Bounds, ProcessEngine
from jupyter_sessions.events.publisher import publish
from jupyter_sessions.handlers.identity import owner_name
from jupyter_sessions.model.api import Caller, Unsubscribe
from jupyter_sessions.model.names import LOCAL
from jupyter_sessions.router import Router
from jupyter_sessions.service.core import Limits
from jupyter_sessions.service.embedded import EmbeddedSessions

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from jupyter_sessions.app import SessionsExtension
    from jupyter_sessions.kernels.mount import Mounted


SPECS_SECONDS = 30.0
"""How long the user's kernelspec manager may take to list its kernelspecs."""


class Service:
    """The running service of one server; ``router`` is what handlers, kernels and events hold."""

    def __init__(self, engine: ProcessEngine, embedded: EmbeddedSessions, router: Router) -> None:
        self._engine = engine
        self._embedded = embedded
        self._silence: Unsubscribe | None = None
        self.router = router

    async def start(self, mounted: Mounted | None, serverapp: ServerApp) -> None:
        """Start the service, then hand its hosts to the kernels; events are told from the first change on."""
        if serverapp.event_logger is not None:
            try:
                self._silence = publish(self.router, serverapp.event_logger)
            except Exception:
                serverapp.log.exception("changes of sessions are not told on Jupyter's event system")
        await self._embedded.start()
        if mounted is not None:
            mounted.attach(self.router, self.router, Caller(owner_name()))

    async def stop(self) -> None:
        """End every stream and close the store; sessions run on."""
        if self._silence is not None:
            self._silence()
        await self._embedded.stop()
        await self._engine.close()


def assemble(app: SessionsExtension, mounted: Mounted | None, serverapp: ServerApp) -> Service:
    """Make the parts of one server, none of which runs yet; raises FailedPrecondition where the system cannot."""
    specs = OwnSpecs(mounted, serverapp)
    bounds = Bounds(app.spool_memory, app.spool_disk, app.log_bytes, app.log_files)
    engine = ProcessEngine(specs, serverapp.root_dir, serverapp.kernel_manager.default_kernel_name, bounds)
    ttl, idle_ttl = min(app.default_ttl, app.max_ttl), min(app.default_idle_ttl, app.max_idle_ttl)
    limits = Limits(ttl, app.max_ttl, idle_ttl, app.max_idle_ttl, app.max_sessions)
    embedded = EmbeddedSessions(
        Path(app.data_dir),
        engine,
        limits=limits,
        session_days=app.keep_ended_days,
        operation_days=app.keep_operations_days,
    )
    return Service(engine, embedded, Router({LOCAL: embedded}, embedded.page_key))


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
