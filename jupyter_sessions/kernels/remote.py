"""What the server says to sessions' hosts about kernels, and what the hosts say on their own.

One side stream per host carries states, activity, starts by other servers and deaths into the registry; it never
waits behind a kernel's output. Each host has a task and a link of its own, so that a slow or dead one costs the others
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_sessions.engines.hostlink import AnswerLost, HostUnreachable
from jupyter_sessions.engines.sidestream import PATH, SideStream
from jupyter_sessions.kernels.links import link_to, path_of, reachable
from jupyter_sessions.model.errors import (
    AlreadyExists,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    SessionsError,
    Unavailable,
)

if TYPE_CHECKING:
    from jupyter_sessions.kernels.registry import Registry, RemoteKernel
    from jupyter_sessions.model.api import KernelHost, KernelSocket, Sink

log = logging.getLogger(__name__)

START_TIMEOUT = 60.0
"""Seconds a host has to start or restart a kernel."""
ACT_TIMEOUT = 15.0
"""Seconds a host has to interrupt or end a kernel."""
GONE = "the kernel was shut down"

_STREAM_MESSAGE = 16 << 20
_NO_ENV: Mapping[str, str] = MappingProxyType({})
_ERRORS: Mapping[int, type[SessionsError]] = MappingProxyType(
    {
        400: InvalidArgument,
        401: PermissionDenied,
        403: PermissionDenied,
        404: NotFound,
        409: AlreadyExists,
        412: FailedPrecondition,
        429: ResourceExhausted,
        503: Unavailable,
    }
)

# What stands between may lose an answer too.
_BROKEN = frozenset({502, 504})


class Unsettled(Unavailable):
    """A start was asked of a gateway and not answered: whether it goes on is not known."""


class RemoteHosts:
    """Acts on the kernels of ``registry``'s hosts and keeps it up to date by following them.

    Every act raises a SessionsError: Unavailable where the host cannot be reached or its session is not ACTIVE,
    NotFound where it knows no such kernel, else what the host's own answer means.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._followers: dict[str, _Follower | _GatewayFollower] = {}

    async def start(
        self,
        host: KernelHost,
        host_kernel: str,
        kernel_id: str,
        cwd: str | None = None,
        env: Mapping[str, str] = _NO_ENV,
    ) -> Mapping[str, Any]:
        """Start the host's kernel ``host_kernel`` under ``kernel_id`` and give its REST model.

        ``cwd`` is an absolute working directory, None or empty for the session's own; ``env`` comes on top of the
        session's environment. The caller puts the kernel in the registry. A gateway may give another id and knows no
        folder of this machine; Unsettled where it broke off.
        """
        gateway = host.gateway
        body: dict[str, Any] = {"name": host_kernel, "env": dict(env)}
        if gateway is None or gateway.takes_ids:
            body["kernel_id"] = kernel_id
        if cwd and gateway is None:
            body["cwd"] = cwd
        timeout = START_TIMEOUT if gateway is None else gateway.start_timeout
        model = await self._ask(host, "POST", "/api/kernels", body, timeout)
        if not isinstance(model, dict) or "id" not in model:
            raise Internal(f"the session {host.session.id} answered no kernel's model")
        return model

    async def listed(self, host: KernelHost) -> list[Mapping[str, Any]]:
        """Give the models of all kernels behind a host's gateway."""
        models = await self._ask(host, "GET", "/api/kernels", None, ACT_TIMEOUT)
        if not isinstance(models, list) or not all(isinstance(each, dict) and each.get("id") for each in models):
            raise Internal(f"the kernels of {host.session.parent} cannot be read")
        return models

    async def end(self, host: KernelHost, host_id: str) -> None:
        """End a kernel that no registry knows; one that is gone already is no error."""
        with contextlib.suppress(NotFound):
            await self._ask(host, "DELETE", f"/api/kernels/{quote(host_id, safe='')}", None, ACT_TIMEOUT)

    async def interrupt(self, kernel: RemoteKernel) -> None:
        """Interrupt what the kernel is doing."""
        await self._act(kernel, "POST", "/interrupt", ACT_TIMEOUT)

    async def restart(self, kernel: RemoteKernel) -> None:
        """Restart the kernel under its id; returns when it runs again. Its websockets stay."""
        host = self._registry.host(kernel.session_uuid)
        gateway = host.gateway if host is not None else None
        # The model in the answer may be older than what the stream has told meanwhile, and would then stay.
        await self._act(kernel, "POST", "/restart", START_TIMEOUT if gateway is None else gateway.start_timeout)

    async def shutdown(self, kernel: RemoteKernel) -> None:
        """End the kernel and forget it; one that is gone already is no error."""
        if not kernel.dead and self._registry.host(kernel.session_uuid) is not None:
            with contextlib.suppress(NotFound):
                await self._act(kernel, "DELETE", "", ACT_TIMEOUT)
        self._forget(kernel.kernel_id, GONE)

    def follow(self, host: KernelHost) -> None:
        """Keep the registry up to date with an ACTIVE session's host; one followed already at this address goes on."""
        present = self._followers.get(host.session_uuid)
        if present is not None and present.reaches(host):
            return
        if present is not None:
            present.close()
        kind = _Follower if host.gateway is None else _GatewayFollower
        self._followers[host.session_uuid] = kind(self._registry, host)

    def unfollow(self, uuid: str) -> None:
        """Stop following a session's host; harmless where none is followed."""
        follower = self._followers.pop(uuid, None)
        if follower is not None:
            follower.close()

    async def close(self) -> None:
        """Stop following every host and wait until each task has ended."""
        followers = list(self._followers.values())
        self._followers.clear()
        for follower in followers:
            follower.close()
        tasks = [follower.task for follower in followers if follower.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _act(self, kernel: RemoteKernel, method: str, action: str, timeout: float) -> Any:
        host = self._registry.host(kernel.session_uuid)
        if host is None:
            raise Unavailable(f"the session of kernel {kernel.kernel_id} ({kernel.session}) is not known to be ACTIVE")
        try:
            path = f"{path_of(kernel)}{action}"
        except HostUnreachable as error:
            raise Unavailable(error.reason) from None
        return await self._ask(host, method, path, {} if method == "POST" else None, timeout)

    @staticmethod
    async def _ask(host: KernelHost, method: str, path: str, body: Any, timeout: float) -> Any:
        if not reachable(host):
            raise Unavailable(f"the session {host.session.id} is {host.state.name}: it has no kernels now")
        link = link_to(host)
        try:
            status, answer = await link.request(method, path, body, timeout)
        except HostUnreachable as error:
            kind = Unsettled if isinstance(error, AnswerLost) else Unavailable
            raise kind(f"{_named(host)} cannot be reached: {error.reason}") from None
        finally:
            link.close()
        if status >= 300:
            said = _message(answer) or f"it answered {status}"
            broken = status in _BROKEN and host.gateway is not None
            raise (Unsettled if broken else _ERRORS.get(status, Internal))(
                f"{_named(host).removeprefix('the ')}: {said}"
            )
        return answer

    def _forget(self, kernel_id: str, reason: str) -> None:
        # Dead first: an open websocket is to say why.
        self._registry.mark_dead(kernel_id, reason)
        self._registry.remove(kernel_id)


class _Follower:
    """Reads one host's side stream into the registry, until closed."""

    def __init__(self, registry: Registry, host: KernelHost) -> None:
        self._registry, self._host = registry, host
        self._link = link_to(host)
        self._stream = SideStream(self._dial, self._take, self._broke)
        self.task: asyncio.Task[None] | None = self._stream.task

    def reaches(self, host: KernelHost) -> bool:
        """Whether following ``host`` would be just this."""
        mine = self._host
        return (mine.address, mine.token, mine.uid) == (host.address, host.token, host.uid)

    def close(self) -> None:
        """Stop."""
        self._stream.close()
        self._link.close()

    async def _dial(self, sink: Sink) -> KernelSocket:
        return await self._link.websocket(PATH, max_message_size=_STREAM_MESSAGE, sink=sink)

    def _take(self, event: Mapping[str, Any]) -> None:
        take_event(self._registry, self._host.session_uuid, event)

    def _broke(self, why: str) -> None:
        log.info("session %s: %s; its kernels' states may be old", self._host.session.id, why)


class _GatewayFollower:
    """Hears of one host's kernels from its gateway, until closed."""

    task: asyncio.Task[None] | None = None

    def __init__(self, registry: Registry, host: KernelHost) -> None:
        self._registry, self._host = registry, host
        assert host.gateway is not None  # noqa: S101 - for the type alone
        self._unfollow = host.gateway.follow(host, self._take)

    def reaches(self, host: KernelHost) -> bool:
        """Whether following ``host`` would be just this."""
        return self._host.gateway is host.gateway and self._host.session == host.session

    def close(self) -> None:
        """Stop."""
        self._unfollow()

    def _take(self, event: Mapping[str, Any]) -> None:
        take_event(self._registry, self._host.session_uuid, event)


def take_event(registry: Registry, uuid: str, event: Mapping[str, Any]) -> None:
    """Take one event of a host's side stream into the registry; raises what a malformed one raises."""
    kind = event["type"]
    if kind == "kernels":
        registry.sync(uuid, event["kernels"])
    elif kind == "kernel":
        registry.take(uuid, event["kernel"])
    elif kind == "gone":
        kernel = registry.find(uuid, str(event["id"]))
        if kernel is not None:
            registry.mark_dead(kernel.kernel_id, str(event.get("reason") or GONE))
            registry.remove(kernel.kernel_id)


def _named(host: KernelHost) -> str:
    """Name a host in a message."""
    return f"the kernel gateway of {host.session.parent}" if host.starter else f"the session {host.session.id}"


def _message(answer: Any) -> str:
    """Find the words in a host's error: ``{"message"}``, ``{"reason"}``, ``{"error": {"message"}}`` or plain text."""
    if isinstance(answer, str):
        return answer.strip()[:500]
    if not isinstance(answer, dict):
        return ""
    error = answer.get("error")
    if isinstance(error, dict):
        return _message(error)
    return str(answer.get("message") or answer.get("reason") or "")
