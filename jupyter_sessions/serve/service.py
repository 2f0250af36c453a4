"""What runs behind the handlers: engine, service and router of one location."""

from __future__ import annotations

import asyncio
import concurrent.futures
import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_sessions.engines.process.accounts import Accounts
from jupyter_sessions.engines.process.engine import ProcessEngine
from jupyter_sessions.events.publisher import publish
from jupyter_sessions.model.api import Unsubscribe
from jupyter_sessions.model.names import LocationName
from jupyter_sessions.router import Router
from jupyter_sessions.service.core import Limits
from jupyter_sessions.service.embedded import EmbeddedSessions

log = logging.getLogger(__name__)
SPECS_SECONDS = 30.0
"""How long the kernelspec manager may take to list its kernelspecs."""
GATEWAY = {"path": "/"}
"""Where the kernels of this service's sessions are served, on its own origin."""


@dataclass(frozen=True)
class Plan:
    """What is to be served.

    ``events`` is Jupyter's event logger, None where nobody listens to it. ``accounts`` are those that sessions run as,
    None where all run as this process's own.
    """

    data_dir: Path
    location: LocationName
    display_name: str
    limits: Limits
    root_dir: str
    kernel_spec_manager: Any
    events: Any = None
    accounts: Accounts | None = None
    metadata: Mapping[str, Any] = field(default_factory=lambda: {"gateway": GATEWAY})


class Service:
    """The running service; ``router`` is what handlers hold, ``embedded`` where its sessions' kernels are reached."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._silence: Unsubscribe | None = None
        self._engine = ProcessEngine(OwnSpecs(plan.kernel_spec_manager), plan.root_dir, accounts=plan.accounts)
        self.embedded = EmbeddedSessions(
            plan.data_dir,
            self._engine,
            location=plan.location,
            display_name=plan.display_name,
            limits=plan.limits,
            private=True,
            metadata=plan.metadata,
        )
        self.router = Router({plan.location: self.embedded}, self.embedded.page_key)

    async def start(self) -> None:
        """Start the service; a store that cannot be used is logged and told to every request."""
        if self._plan.events is not None:
            try:
                self._silence = publish(self.router, self._plan.events)
            except Exception:
                log.exception("changes of sessions are not told on Jupyter's event system")
        await self.embedded.start()

    async def stop(self) -> None:
        """Close the store; sessions run on."""
        if self._silence is not None:
            self._silence()
        await self.embedded.stop()
        await self._engine.close()
        if self._plan.accounts is not None:
            self._plan.accounts.close()


class OwnSpecs:
    """The kernelspecs of the service's account; called on a worker thread, made and used on the service's loop."""

    def __init__(self, manager: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._manager = manager

    def __call__(self) -> Mapping[str, Any]:
        """Give them by name, as the kernelspec manager's ``get_all_specs`` does.

        Raises what that raises, and OSError where the service is too busy or ending.
        """
        try:
            return asyncio.run_coroutine_threadsafe(self._read(), self._loop).result(SPECS_SECONDS)
        except (RuntimeError, concurrent.futures.CancelledError, concurrent.futures.TimeoutError) as error:
            raise OSError(f"the kernelspecs cannot be read now: {error or 'it took too long'}") from error

    async def _read(self) -> Mapping[str, Any]:
        found = self._manager.get_all_specs()
        specs: Mapping[str, Any] = await found if inspect.isawaitable(found) else found
        return specs
