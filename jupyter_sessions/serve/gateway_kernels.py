"""What a caller may do with the kernels of their ACTIVE sessions, said to the hosts of those sessions.

Who may see a session is the SessionsApi's to say, and asked of it each time; where a kernel is, is known from memory.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_sessions.engines.hostlink import HostLink, HostUnreachable
from jupyter_sessions.model.api import Caller, KernelHost, KernelHosts, ListRequest, SessionsApi
from jupyter_sessions.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    SessionsError,
    Unavailable,
)
from jupyter_sessions.model.names import WILDCARD, LocationName, SessionName
from jupyter_sessions.serve.gateway_memory import KernelMemory, KnownKernel, reached, stock_model
from jupyter_sessions.serve.gateway_specs import (
    Offer,
    default_of,
    name_offers,
    parent_resource,
    plain_name,
    spec_names,
)

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session

START_TIMEOUT = 60.0
"""Seconds a host has to start or restart a kernel."""
ACT_TIMEOUT = 15.0
"""Seconds a host has to interrupt or end a kernel, or to give a logo."""
EVERYWHERE = LocationName(WILDCARD, WILDCARD)
PAGE = 1000

_ID = re.compile(r"\w{1,64}(-\w{1,64}){4}", re.ASCII)
_ACTIVE = 'state = "ACTIVE"'
_ERRORS: Mapping[int, type[SessionsError]] = MappingProxyType(
    {
        400: InvalidArgument,
        403: PermissionDenied,
        404: NotFound,
        409: AlreadyExists,
        412: FailedPrecondition,
        429: ResourceExhausted,
        503: Unavailable,
    }
)


@dataclass(frozen=True)
class Wanted:
    """What a start asks for: all but ``env`` may be empty. ``path`` and ``cwd`` count where the session has them."""

    name: str = ""
    kernel_id: str = ""
    path: str = ""
    cwd: str = ""
    env: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Wanted:
        """Read a request's body; raises InvalidArgument with every fault. What else it says is left to others."""
        faults = []
        for key in ("name", "kernel_id", "path", "cwd"):
            if not isinstance(body.get(key), str | None) or "\0" in (body.get(key) or ""):
                faults.append(FieldViolation(key, "must be a string; leave it out to have none"))
        env = body.get("env") or {}
        if not isinstance(env, Mapping) or not all(isinstance(value, str) for value in env.values()):
            faults.append(FieldViolation("env", "must be an object whose values are strings"))
        kernel_id = body.get("kernel_id")
        if isinstance(kernel_id, str) and kernel_id and not _ID.fullmatch(kernel_id):
            faults.append(FieldViolation("kernel_id", "must be a UUID, or five words with dashes between"))
        if faults:
            raise InvalidArgument(faults)
        given = {key: body.get(key) or "" for key in ("name", "kernel_id", "path", "cwd")}
        return cls(**given, env=env)


class GatewayKernels:
    """Finds, starts, ends, interrupts and restarts kernels for callers.

    Every method raises a SessionsError: NotFound for what the caller may not see as for what is not there,
    Unavailable where a host cannot be reached, else what its answer means.
    """

    def __init__(self, hosts: KernelHosts, memory: KernelMemory) -> None:
        self._hosts = hosts
        self.memory = memory

    async def offers(self, api: SessionsApi, caller: Caller) -> dict[str, Offer]:
        """Give what the caller's ACTIVE sessions offer by the name of the kernelspec, the oldest session's first."""
        return name_offers(await self._visible_hosts(api, caller))

    async def models(self, api: SessionsApi, caller: Caller) -> list[dict[str, Any]]:
        """Give the kernels of the caller's ACTIVE sessions, those too that died in them."""
        hosts = await self._visible_hosts(api, caller)
        return [self.model(kernel) for host in hosts for kernel in self.memory.of_session(host.session_uuid)]

    def model(self, kernel: KnownKernel) -> dict[str, Any]:
        """Write a kernel as REST shows it."""
        host = self.host(kernel.session_uuid)
        own = str(kernel.model["name"])
        name = spec_names(host).get(own) if host is not None else None
        shown = {**kernel.model, "name": name or plain_name(kernel.session, own)}
        if kernel.message:
            shown["message"] = kernel.message
        return {**shown, "metadata": parent_resource(kernel.session)}

    def host(self, uuid: str) -> KernelHost | None:
        """Give the host of a session, None unless it can be spoken to now."""
        return next((host for host in self._hosts.kernel_hosts() if host.session_uuid == uuid and reached(host)), None)

    async def session_host(self, api: SessionsApi, caller: Caller, name: SessionName) -> KernelHost:
        """Give the host of one session; raises Unavailable unless it is ACTIVE."""
        session = await api.get_session(caller, name)
        host = self.host(session.uuid)
        if host is None:
            raise Unavailable(f"the session {name.id} is {session.state.name}: it has no host to speak to now")
        return host

    async def find(self, api: SessionsApi, caller: Caller, kernel_id: str) -> KnownKernel:
        """Give a kernel, perhaps a dead one."""
        self.memory.follow()
        kernel = await self._known(api, caller, kernel_id)
        if kernel is not None and not self.memory.silent(kernel.session_uuid):
            return kernel
        # One of the caller's hosts may be about to tell it.
        hosts = await self._visible_hosts(api, caller)
        kernel = await self._known(api, caller, kernel_id)
        if kernel is not None:
            return kernel
        silent = [host for host in hosts if self.memory.silent(host.session_uuid)]
        if silent:
            raise Unavailable(f"the session {silent[0].session.id} has not told its kernels yet; repeat in a moment")
        raise NotFound(f"Kernel does not exist: {kernel_id}")

    async def _known(self, api: SessionsApi, caller: Caller, kernel_id: str) -> KnownKernel | None:
        for kernel in sorted(self.memory.find(kernel_id), key=lambda kernel: kernel.dead):
            if await _sees(api, caller, kernel):
                return kernel
        return None

    async def start(
        self,
        api: SessionsApi,
        caller: Caller,
        wanted: Wanted,
        otherwise: Callable[[str], Awaitable[KernelHost | None]],
    ) -> dict[str, Any]:
        """Start a kernel and give its model; one that runs under ``kernel_id`` already is given as it is.

        ``otherwise`` is asked for the session of a name that no ACTIVE session has; its default kernel is started.
        """
        running = await self._running(api, caller, wanted.kernel_id)
        if running is not None:
            return self.model(running)
        offers = await self.offers(api, caller)
        name = (wanted.name or default_of(offers)).lower()
        offer = offers.get(name)
        host = offer.host if offer is not None else await otherwise(name)
        if host is None:
            raise NotFound(
                f"there is no kernelspec {name!r}; GET /api/kernelspecs lists what your ACTIVE sessions offer"
            )
        return await self._start(host, offer.kernel.name if offer is not None else "", wanted)

    async def _running(self, api: SessionsApi, caller: Caller, kernel_id: str) -> KnownKernel | None:
        if not kernel_id:
            return None
        try:
            known = await self.find(api, caller, kernel_id)
        except NotFound:
            return None
        return None if known.dead else known

    async def _start(self, host: KernelHost, kernel: str, wanted: Wanted) -> dict[str, Any]:
        asked = {"name": kernel, "kernel_id": wanted.kernel_id, "path": wanted.path, "cwd": wanted.cwd}
        body = {**{key: value for key, value in asked.items() if value}, "env": dict(wanted.env)}
        model = _model_of(host, await ask(host, "POST", "/api/kernels", body, START_TIMEOUT))
        self.memory.started(host, model)
        return self.model(KnownKernel(host.session, host.session_uuid, model))

    async def lives(self, kernel: KnownKernel) -> bool:
        """Ask a kernel's host whether it has it still; False also where there is no answer."""
        host = self.host(kernel.session_uuid)
        if host is None:
            return False
        with contextlib.suppress(SessionsError):
            return bool(await ask(host, "GET", path_of(kernel), None, ACT_TIMEOUT))
        return False

    async def shutdown(self, api: SessionsApi, caller: Caller, kernel_id: str) -> None:
        """End a kernel, or forget a dead one."""
        kernel = await self.find(api, caller, kernel_id)
        if not kernel.dead:
            await ask(self._live(kernel), "DELETE", path_of(kernel), None, ACT_TIMEOUT)
        self.memory.forget(kernel)

    async def interrupt(self, api: SessionsApi, caller: Caller, kernel_id: str) -> None:
        """Interrupt what a kernel is doing."""
        kernel = await self.find(api, caller, kernel_id)
        await ask(self._live(kernel), "POST", f"{path_of(kernel)}/interrupt", {}, ACT_TIMEOUT)

    async def restart(self, api: SessionsApi, caller: Caller, kernel_id: str) -> dict[str, Any]:
        """Restart a kernel under its id and give its model; a dead one is started again where its session lives."""
        kernel = await self.find(api, caller, kernel_id)
        host = self._live(kernel)
        if kernel.dead:
            return await self._start(host, str(kernel.model["name"]), Wanted(kernel_id=kernel.id))
        model = _model_of(host, await ask(host, "POST", f"{path_of(kernel)}/restart", {}, START_TIMEOUT))
        return self.model(KnownKernel(host.session, host.session_uuid, model))

    def _live(self, kernel: KnownKernel) -> KernelHost:
        host = self.host(kernel.session_uuid)
        if host is None:
            why = kernel.message or f"the session {kernel.session.id} cannot be reached now"
            raise (FailedPrecondition if kernel.dead else Unavailable)(f"Kernel {kernel.id}: {why}")
        return host

    async def _visible_hosts(self, api: SessionsApi, caller: Caller) -> list[KernelHost]:
        """Give the hosts that can be spoken to of the sessions that the caller may see, the oldest session's first.

        Waits until those, and no others, have told their kernels.
        """
        self.memory.follow()
        hosts = {host.session_uuid: host for host in self._hosts.kernel_hosts() if reached(host)}
        if not hosts:
            return []
        sessions = await _active(api, caller)
        visible = [hosts[session.uuid] for session in reversed(sessions) if session.uuid in hosts]
        await self.memory.ready([host.session_uuid for host in visible])
        return visible


async def _active(api: SessionsApi, caller: Caller) -> list[Session]:
    """Give the ACTIVE sessions that the caller may see, newest first."""
    found: list[Session] = []
    token = ""
    while True:
        page = await api.list_sessions(caller, EVERYWHERE, ListRequest(PAGE, token, _ACTIVE))
        found += page.items
        token = page.next_page_token
        if not token:
            return found


async def _sees(api: SessionsApi, caller: Caller, kernel: KnownKernel) -> bool:
    try:
        session = await api.get_session(caller, kernel.session)
    except (NotFound, PermissionDenied):
        return False
    # Another session may have taken the name of a deleted one.
    return session.uuid == kernel.session_uuid


def _model_of(host: KernelHost, answer: Any) -> Mapping[str, Any]:
    """Give the kernel's model that a host has answered; raises Unavailable where it is none."""
    if isinstance(answer, Mapping):
        with contextlib.suppress(KeyError, TypeError, ValueError):
            stock_model(answer)
            return answer
    raise Unavailable(f"session {host.session.id}: what its host answered is no kernel's model")


def path_of(kernel: KnownKernel) -> str:
    """Give the path of a kernel at its host."""
    return f"/api/kernels/{quote(kernel.id, safe='')}"


def link_to(host: KernelHost) -> HostLink:
    """Give a way to a session's host, for one act; whoever asked closes it."""
    return HostLink(host.address, host.token, host.uid)


async def ask(host: KernelHost, method: str, path: str, body: Any, timeout: float) -> Any:
    """Send a session's host one request and give its answer; raises the SessionsError that a refusal means."""
    link = link_to(host)
    try:
        status, answer = await link.request(method, path, body, timeout)
    except HostUnreachable:
        raise unreachable(host) from None
    finally:
        link.close()
    if status >= 300:
        said = answer.get("message") if isinstance(answer, Mapping) else ""
        raise _ERRORS.get(status, Internal)(f"session {host.session.id}: {said or f'its host answered {status}'}")
    return answer


def unreachable(host: KernelHost) -> Unavailable:
    """Give the error for a host that gives no answer; where its socket lies is nobody's business."""
    return Unavailable(f"the host of session {host.session.id} does not answer now; repeat in a moment")
