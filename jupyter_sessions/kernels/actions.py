"""What is done to a session's kernel: asked of its host, noted in the registry, told as Jupyter tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_sessions.kernels.offers import offered_as
from jupyter_sessions.kernels.refused import Refused, refused
from jupyter_sessions.kernels.registry import Registry, RemoteKernel
from jupyter_sessions.kernels.starts import ANSWER_WITHIN, GatewayStarts

if TYPE_CHECKING:
    from jupyter_sessions.kernels.offers import Offer
    from jupyter_sessions.model.api import KernelHost

SCHEMA = "https://events.jupyter.org/jupyter_server/kernel_actions/v1"
Emit = Callable[[dict[str, Any]], None]

# Jupyter Server's own words, so that one handler of these events reads both.
_DONE = {
    "start": "Kernel {} was started.",
    "shutdown": "Kernel {} was shutdown.",
    "restart": "Kernel {} was restarted.",
    "interrupt": "Kernel {} was interrupted.",
}


class Hosts(Protocol):
    """What is asked of hosts; each method raises where the host refuses or cannot be reached."""

    async def start(
        self, host: KernelHost, host_kernel: str, kernel_id: str, cwd: str | None, env: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """Start a kernel under the id given and answer its REST model; a gateway may answer another id."""

    async def interrupt(self, kernel: RemoteKernel) -> object:
        """Interrupt a kernel."""

    async def restart(self, kernel: RemoteKernel) -> object:
        """Restart a kernel under its id; returns when it runs again."""

    async def shutdown(self, kernel: RemoteKernel) -> object:
        """End a kernel."""


class Actions:
    """Start, interrupt, restart and shut down kernels of sessions; each raises ``Refused`` and emits what it did.

    ``emit`` takes the data of a ``kernel_actions`` event. Without ``starts`` no kernel behind a gateway is started.
    """

    def __init__(self, hosts: Hosts, registry: Registry, emit: Emit, starts: GatewayStarts | None = None) -> None:
        self._hosts = hosts
        self._registry = registry
        self._emit = emit
        self._starting: dict[str, asyncio.Future[str]] = {}
        self._starts = starts
        # The starts that were answered before they were done.
        self._late: set[str] = set()

    async def start(self, offer: Offer, kernel_id: str, cwd: str | None, env: Mapping[str, str]) -> str:
        """Start a kernel in a session and give its id; a start of the same id under way is joined.

        ``cwd`` is an absolute folder, None leaves it to the session; ``env`` is what the kernel gets on top.
        """
        if offer.host.gateway is not None:
            return await self._start_at_gateway(offer.host, offer.name, offer.kernel.name, kernel_id, env)
        running = self._starting.get(kernel_id)
        if running is not None:
            return await asyncio.shield(running)
        made = asyncio.ensure_future(
            self._told("start", offer.name, kernel_id, self._start(offer, kernel_id, cwd, env))
        )
        self._starting[kernel_id] = made
        made.add_done_callback(lambda _: self._starting.pop(kernel_id, None))
        # Shielded: a browser that goes away during a start must not leave a kernel nobody knows.
        return await asyncio.shield(made)

    async def _start(self, offer: Offer, kernel_id: str, cwd: str | None, env: Mapping[str, str]) -> str:
        host = offer.host
        model = await self._hosts.start(host, offer.kernel.name, kernel_id, cwd, env)
        known = str(model.get("id") or kernel_id)
        kernel = self._registry.get(known)
        # The host's own stream may be quicker than its answer, and is newer then.
        told = kernel is not None and not kernel.dead
        if kernel is None or kernel.dead:
            kernel = RemoteKernel(
                kernel_id=known,
                name=offer.name,
                host_kernel=offer.kernel.name,
                session_uuid=host.session_uuid,
                session=str(host.session),
                spec=offer.kernel.spec,
                execution_state="starting",
            )
        kernel.cwd, kernel.env = cwd or "", dict(env)
        self._registry.add(kernel)
        if not told:
            self._registry.update(known, model)
            kernel.seen = False
        if self._registry.host(host.session_uuid) is None:
            self._registry.mark_dead(known, self._registry.ended(offer.name) or f"the session {host.session.id} ended")
        return known

    async def _start_at_gateway(
        self, host: KernelHost, name: str, host_kernel: str, kernel_id: str, env: Mapping[str, str]
    ) -> str:
        """Begin a start that may take minutes, and give its id once it is there or has taken ANSWER_WITHIN."""
        starts = self._starts
        if starts is None or starts.open(kernel_id):
            raise Refused(409, f"cannot start kernel {kernel_id} of {name}: an earlier start of it is being given up")
        fresh = self._registry.get(kernel_id) is None
        kernel = starts.wanted(host, name, host_kernel, kernel_id)
        kernel.env = dict(env)
        task = starts.keep(self._see_through(starts, host, kernel, fresh))
        task.add_done_callback(lambda _: self._late.discard(kernel_id))
        done, _ = await asyncio.wait({task}, timeout=ANSWER_WITHIN)
        failure = task.result() if done else None
        if failure is not None:
            raise failure
        if not done:
            self._late.add(kernel_id)
        return kernel_id

    async def _see_through(
        self, starts: GatewayStarts, host: KernelHost, kernel: RemoteKernel, fresh: bool
    ) -> Refused | None:
        """See a start through; gives its failure, which an open websocket of the kernel is told too."""
        kernel_id, name = kernel.kernel_id, kernel.name
        try:
            asked = await starts.run(host, kernel, kernel.env)
        except Exception as error:
            failure = refused(error, f"cannot start kernel {kernel_id} of {name}")
            self._event("start", name, kernel_id, "error", failure.message, status_code=failure.status_code)
            kernel.pending = False
            self._registry.mark_dead(kernel_id, str(error) or type(error).__name__)
            if fresh and kernel_id not in self._late and self._registry.get(kernel_id) is kernel:
                self._registry.remove(kernel_id)
            return failure
        if asked and not kernel.pending:
            self._event("start", name, kernel_id, "success", _DONE["start"].format(kernel_id))
        return None

    async def shutdown(self, kernel: RemoteKernel) -> None:
        """End a kernel and forget it; a dead one is only forgotten."""
        await self._told("shutdown", kernel.name, kernel.kernel_id, self._shutdown(kernel))

    async def _shutdown(self, kernel: RemoteKernel) -> None:
        if kernel.pending and self._starts is not None:
            self._starts.cancel(kernel)
            kernel.pending = False
            self._registry.mark_dead(kernel.kernel_id, "it was shut down while it was starting")
        elif not kernel.dead:
            await self._host(kernel)
            await self._hosts.shutdown(kernel)
        self._registry.remove(kernel.kernel_id)

    async def interrupt(self, kernel: RemoteKernel) -> None:
        """Interrupt a kernel."""
        await self._told("interrupt", kernel.name, kernel.kernel_id, self._interrupt(kernel))

    async def _interrupt(self, kernel: RemoteKernel) -> None:
        if kernel.pending:
            raise Refused(409, "it is still starting: interrupt it once it runs, or shut it down")
        await self._host(kernel)
        if kernel.dead:
            raise Refused(409, f"it is dead: {kernel.reason}")
        await self._hosts.interrupt(kernel)

    async def restart(self, kernel: RemoteKernel) -> None:
        """Restart a kernel under its id, also one that died while its session lives."""
        await self._told("restart", kernel.name, kernel.kernel_id, self._restart(kernel))

    async def _restart(self, kernel: RemoteKernel) -> None:
        if kernel.pending:
            # What a restart is to give is on its way.
            return
        host = await self._host(kernel)
        if not kernel.dead:
            await self._hosts.restart(kernel)
            return
        if host.gateway is not None:
            offered = offered_as(host, kernel.host_kernel) or next(iter(host.kernels), None)
            wanted = offered.name if offered is not None else kernel.host_kernel
            await self._start_at_gateway(host, kernel.name, wanted, kernel.kernel_id, kernel.env)
            return
        model = await self._hosts.start(host, kernel.host_kernel, kernel.kernel_id, kernel.cwd or None, kernel.env)
        if kernel.dead:
            self._registry.revive(kernel.kernel_id, model)

    async def _host(self, kernel: RemoteKernel) -> KernelHost:
        """Give a kernel's host, once the server knows its sessions; raises Refused."""
        if self._registry.host(kernel.session_uuid) is None and not kernel.dead:
            await self._registry.complete()
        host = self._registry.host(kernel.session_uuid)
        if host is not None:
            return host
        if kernel.dead:
            raise Refused(409, kernel.reason)
        raise Refused(503, f"{kernel.session} cannot be reached yet, try again")

    async def _told(self, action: str, name: str, kernel_id: str, doing: Awaitable[Any]) -> Any:
        try:
            done = await doing
        except Exception as error:
            failure = refused(error, f"cannot {action} kernel {kernel_id} of {name}")
            self._event(action, name, kernel_id, "error", failure.message, status_code=failure.status_code)
            raise failure from error
        self._event(action, name, str(done or kernel_id), "success", _DONE[action].format(done or kernel_id))
        return done

    def tell_ended(self, kernel: RemoteKernel) -> None:
        """Emit that a kernel is gone with its session, in the words of a shutdown."""
        done = _DONE["shutdown"].format(kernel.kernel_id)
        self._event("shutdown", kernel.name, kernel.kernel_id, "success", done)

    def _event(self, action: str, name: str, kernel_id: str, status: str, msg: str, **more: int) -> None:
        self._emit(
            {"kernel_name": name, "kernel_id": kernel_id, "action": action, "status": status, "msg": msg, **more}
        )
