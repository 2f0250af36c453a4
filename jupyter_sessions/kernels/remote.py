"""What the server says to sessions' hosts about kernels, and what the hosts say on their own.

One side stream per host carries states, activity, starts by other servers and deaths into the registry; it never
waits behind a kernel's output. Each host has a task and a link of its own, so that a slow or dead one costs the others
nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jupyter_sessions.engines.hostlink import HostLink, HostUnreachable
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
    from jupyter_sessions.model.api import KernelHost

log = logging.getLogger(__name__)

START_TIMEOUT = 60.0
"""Seconds a host has to start or restart a kernel."""
ACT_TIMEOUT = 15.0
"""Seconds a host has to interrupt or end a kernel."""
GONE = "the kernel was shut down"

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 10.0
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


class RemoteHosts:
    """Acts on the kernels of ``registry``'s hosts and keeps it up to date by following them.

    Every act raises a SessionsError: Unavailable where the host cannot be reached or its session is not ACTIVE,
    NotFound where it knows no such kernel, else what the host's own answer means.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._followers: dict[str, _Follower] = {}

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
        session's environment. The caller puts the kernel in the registry.
        """
        body: dict[str, Any] = {"name": host_kernel, "kernel_id": kernel_id, "env": dict(env)}
        if cwd:
            body["cwd"] = cwd
        model = await self._ask(host, "POST", "/api/kernels", body, START_TIMEOUT)
        if not isinstance(model, dict) or "id" not in model:
            raise Internal(f"the session {host.session.id} answered no kernel's model")
        return model

    async def interrupt(self, kernel: RemoteKernel) -> None:
        """Interrupt what the kernel is doing."""
        await self._act(kernel, "POST", "/interrupt", ACT_TIMEOUT)

    async def restart(self, kernel: RemoteKernel) -> None:
        """Restart the kernel under its id; returns when it runs again. Its websockets stay."""
        # The model in the answer may be older than what the stream has told meanwhile, and would then stay.
        await self._act(kernel, "POST", "/restart", START_TIMEOUT)

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
        self._followers[host.session_uuid] = _Follower(self._registry, host)

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
        await asyncio.gather(*(follower.task for follower in followers), return_exceptions=True)

    async def _act(self, kernel: RemoteKernel, method: str, action: str, timeout: float) -> Any:
        host = self._registry.host(kernel.session_uuid)
        if host is None:
            raise Unavailable(f"the session of kernel {kernel.kernel_id} ({kernel.session}) is not known to be ACTIVE")
        path = f"/api/kernels/{quote(kernel.kernel_id, safe='')}{action}"
        return await self._ask(host, method, path, {} if method == "POST" else None, timeout)

    @staticmethod
    async def _ask(host: KernelHost, method: str, path: str, body: Any, timeout: float) -> Any:
        if not host.address:
            raise Unavailable(f"the session {host.session.id} is {host.state.name}: it has no kernels now")
        link = HostLink(host.address, host.token, host.uid)
        try:
            status, answer = await link.request(method, path, body, timeout)
        except HostUnreachable as error:
            raise Unavailable(f"the session {host.session.id} cannot be reached: {error.reason}") from None
        finally:
            link.close()
        if status >= 300:
            said = _message(answer) or f"it answered {status}"
            raise _ERRORS.get(status, Internal)(f"session {host.session.id}: {said}")
        return answer

    def _forget(self, kernel_id: str, reason: str) -> None:
        # Dead first: an open websocket is to say why.
        self._registry.mark_dead(kernel_id, reason)
        self._registry.remove(kernel_id)


class _Follower:
    """Reads one host's side stream into the registry, until closed."""

    def __init__(self, registry: Registry, host: KernelHost) -> None:
        self._registry, self._host = registry, host
        self._link = HostLink(host.address, host.token, host.uid)
        self._heard = False
        self.task = asyncio.get_running_loop().create_task(self._run())

    def reaches(self, host: KernelHost) -> bool:
        """Whether following ``host`` would be just this."""
        mine = self._host
        return (mine.address, mine.token, mine.uid) == (host.address, host.token, host.uid)

    def close(self) -> None:
        """Stop."""
        self.task.cancel()
        self._link.close()

    async def _run(self) -> None:
        pause, told = _FIRST_PAUSE, ""
        while True:
            self._heard = False
            try:
                why = await self._read()
            except HostUnreachable as error:
                why = error.reason
            if self._heard:
                pause, told = _FIRST_PAUSE, ""
            if why != told:
                log.info("session %s: %s; its kernels' states may be old", self._host.session.id, why)
                told = why
            # Spread out: every server follows every host, and all lose one at the same moment.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - no secret
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _read(self) -> str:
        """Read the stream until it ends and give why, in words."""
        ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def receive(message: str | bytes | None) -> None:
            if ended.done():
                return
            if message is None:
                ended.set_result("the host's stream has ended")
                return
            try:
                self._take(json.loads(message))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                ended.set_result(f"the host's stream cannot be read: {error}")

        socket = await self._link.websocket("/host/stream", max_message_size=_STREAM_MESSAGE, sink=receive)
        try:
            return await ended
        finally:
            socket.close()

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, uuid = event["type"], self._host.session_uuid
        if kind == "kernels":
            self._registry.sync(uuid, event["kernels"])
            self._heard = True
        elif kind == "kernel":
            self._registry.take(uuid, event["kernel"])
        elif kind == "gone":
            kernel = self._registry.get(str(event["id"]))
            if kernel is not None and kernel.session_uuid == uuid:
                self._registry.mark_dead(kernel.kernel_id, str(event.get("reason") or GONE))
                self._registry.remove(kernel.kernel_id)


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
