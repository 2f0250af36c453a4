"""The mapping manager's half of ours: a mixin in front of the user's own class.

Remote kernels live in the registry, never in ``_kernels``. Every method that takes a kernel id asks the registry
first; all else goes to the user's class, also everything while nothing is bound.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from jupyter_core.utils import ensure_async

from jupyter_sessions.kernels.actions import Actions
from jupyter_sessions.kernels.refused import Refused
from jupyter_sessions.kernels.registry import UNKNOWN, Registry, RemoteKernel, What, alive, utcnow

# The user's class, known only when it is mixed with.
Base: Any = object

# Set while the stock shutdown of all kernels runs: it must not see remote ones, other requests meanwhile must.
_local_only: ContextVar[bool] = ContextVar("jupyter_sessions_local_only", default=False)


class SessionKernelManager(Base):  # type: ignore[misc]  # a mixin: its base is Any
    """Mixed in front of the user's MappingKernelManager by ``mount``; ``bind_sessions`` brings it to life."""

    last_kernel_activity: datetime
    _sessions: Registry | None = None
    _actions: Actions | None = None
    # By kernel, the last of those that wait for what a callback of it does.
    _callings: dict[str, asyncio.Future[None]]

    def bind_sessions(self, registry: Registry, actions: Actions) -> Callable[[], None]:
        """Begin to answer for the registry's kernels; gives the function that ends it."""
        self._sessions = registry
        self._actions = actions
        self._callings = {}
        for kernel in registry.all():
            kernel.parent = self
        unsubscribe = registry.subscribe(self._on_session_kernel)

        def unbind() -> None:
            unsubscribe()
            self._sessions = self._actions = None
            for calling in list(self._callings.values()):
                calling.cancel()

        return unbind

    def _remote(self, kernel_id: str | None) -> RemoteKernel | None:
        return self._sessions.get(kernel_id) if self._sessions is not None else None

    def _on_session_kernel(self, kernel: RemoteKernel, what: What) -> None:
        if what == "added":
            kernel.parent = self
            # The stock manager starts its culler with the first kernel it starts; adopted ones alone never would.
            if not self._initialized_culler:
                self.initialize_culler()
        if kernel.last_activity > self.last_kernel_activity:
            self.last_kernel_activity = min(kernel.last_activity, utcnow())
        restarting = kernel.execution_state.endswith("restarting")
        if what == "dead" or (what == "removed" and not kernel.dead):
            self._call_back(kernel, "dead")
        elif what == "changed" and restarting and not kernel.restarting:
            self._call_back(kernel, "restart")
        kernel.restarting = restarting

    def _call_back(self, kernel: RemoteKernel, event: str) -> None:
        for callback in list(kernel.callbacks.get(event, ())):
            try:
                waiting = callback()
            except Exception:
                self.log.exception("a callback failed on %s of kernel %s", event, kernel.kernel_id)
                continue
            if inspect.isawaitable(waiting):
                before = self._callings.get(kernel.kernel_id)
                calling = asyncio.ensure_future(self._after(before, waiting, kernel, event))
                self._callings[kernel.kernel_id] = calling
                calling.add_done_callback(partial(self._called, kernel.kernel_id))

    def _called(self, kernel_id: str, calling: asyncio.Future[None]) -> None:
        if self._callings.get(kernel_id) is calling:
            del self._callings[kernel_id]

    async def _after(
        self, before: asyncio.Future[None] | None, waiting: Awaitable[Any], kernel: RemoteKernel, event: str
    ) -> None:
        """Await what a callback gave, after what an earlier one did: a client is not connected twice at once."""
        if before is not None:
            await asyncio.wait([before])
        try:
            await waiting
        except Exception as error:
            self.log.warning("A callback failed on %s of kernel %s: %s", event, kernel.kernel_id, error)

    def _as_users(self, method: Callable[..., Any], value: Any) -> Any:
        # A gateway's manager has coroutines where the stock one has plain methods; callers may await without asking.
        return _resolved(value) if inspect.iscoroutinefunction(method) else value

    # What is there

    def __contains__(self, kernel_id: str) -> bool:
        return self._remote(kernel_id) is not None or super().__contains__(kernel_id)

    def __len__(self) -> int:
        return len(self.list_kernel_ids())

    def list_kernel_ids(self) -> list[str]:
        """Give the ids of all running kernels."""
        local: list[str] = super().list_kernel_ids()
        if self._sessions is None or _local_only.get():
            return local
        return [*local, *(kernel.kernel_id for kernel in alive(self._sessions.all()) if kernel.kernel_id not in local)]

    def list_kernels(self, **kwargs: Any) -> Any:
        """Give the models of all kernels, the user's own first; a dead remote one says why."""
        local = super().list_kernels(**kwargs)
        return self._merged(local) if inspect.isawaitable(local) else self._with_remote(local)

    async def _merged(self, local: Awaitable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
        return self._with_remote(await local)

    def _with_remote(self, local: list[dict[str, Any]]) -> list[dict[str, Any]]:
        remote = self._sessions.all() if self._sessions is not None else []
        ours = {kernel.kernel_id for kernel in remote}
        return [model for model in local if model.get("id") not in ours] + [kernel.model() for kernel in remote]

    def kernel_model(self, kernel_id: str) -> Any:
        """Give one kernel's model; 404 where there is none."""
        kernel = self._remote(kernel_id)
        own = super().kernel_model
        return own(kernel_id) if kernel is None else self._as_users(own, kernel.model())

    def get_kernel(self, kernel_id: str) -> Any:
        """Give a kernel's manager, or the remote kernel; 404 where there is none."""
        kernel = self._remote(kernel_id)
        return super().get_kernel(kernel_id) if kernel is None else kernel

    def remove_kernel(self, kernel_id: str) -> Any:
        """Forget a kernel without ending it."""
        kernel = self._remote(kernel_id)
        if kernel is None or self._sessions is None:
            return super().remove_kernel(kernel_id)
        return self._sessions.remove(kernel_id)

    # What is done to it

    async def start_kernel(self, *, kernel_id: str | None = None, path: str | None = None, **kwargs: Any) -> str:
        """Start a kernel where its kernelspec's name says, and give its id; a running one's id is given back.

        Raises Refused for a kernelspec of a session that has ended.
        """
        registry, actions = self._sessions, self._actions
        if registry is None or actions is None:
            return await self._start_own(kernel_id, path, kwargs)
        present = registry.get(kernel_id)
        if present is not None and not present.dead:
            return present.kernel_id
        name = str(kwargs.get("kernel_name") or "").lower()
        offer = registry.offers().get(name)
        if (offer is None and "." in name) or (offer is not None and not registry.startable(offer)):
            # It looks like one of ours, and a page may be quicker than the start of the service.
            await registry.complete()
            offer = registry.offers().get(name)
        if kernel_id is None or present is not None or not super().__contains__(kernel_id):
            if offer is None and registry.ended(name):
                raise Refused(409, f"cannot start a kernel of {name}: {registry.ended(name)}")
            if offer is not None and not registry.startable(offer):
                where = offer.host.session
                raise Refused(503, f"cannot start a kernel of {name}: {where} does not answer yet; try again soon")
            if offer is not None:
                cwd = None if path is None else self.cwd_for_path(path)
                env = {key: value for key, value in (kwargs.get("env") or {}).items() if key == "JPY_SESSION_NAME"}
                return await actions.start(offer, kernel_id or self.new_kernel_id(), cwd, env)
        if present is not None:
            registry.remove(present.kernel_id)
        return await self._start_own(kernel_id, path, kwargs)

    async def _start_own(self, kernel_id: str | None, path: str | None, more: dict[str, Any]) -> str:
        try:
            return str(await ensure_async(super().start_kernel(kernel_id=kernel_id, path=path, **more)))
        finally:
            self._drop_failed_starts()

    def _drop_failed_starts(self) -> None:
        """Forget the server's own starts that have failed: the stock manager keeps them and cannot end them."""
        pending: dict[str, Any] = getattr(self, "_pending_kernels", {})
        for kernel_id, start in list(pending.items()):
            if kernel_id not in self._kernels and asyncio.isfuture(start) and start.done():
                del pending[kernel_id]

    def _act(self, what: str, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        kernel, actions = self._remote(kernel_id), self._actions
        if kernel is None or actions is None:
            return getattr(super(), f"{what}_kernel")(kernel_id, *args, **kwargs)
        return getattr(actions, what)(kernel)

    def shutdown_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        """End a kernel."""
        return self._act("shutdown", kernel_id, *args, **kwargs)

    def restart_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        """Restart a kernel under its id."""
        return self._act("restart", kernel_id, *args, **kwargs)

    def interrupt_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        """Interrupt a kernel."""
        return self._act("interrupt", kernel_id, *args, **kwargs)

    async def shutdown_all(self, now: bool = False) -> None:
        """End the server's own kernels; the sessions' go on, that is what they are for."""
        token = _local_only.set(True)
        try:
            self._drop_failed_starts()
            await ensure_async(super().shutdown_all(now=now))
        except Exception as error:
            # The stock manager waits for none of the others then, and the server's process would go on.
            self.log.warning("Could not end all kernels at once, ending each alone: %s", error)
            await asyncio.gather(*(self._end_alone(kernel_id, now) for kernel_id in self.list_kernel_ids()))
        finally:
            _local_only.reset(token)

    async def _end_alone(self, kernel_id: str, now: bool) -> None:
        try:
            await ensure_async(super().shutdown_kernel(kernel_id, now=now))
        except Exception as error:
            if kernel_id in self:
                self.log.warning("Could not end kernel %s: %s", kernel_id, error)

    def update_env(self, *, kernel_id: str, env: dict[str, str]) -> None:
        """Note a notebook's new name for the kernel's next start; the rest of the environment stays here."""
        kernel = self._remote(kernel_id)
        if kernel is None:
            super().update_env(kernel_id=kernel_id, env=env)
        elif "JPY_SESSION_NAME" in env:
            kernel.env["JPY_SESSION_NAME"] = env["JPY_SESSION_NAME"]

    # What the stock manager does with a kernel's own sockets: there are none

    def ports_changed(self, kernel_id: str) -> bool:
        """Say whether a kernel has other ports than before."""
        return False if self._remote(kernel_id) is not None else super().ports_changed(kernel_id)

    def start_buffering(self, kernel_id: str, session_key: str, channels: dict[str, Any]) -> None:
        """Keep the messages of a kernel nobody listens to; a session's host does so itself."""
        if self._remote(kernel_id) is None:
            super().start_buffering(kernel_id, session_key, channels)

    def start_watching_activity(self, kernel_id: str) -> None:
        """Follow a kernel's states; a session's host tells them."""
        if self._remote(kernel_id) is None:
            super().start_watching_activity(kernel_id)

    def stop_watching_activity(self, kernel_id: str) -> None:
        """Follow a kernel's states no longer."""
        if self._remote(kernel_id) is None:
            super().stop_watching_activity(kernel_id)

    # Culling: the user's settings, the registry's knowledge

    async def cull_kernels(self) -> None:
        """End the kernels that are idle for longer than the user's settings allow."""
        try:
            await ensure_async(super().cull_kernels())
        finally:
            # All at once: a host that does not answer must not spare the others, nor put off the next round.
            remote = self._sessions.all() if self._sessions is not None else []
            await asyncio.gather(*(self._cull(kernel) for kernel in remote))

    async def _cull(self, kernel: RemoteKernel) -> None:
        try:
            await self.cull_kernel_if_idle(kernel.kernel_id)
        except Exception:
            self.log.exception("could not cull kernel %s of %s", kernel.kernel_id, kernel.session)

    async def cull_kernel_if_idle(self, kernel_id: str) -> None:
        """End one kernel if it is idle, or forget it if it is dead."""
        kernel = self._remote(kernel_id)
        if kernel is None:
            await ensure_async(super().cull_kernel_if_idle(kernel_id))
        elif kernel.dead or self._is_idle(kernel):
            self.log.warning("Culling %s kernel %s of %s.", kernel.execution_state, kernel_id, kernel.session)
            await self.shutdown_kernel(kernel_id)

    def _is_idle(self, kernel: RemoteKernel) -> bool:
        metadata = kernel.spec.get("metadata") or {}
        limit = timedelta(seconds=float(metadata.get("cull_idle_timeout", self.cull_idle_timeout) or 0))
        return bool(
            # Of a host that has not spoken yet nothing is known.
            kernel.execution_state != UNKNOWN
            and not kernel.pending
            and utcnow() - kernel.last_activity > limit
            and (self.cull_busy or kernel.execution_state != "busy")
            and (self.cull_connected or not kernel.connections)
        )


async def _resolved(value: Any) -> Any:
    return value
