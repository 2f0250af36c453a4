"""The side stream: what the host knows of its kernels, told to each server on a websocket of its own.

It never waits behind output: it has its own socket, and what feeds it is read at the spool's entrance.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from jupyter_sessions.host.kernel import Kernel
from jupyter_sessions.host.usage import KernelUsage, UsageSampler

ACTIVITY_SECONDS = 0.3
"""Mere activity is told at most this often; a state at once."""

USAGE_SECONDS = 2.0
_BACKLOG = 256
Message = dict[str, Any]


class Subscription:
    """One server's messages, in order; while it does not read, only the newest of each kernel is kept."""

    def __init__(self) -> None:
        self._messages: list[tuple[str, Message]] = []
        self._wake = asyncio.Event()

    def put(self, kernel_id: str, message: Message) -> None:
        """Add a message about a kernel (``""``: about all)."""
        self._messages.append((kernel_id, message))
        if len(self._messages) > _BACKLOG:
            newest = {name: each for name, each in self._messages}
            self._messages = list(newest.items())
        self._wake.set()

    async def get(self) -> Message:
        """Wait for the next message."""
        while not self._messages:
            self._wake.clear()
            await self._wake.wait()
        return self._messages.pop(0)[1]


class Feed:
    """Tells subscribers of changes; ``kernels`` gives the kernels there are."""

    def __init__(self, kernels: Callable[[], Iterable[Kernel]], usage_seconds: float = USAGE_SECONDS) -> None:
        self._kernels = kernels
        self._usage_seconds = usage_seconds
        self._subscriptions: set[Subscription] = set()
        self._late: dict[str, Kernel] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._usage: Mapping[str, KernelUsage] = {}
        self._sampler = UsageSampler()
        self._sampling: asyncio.Task[None] | None = None

    def subscribe(self) -> Subscription:
        """Begin a subscription with all kernels."""
        made = Subscription()
        made.put("", {"type": "kernels", "kernels": [self._model(kernel) for kernel in self._kernels()]})
        self._subscriptions.add(made)
        if self._sampling is None:
            self._sampling = asyncio.create_task(self._sample())
        return made

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; with the last one nothing is measured any more."""
        self._subscriptions.discard(subscription)
        if not self._subscriptions:
            self.close()

    def close(self) -> None:
        """Stop timers."""
        if self._sampling is not None:
            self._sampling.cancel()
            self._sampling = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def changed(self, kernel: Kernel, urgent: bool) -> None:
        """Tell of a kernel, at once or with what else comes within :data:`ACTIVITY_SECONDS`."""
        if not self._subscriptions:
            return
        if urgent:
            self._late.pop(kernel.id, None)
            self._tell(kernel)
            return
        self._late[kernel.id] = kernel
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(ACTIVITY_SECONDS, self._tell_late)

    def gone(self, kernel: Kernel, reason: str) -> None:
        """Tell that a kernel is no more, and why."""
        self._late.pop(kernel.id, None)
        self._put(kernel.id, {"type": "gone", "id": kernel.id, "reason": reason})

    def _tell_late(self) -> None:
        self._timer = None
        late, self._late = self._late, {}
        for kernel in late.values():
            self._tell(kernel)

    def _tell(self, kernel: Kernel) -> None:
        self._put(kernel.id, {"type": "kernel", "kernel": self._model(kernel)})

    def _put(self, kernel_id: str, message: Message) -> None:
        for subscription in self._subscriptions:
            subscription.put(kernel_id, message)

    def _model(self, kernel: Kernel) -> Message:
        usage = self._usage.get(kernel.id, KernelUsage())
        told = {"cpu_percent": usage.cpu_percent, "memory_bytes": usage.memory_bytes}
        return {**kernel.model(), "started": kernel.started, "usage": told}

    async def _sample(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                pids = {kernel.id: kernel.pid for kernel in self._kernels()}
                usage = await asyncio.to_thread(self._sampler.sample, pids) if pids else {}
                changed = [kernel for kernel in self._kernels() if usage.get(kernel.id) != self._usage.get(kernel.id)]
                self._usage = usage
                for kernel in changed:
                    self._tell(kernel)
                await asyncio.sleep(self._usage_seconds)
