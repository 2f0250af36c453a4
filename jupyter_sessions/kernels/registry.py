"""The kernels of sessions, in memory: what every listing, model, culling and connection reads.

Nothing here does I/O or calls a host. ``RemoteHosts`` writes what the hosts say, the mapping manager and the
notebook sessions read, ``Records`` listens and persists.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from uuid import NAMESPACE_URL, uuid5

from jupyter_sessions.kernels.links import reachable, speaks_v1
from jupyter_sessions.kernels.offers import Offer, name_offers, offered_as, plain_name
from jupyter_sessions.kernels.reasons import end_reason
from jupyter_sessions.kernels.remembered import Remembered
from jupyter_sessions.kernels.remote_kernel import DEAD, UNKNOWN, RemoteKernel, parse_time, utcnow
from jupyter_sessions.model.parents import session_of
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.model.api import KernelHost, Unsubscribe

__all__ = ["DEAD", "UNKNOWN", "Registry", "RemoteKernel", "alive", "end_reason", "utcnow"]

log = logging.getLogger(__name__)

What = Literal["added", "changed", "moved", "dead", "removed"]
Listener = Callable[["RemoteKernel", What], None]

COMPLETE_PATIENCE = 10.0
"""Seconds that a start waits, at the server's own start, for the sessions to be known."""

# What Jupyter's routes take for a kernel's id.
_ROUTED = re.compile(r"\w+-\w+-\w+-\w+-\w+")

DEAD_KEPT = 100
"""How many dead kernels stay listed, so that whoever had one can still read why; the oldest go first."""

ENDED_NAMES = 1000
"""How many kernelspec names of ended sessions are remembered with their reason."""


class Registry:
    """All remote kernels and the live hosts behind them. Used on the event loop only.

    ``awaited`` holds, by our id, the host and its kernel's name of each start whose id at the gateway is not known yet:
    a kernel of that name which a list names meanwhile is probably that one, and not adopted.
    """

    def __init__(self) -> None:
        self._kernels: dict[str, RemoteKernel] = {}
        # By session's uuid and id at the host.
        self._at_host: dict[tuple[str, str], RemoteKernel] = {}
        self.awaited: dict[str, tuple[KernelHost, str]] = {}
        self._hosts: dict[str, KernelHost] = {}
        self._listeners: list[Listener] = []
        self._host_listeners: list[Callable[[KernelHost], None]] = []
        self._taken: frozenset[str] = frozenset()
        self._offers: dict[str, Offer] | None = None
        self._ended: dict[str, str] = {}
        self.remembered = Remembered()
        self._complete = asyncio.Event()

    def get(self, kernel_id: str | None) -> RemoteKernel | None:
        """Give a kernel, dead ones too; None where it is no remote one."""
        return self._kernels.get(kernel_id) if kernel_id else None

    def all(self) -> list[RemoteKernel]:
        """Give every kernel, oldest first."""
        return list(self._kernels.values())

    def find(self, uuid: str, host_id: str) -> RemoteKernel | None:
        """Give the kernel that a session's host knows by this id."""
        return self._at_host.get((uuid, host_id))

    def of_session(self, uuid: str) -> list[RemoteKernel]:
        """Give the kernels of one session, dead ones too."""
        return [kernel for kernel in self._kernels.values() if kernel.session_uuid == uuid]

    def add(self, kernel: RemoteKernel) -> None:
        """Take a kernel in and tell ``added``; one of the same id is replaced."""
        kernel.registry = self
        before = self._kernels.get(kernel.kernel_id)
        if before is not None:
            self._unindex(before)
        self._kernels[kernel.kernel_id] = kernel
        self._index(kernel)
        self._tell(kernel, "added")

    def remove(self, kernel_id: str) -> RemoteKernel | None:
        """Forget a kernel and tell ``removed``; gives it, or None where it was not known."""
        kernel = self._kernels.pop(kernel_id, None)
        if kernel is not None:
            self._unindex(kernel)
            self._tell(kernel, "removed")
        return kernel

    def _index(self, kernel: RemoteKernel) -> None:
        if kernel.host_id:
            self._at_host[kernel.session_uuid, kernel.host_id] = kernel

    def _unindex(self, kernel: RemoteKernel) -> None:
        place = (kernel.session_uuid, kernel.host_id)
        if self._at_host.get(place) is kernel:
            del self._at_host[place]

    def unplace(self, kernel: RemoteKernel) -> None:
        """Forget where a kernel was at its host: it is to be started anew."""
        self._unindex(kernel)
        kernel.host_id = ""

    def assign(self, kernel: RemoteKernel, host_id: str) -> None:
        """Take the answer to a kernel's start: its id at the host. Tells ``moved``."""
        other = self.find(kernel.session_uuid, host_id)
        if other is not None and other is not kernel:
            # Adopted from a list that was quicker than the answer.
            self.remove(other.kernel_id)
        self._unindex(kernel)
        kernel.host_id, kernel.pending, kernel.seen = host_id, False, False
        self._index(kernel)
        self._tell(kernel, "moved")

    def move(self, kernel: RemoteKernel, host: KernelHost) -> None:
        """Say that a kernel belongs to another session than was known. Tells ``moved``."""
        other = self.find(host.session_uuid, kernel.host_id)
        if other is not None and other is not kernel:
            self.remove(other.kernel_id)
        self._unindex(kernel)
        kernel.session_uuid, kernel.session = host.session_uuid, str(host.session)
        self._index(kernel)
        self._tell(kernel, "moved")

    def update(self, kernel_id: str, model: Mapping[str, Any]) -> None:
        """Take what a host says of a kernel (its REST model); tells ``changed``, only when something did.

        A dead kernel stays dead and an unknown id is ignored. ``last_activity`` never goes back.
        """
        kernel = self.get(kernel_id)
        if kernel is None or kernel.dead:
            return
        kernel.seen = True
        before = (kernel.execution_state, kernel.last_activity, kernel.connections)
        state = model.get("execution_state")
        if state == DEAD:
            self.mark_dead(kernel_id, str(model.get("reason") or "the kernel died"))
            return
        if isinstance(state, str) and state:
            kernel.execution_state = state
        active = parse_time(str(model.get("last_activity", "")))
        if active is not None:
            kernel.last_activity = max(active, kernel.last_activity) if before[0] != UNKNOWN else active
        connections = model.get("connections")
        if isinstance(connections, int):
            kernel.connections = connections
        if before != (kernel.execution_state, kernel.last_activity, kernel.connections):
            self._tell(kernel, "changed")

    def mark_dead(self, kernel_id: str, reason: str) -> None:
        """Say that a kernel has ended and why; it stays listed as ``dead`` until removed. Tells ``dead`` once.

        The oldest beyond DEAD_KEPT are removed.
        """
        kernel = self.get(kernel_id)
        if kernel is None or kernel.dead:
            return
        kernel.execution_state = DEAD
        kernel.reason = reason
        kernel.connections = 0
        self._tell(kernel, "dead")
        for oldest in [each.kernel_id for each in self._kernels.values() if each.dead][:-DEAD_KEPT]:
            self.remove(oldest)

    def revive(self, kernel_id: str, model: Mapping[str, Any]) -> None:
        """Say that a dead kernel was started again under its id; tells ``added``, as for a new one."""
        kernel = self.get(kernel_id)
        if kernel is None:
            return
        kernel.execution_state, kernel.reason, kernel.seen = "starting", "", False
        self._index(kernel)
        kernel.last_activity = utcnow()
        self._tell(kernel, "added")
        self.update(kernel_id, model)

    def sync(self, uuid: str, models: Sequence[Mapping[str, Any]], reason: str = "the kernel has ended") -> None:
        """Take a host's whole list: update what it names, adopt what is new, mark dead what is missing.

        A kernel that the host has not named yet survives one list without it, which may be older than its start.
        """
        named = {str(model["id"]) for model in models if "id" in model}
        for model in models:
            self.take(uuid, model)
        for kernel in self.of_session(uuid):
            if kernel.host_id in named or kernel.dead or kernel.pending:
                continue
            if kernel.seen:
                self.mark_dead(kernel.kernel_id, reason)
            else:
                kernel.seen = True

    def take(self, uuid: str, model: Mapping[str, Any]) -> None:
        """Take one kernel's model of a host: update it, or adopt one that another server started (again) there."""
        host_id, host = str(model.get("id", "")), self.host(uuid)
        kernel = self.find(uuid, host_id)
        if kernel is None and host is not None and host.gateway is not None:
            kernel = self._from_starter(host, host_id)
        if kernel is None:
            if not host_id or host is None or model.get("execution_state") == DEAD or self._withheld(host, model):
                return
            kernel = self._adopted(host, host_id, str(model.get("name", "")))
        if host is not None and host.gateway is not None:
            self._heard_of(kernel, host, model)
        if kernel.dead and host is not None and model.get("execution_state") not in (None, DEAD):
            self.revive(kernel.kernel_id, model)
        self.update(kernel.kernel_id, model)

    def _adopted(self, host: KernelHost, host_id: str, host_kernel: str) -> RemoteKernel:
        offered = offered_as(host, host_kernel)
        kernel = RemoteKernel(
            kernel_id=self._own_id(host, host_id),
            name=self.spec_name(host, host_kernel),
            host_kernel=offered.name if offered is not None else host_kernel,
            session_uuid=host.session_uuid,
            session=str(host.session),
            spec=offered.spec if offered is not None else None,
            seen=True,
            host_id=host_id,
            legacy=not speaks_v1(host),
        )
        self.add(kernel)
        return kernel

    def _own_id(self, host: KernelHost, host_id: str) -> str:
        """Give the id that an adopted kernel has here: its own, unless Jupyter's routes or another kernel forbid."""
        if host.gateway is None or (_ROUTED.fullmatch(host_id) and host_id not in self._kernels):
            return host_id
        return str(uuid5(NAMESPACE_URL, f"{host.address}/{host_id}"))

    def _heard_of(self, kernel: RemoteKernel, host: KernelHost, model: Mapping[str, Any]) -> None:
        """Note what a gateway's model says besides: that the start is done, and whose kernel it is."""
        if kernel.pending:
            self.assign(kernel, kernel.host_id)
        kernel.linked = session_of(model) or kernel.linked
        if host.starter and kernel.linked:
            owner = next((each for each in self._hosts.values() if str(each.session) == kernel.linked), None)
            if owner is not None and not owner.starter:
                self.move(kernel, owner)

    def _from_starter(self, host: KernelHost, host_id: str) -> RemoteKernel | None:
        """Find a session's kernel that was started at its gateway before the session was known, and move it there."""
        for each in self._hosts.values():
            if each.starter and each.gateway is host.gateway and not host.starter:
                kernel = self.find(each.session_uuid, host_id)
                if kernel is not None:
                    self.move(kernel, host)
                    return kernel
        return None

    def _withheld(self, host: KernelHost, model: Mapping[str, Any]) -> bool:
        """Whether an unknown kernel is not to be adopted: a session's own by a starter, or a start's on its way."""
        if host.gateway is None:
            return False
        if host.starter and session_of(model):
            return True
        name = model.get("name")
        return any(
            asked.gateway is host.gateway and wanted == name and (asked.starter or asked.session == host.session)
            for asked, wanted in self.awaited.values()
        )

    def offers(self) -> Mapping[str, Offer]:
        """Give every kernel that an ACTIVE session offers, by the name of its kernelspec."""
        if self._offers is None:
            self._offers = name_offers(self.remembered.among(self._hosts), self._taken)
        return self._offers

    def startable(self, offer: Offer) -> bool:
        """Whether a kernel is offered now, and not only remembered."""
        host = self.host(offer.host.session_uuid)
        return host is not None and reachable(host) and offer.kernel in host.kernels

    def spec_name(self, host: KernelHost, host_kernel: str) -> str:
        """Give the kernelspec's name of a kernel of a session, also of one that the session does not offer."""
        offered = offered_as(host, host_kernel)
        wanted = offered.name if offered is not None else host_kernel
        for name, offer in self.offers().items():
            if offer.host.session_uuid == host.session_uuid and offer.kernel.name == wanted:
                return name
        return plain_name(host, host_kernel)

    def set_taken(self, names: Iterable[str]) -> None:
        """Say which kernelspec names are the user's own, as the last listing found them; ours give way."""
        taken = frozenset(name.lower() for name in names)
        if taken != self._taken:
            self._taken, self._offers = taken, None

    def ended(self, name: str) -> str:
        """Say why a kernelspec of ours is gone: the reason its session ended with, or ``""`` if it was never ours."""
        return self._ended.get(name.lower(), "")

    def host(self, uuid: str) -> KernelHost | None:
        """Give the live host of a session; None where it is not ACTIVE or not known yet."""
        return self._hosts.get(uuid)

    def completed(self) -> None:
        """Say that every ACTIVE session is known, or that none ever will be."""
        self._complete.set()
        self._forget_remembered()

    def _forget_remembered(self) -> None:
        # One with a kernel may be behind an upstream that does not answer: it stays until that kernel is settled.
        if self._complete.is_set():
            self.remembered.keep({kernel.session_uuid for kernel in alive(self.all())} | set(self._hosts))
            self._offers = None

    async def complete(self) -> None:
        """Wait until every ACTIVE session is known, for COMPLETE_PATIENCE at most."""
        if not self._complete.is_set():
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._complete.wait(), COMPLETE_PATIENCE)

    def hosts(self) -> list[KernelHost]:
        """Give the hosts of every ACTIVE session."""
        return list(self._hosts.values())

    def set_host(self, host: KernelHost) -> None:
        """Take a session's new data; one that is not ACTIVE any more takes its kernels with it.

        A gateway that offers nothing more of its own goes on with the kernels that were started there.
        """
        if host.starter and host.state is not State.ACTIVE:
            known = self._hosts.get(host.session_uuid)
            if known is None:
                return
            host = replace(known, kernels=())
        self.remembered.heard(host)
        if host.state is State.ACTIVE:
            self._hosts[host.session_uuid] = host
            self._offers = None
            for name in self.offers():
                self._ended.pop(name, None)
            if host.gateway is not None and not host.starter:
                self._take_over(host)
        else:
            self._forget_host(host)
            for kernel in self.of_session(host.session_uuid):
                self.mark_dead(kernel.kernel_id, end_reason(host))
        for listener in list(self._host_listeners):
            listener(host)

    def _take_over(self, host: KernelHost) -> None:
        """Give a session the kernels whose start has made it."""
        for kernel in list(self._kernels.values()):
            if kernel.linked == str(host.session) and kernel.session_uuid != host.session_uuid and not kernel.dead:
                self.move(kernel, host)

    def _forget_host(self, host: KernelHost) -> None:
        for name, offer in self.offers().items():
            if offer.host.session_uuid == host.session_uuid:
                self._ended[name] = end_reason(host)
        while len(self._ended) > ENDED_NAMES:
            del self._ended[next(iter(self._ended))]
        self._hosts.pop(host.session_uuid, None)
        self._offers = None

    def subscribe(self, listener: Listener) -> Unsubscribe:
        """Call ``listener(kernel, what)`` after each change, on the loop, in order."""
        self._listeners.append(listener)
        return lambda: _discard(self._listeners, listener)

    def subscribe_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Call ``listener(host)`` whenever a session's host becomes known, changes or goes."""
        self._host_listeners.append(listener)
        return lambda: _discard(self._host_listeners, listener)

    def _tell(self, kernel: RemoteKernel, what: What) -> None:
        if what in ("dead", "removed"):
            self._forget_remembered()
        for listener in list(self._listeners):
            try:
                listener(kernel, what)
            except Exception:
                # One room's fault must not keep the others from the news.
                log.exception("a listener failed on %s of kernel %s", what, kernel.kernel_id)


def _discard(listeners: list[Any], listener: object) -> None:
    if listener in listeners:
        listeners.remove(listener)


def alive(kernels: Iterable[RemoteKernel]) -> list[RemoteKernel]:
    """Give those that are not dead."""
    return [kernel for kernel in kernels if not kernel.dead]
