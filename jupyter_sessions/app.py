"""The extension: its traits, and how its rooms are wired. Nothing heavy is imported until the server listens."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from traitlets import Bool, Dict, Integer, List, Set, Unicode, default

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

    from jupyter_sessions.handlers.gate import Gate
    from jupyter_sessions.kernels.mount import Mounted
    from jupyter_sessions.wiring import Service

DAY = 86_400
LIMIT: dict[str, Any] = {"min": 600, "max": 14 * DAY}
"""What the API allows for ``ttl`` and ``idleTtl``, in seconds."""
QUIET_SECONDS = 0.5
"""How long the service waits after the server listens, unless a request wants it: the first page comes first."""


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Keep the garbage collector off an import.

    None of it is garbage, yet it would bring on a full collection of the whole server, which takes as long as a tenth
    of its start, and before the first page.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


class SessionsExtension(ExtensionApp):
    """Sessions in this Jupyter server: the REST API, and their kernels beside the local ones."""

    name = "jupyter_sessions"
    description = "Launch interactive sessions and run notebooks on their kernels."

    enabled = Bool(True, help="False: nothing of the extension is active.").tag(config=True)
    kernels = Bool(
        True, help="False: REST and panel only; no class of Jupyter is touched and no session's kernel is offered."
    ).tag(config=True)
    max_sessions = Integer(0, min=0, help="How many sessions may live at a time; 0 is no limit.").tag(config=True)
    default_ttl = Integer(
        14 * DAY, **LIMIT, help="A session's ttl where it names none, in seconds (at most max_ttl)."
    ).tag(config=True)
    max_ttl = Integer(14 * DAY, **LIMIT, help="The longest ttl a session may ask for, in seconds.").tag(config=True)
    default_idle_ttl = Integer(
        DAY, **LIMIT, help="A session's idleTtl where it names none, in seconds (at most max_idle_ttl)."
    ).tag(config=True)
    max_idle_ttl = Integer(14 * DAY, **LIMIT, help="The longest idleTtl a session may ask for, in seconds.").tag(
        config=True
    )
    data_dir = Unicode(help="Where sessions are kept; default: jupyter_sessions in Jupyter's data directory.").tag(
        config=True
    )
    log_bytes = Integer(10 << 20, min=1 << 16, help="The most bytes of one file of a session's log.").tag(config=True)
    log_files = Integer(3, min=1, help="How many files of a session's log are kept.").tag(config=True)
    spool_memory = Integer(8 << 20, min=1 << 20, help="Bytes of unread output a session keeps in memory.").tag(
        config=True
    )
    spool_disk = Integer(1 << 30, min=0, help="Bytes of unread output a session keeps on disk.").tag(config=True)
    keep_ended_days = Integer(30, min=1, help="Days an ended session stays listed.").tag(config=True)
    keep_operations_days = Integer(7, min=1, help="Days a finished operation stays listed.").tag(config=True)
    locations = List(
        Dict(),
        help="Locations beside those of the configuration files, which they win over; each as in such a file's "
        "'locations'.",
    ).tag(config=True)
    admins = Set(Unicode(), help="Names of users who may change every template.").tag(config=True)

    _gate: Gate | None = None
    _mounted: Mounted | None = None
    _service: Service | None = None
    _start: asyncio.Task[None] | None = None

    @default("data_dir")
    def _default_data_dir(self) -> str:
        return str(Path(jupyter_data_dir()) / "jupyter_sessions")

    @property
    def gate(self) -> Gate:
        """The door to the service; there once the extension is loaded and enabled."""
        if self._gate is None:
            raise RuntimeError("the extension is not loaded, or not enabled")
        return self._gate

    def _link_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        super()._link_jupyter_server_extension(serverapp)
        if self.enabled and self.kernels:
            with uncollected():
                from jupyter_sessions.kernels import mount
            mount.link(serverapp)

    def initialize_handlers(self) -> None:
        """Add the REST API, and bind the kernels; the service itself starts once the server listens."""
        if not self.enabled:
            return
        with uncollected():
            from jupyter_sessions.handlers.base import Setup
            from jupyter_sessions.handlers.gate import Gate
            from jupyter_sessions.handlers.mount import handlers
        self._gate = Gate()
        self.handlers.extend(handlers(Setup(self._gate, frozenset(self.admins), _connect_help)))
        if self.kernels:
            from jupyter_sessions.kernels import mount

            self._mounted = mount.load(self.serverapp, Path(self.data_dir))
        if sys.platform == "win32":
            self.log.warning("Jupyter Sessions: %s", WINDOWS)

    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        if self._gate is None:
            return
        if self._mounted is not None:
            await self._mounted.start()
        if sys.platform == "win32":
            self._refuse(WINDOWS)
        else:
            self._start = asyncio.ensure_future(self._start_service(self._gate, serverapp))

    async def _start_service(self, gate: Gate, serverapp: ServerApp) -> None:
        """Start the service in the background; a failure is logged, told to every request, and touches nothing else."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(gate.wanted.wait(), QUIET_SECONDS)
        try:
            # In a thread: the models and the store take a while to load, and the first page comes first.
            wiring = await asyncio.to_thread(importlib.import_module, "jupyter_sessions.wiring")
            self._service = await wiring.assemble(self, self._mounted, serverapp)
            await self._service.start(self._mounted, serverapp)
        except Exception as error:
            self.log.exception("Jupyter Sessions could not start; local kernels are not affected")
            self._refuse(f"the sessions service could not start: {error}")
        else:
            gate.open(self._service.router)

    def _refuse(self, reason: str) -> None:
        """Say to everything that waits for the service that there is none."""
        if self._gate is not None:
            self._gate.close(reason)
        if self._mounted is not None:
            self._mounted.attach_nothing()

    async def stop_extension(self) -> None:
        """Let go of everything as the server stops; sessions run on."""
        if self._start is not None:
            self._start.cancel()
            await asyncio.wait([self._start])
        if self._gate is not None:
            self._gate.close("the server stops")
        mounted, service = self._mounted, self._service
        self._start = self._mounted = self._service = None
        for close in (mounted.close if mounted else None, service.stop if service else None):
            try:
                if close is not None:
                    await close()
            except Exception:
                # What is left must be let go of all the same, and the server's own stop must go on.
                self.log.exception("Jupyter Sessions did not stop cleanly; sessions run on")


def _connect_help() -> Mapping[str, Any]:
    """Say how a location is connected; loaded when it is asked for."""
    from jupyter_sessions.config.example import connect_help

    return connect_help()


WINDOWS = "the process engine needs a POSIX system (Linux, macOS); local kernels are not affected"
