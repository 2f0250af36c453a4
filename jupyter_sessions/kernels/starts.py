"""Starts of kernels behind a gateway, which may take minutes: answered soon, seen through, never made twice.

A start is written down before the gateway is asked. Where its answer is lost, with a connection or with this server, it
is looked for among the gateway's kernels: one that was not there before, has the right name and is nobody's is it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_sessions.kernels.links import speaks_v1
from jupyter_sessions.kernels.offers import offered_as
from jupyter_sessions.kernels.registry import Registry, RemoteKernel, utcnow
from jupyter_sessions.kernels.remote import Unsettled
from jupyter_sessions.model.errors import Cancelled, SessionsError
from jupyter_sessions.model.parents import session_of

if TYPE_CHECKING:
    from jupyter_sessions.model.api import KernelHost

log = logging.getLogger(__name__)

ANSWER_WITHIN = 5.0
"""Seconds that whoever asked for a start waits for its failure."""
LOOK_EVERY = 3.0
"""Seconds between two looks for a start whose answer was lost."""


@dataclass(frozen=True)
class Asked:
    """One start that was asked of a gateway and not answered yet.

    ``before`` are the kernels that were there already; ``cancelled``: it is to be ended should it come up.
    """

    kernel_id: str
    session_uuid: str
    host_kernel: str
    at: datetime
    before: Sequence[str] = ()
    cancelled: bool = False


class Memory(Protocol):
    """What keeps starts over a restart of this server."""

    def ask(self, asked: Asked) -> None:
        """Keep a start, new or changed."""

    def answer(self, kernel_id: str) -> None:
        """Forget a start that is settled."""

    async def flush(self) -> None:
        """Wait until all that was said so far is written."""


class Asks(Protocol):
    """What is asked of gateways; each method raises a SessionsError."""

    async def start(
        self, host: KernelHost, host_kernel: str, kernel_id: str, cwd: str | None, env: Mapping[str, str]
    ) -> Mapping[str, Any]:
        """Start a kernel and give its model."""

    async def listed(self, host: KernelHost) -> list[Mapping[str, Any]]:
        """Give all kernels behind a host's gateway."""

    async def end(self, host: KernelHost, host_id: str) -> None:
        """End a kernel."""


class GatewayStarts:
    """Makes and sees through the starts of kernels behind gateways; ``asked`` are those that a last server left."""

    def __init__(self, registry: Registry, hosts: Asks, memory: Memory) -> None:
        self._registry, self._hosts, self._memory = registry, hosts, memory
        self._asked: dict[str, Asked] = {}
        self._under_way: set[str] = set()
        self._settling: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def restore(self, asked: Sequence[Asked]) -> None:
        """Take in the starts that the last server left; they are settled once their hosts are known."""
        self._asked.update({each.kernel_id: each for each in asked})

    async def close(self) -> None:
        """Leave all as it is: what is not answered is settled by the next server."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def wanted(self, host: KernelHost, name: str, host_kernel: str, kernel_id: str) -> RemoteKernel:
        """Give the kernel that a start is to make, known from now on as ``starting``; a dead one lives again."""
        gateway = host.gateway
        host_id = kernel_id if gateway is None or gateway.takes_ids else ""
        kernel = self._registry.get(kernel_id)
        if kernel is None:
            offered = offered_as(host, host_kernel)
            kernel = RemoteKernel(
                kernel_id=kernel_id,
                name=name,
                host_kernel=host_kernel,
                session_uuid=host.session_uuid,
                session=str(host.session),
                spec=offered.spec if offered is not None else None,
                execution_state="starting",
                host_id=host_id,
                pending=True,
                legacy=not speaks_v1(host),
            )
            self._registry.add(kernel)
        else:
            self._registry.unplace(kernel)
            kernel.pending, kernel.host_id, kernel.host_kernel = True, host_id, host_kernel
            self._registry.revive(kernel_id, {})
        return kernel

    async def run(self, host: KernelHost, kernel: RemoteKernel, env: Mapping[str, str]) -> bool:
        """Ask for the start of a kernel that ``wanted`` gave and see it through; whether it was asked for to the end.

        Raises a SessionsError where it failed (the kernel is still there); False where it was cancelled meanwhile.
        Returns also when the answer was lost: it is ``pending`` then and looked for.
        """
        asked = Asked(kernel.kernel_id, host.session_uuid, kernel.host_kernel, utcnow())
        self._registry.awaited[kernel.kernel_id] = (host, kernel.host_kernel)
        self._asked[kernel.kernel_id] = asked
        self._under_way.add(kernel.kernel_id)
        try:
            model = await self._ask(host, asked, env)
        except Unsettled as error:
            log.info("the start of kernel %s was not answered: %s", kernel.kernel_id, error)
            self._under_way.discard(kernel.kernel_id)
            self.settle(host)
            return not self._cancelled(kernel.kernel_id)
        except SessionsError:
            cancelled = self._cancelled(kernel.kernel_id)
            self._done(kernel.kernel_id)
            if cancelled:
                return False
            raise
        return await self._arrived(host, kernel.kernel_id, model)

    async def _ask(self, host: KernelHost, asked: Asked, env: Mapping[str, str]) -> Mapping[str, Any]:
        if host.gateway is not None and not host.gateway.takes_ids:
            before = [str(model["id"]) for model in await self._hosts.listed(host)]
            asked = self._asked[asked.kernel_id] = replace(self._asked[asked.kernel_id], before=before)
        self._memory.ask(asked)
        # Written before it is sent: a server that ends now is to know.
        await self._memory.flush()
        if self._cancelled(asked.kernel_id):
            raise Cancelled("the start was given up before it was asked for")
        return await self._hosts.start(host, asked.host_kernel, asked.kernel_id, None, env)

    async def _arrived(self, host: KernelHost, kernel_id: str, model: Mapping[str, Any]) -> bool:
        """Map a started kernel, or end it where it is not wanted any more."""
        host_id = str(model["id"])
        kernel = self._registry.get(kernel_id)
        if kernel is None or kernel.dead or self._cancelled(kernel_id):
            try:
                await self._hosts.end(host, host_id)
                self._done(kernel_id)
            except SessionsError as error:
                log.warning("a kernel whose start was given up cannot be ended yet: %s", error)
                self._under_way.discard(kernel_id)
                self.settle(host)
            return False
        self._registry.assign(kernel, host_id)
        self._done(kernel_id)
        # By its host, as the gateway's own news come: it may name the session that the start has made.
        self._registry.take(kernel.session_uuid, model)
        kernel.seen = False
        return True

    def open(self, kernel_id: str) -> bool:
        """Whether a start of this id is not settled yet."""
        return kernel_id in self._asked

    def cancel(self, kernel: RemoteKernel) -> None:
        """Give up a start: the kernel is ended should it come up."""
        asked = self._asked.get(kernel.kernel_id)
        if asked is not None:
            self._asked[kernel.kernel_id] = cancelled = replace(asked, cancelled=True)
            self._memory.ask(cancelled)

    def _cancelled(self, kernel_id: str) -> bool:
        asked = self._asked.get(kernel_id)
        return asked is None or asked.cancelled

    def _done(self, kernel_id: str) -> None:
        self._under_way.discard(kernel_id)
        self._registry.awaited.pop(kernel_id, None)
        if self._asked.pop(kernel_id, None) is not None:
            self._memory.answer(kernel_id)

    def keep(self, doing: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something to its end, whoever waits for it; cancelled by ``close`` alone."""
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def settle(self, host: KernelHost) -> None:
        """Look for the starts at a host that nobody waits for an answer to; call it whenever a host becomes known."""
        if host.gateway is None or not self._open(host) or host.session_uuid in self._settling:
            return
        for asked in self._open(host):
            self._registry.awaited[asked.kernel_id] = (host, asked.host_kernel)
        task = self.keep(self._settle(host.session_uuid))
        self._settling[host.session_uuid] = task
        task.add_done_callback(lambda _: self._settling.pop(host.session_uuid, None))

    def _open(self, host: KernelHost) -> list[Asked]:
        found = [each for each in self._asked.values() if each.session_uuid == host.session_uuid]
        return sorted((each for each in found if each.kernel_id not in self._under_way), key=lambda each: each.at)

    async def _settle(self, uuid: str) -> None:
        while (host := self._registry.host(uuid)) is not None and self._open(host):
            with contextlib.suppress(SessionsError):
                models = await self._hosts.listed(host)
                for asked in self._open(host):
                    await self._settle_one(host, asked, models)
            await asyncio.sleep(LOOK_EVERY)

    async def _settle_one(self, host: KernelHost, asked: Asked, models: Sequence[Mapping[str, Any]]) -> None:
        model = next((each for each in models if self._is(host, asked, each)), None)
        if model is not None:
            await self._arrived(host, asked.kernel_id, model)
            return
        limit = host.gateway.start_timeout if host.gateway is not None else 0.0
        if (utcnow() - asked.at).total_seconds() > limit:
            self._done(asked.kernel_id)
            kernel = self._registry.get(asked.kernel_id)
            if kernel is not None and kernel.pending:
                kernel.pending = False
                self._registry.mark_dead(
                    asked.kernel_id,
                    f"the answer to its start was lost, and it is not among the gateway's kernels after {limit:.0f} s",
                )

    def _is(self, host: KernelHost, asked: Asked, model: Mapping[str, Any]) -> bool:
        """Whether a listed kernel is the one that a start has made."""
        host_id = str(model["id"])
        if host.gateway is not None and host.gateway.takes_ids:
            return host_id == asked.kernel_id
        if host_id in asked.before or model.get("name") != asked.host_kernel:
            return False
        if not host.starter and session_of(model) != str(host.session):
            return False
        return not any(
            each.host_id == host_id and not each.pending and self._same_gateway(host, each)
            for each in self._registry.all()
        )

    def _same_gateway(self, host: KernelHost, kernel: RemoteKernel) -> bool:
        other = self._registry.host(kernel.session_uuid)
        return other is not None and other.gateway is host.gateway
