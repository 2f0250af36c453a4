"""One kernel's process: jupyter_client's manager, told everything by the session's intent instead of by the disk."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from jupyter_client.ioloop.manager import AsyncIOLoopKernelManager
from jupyter_client.ioloop.restarter import AsyncIOLoopKernelRestarter
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Float, observe

from jupyter_sessions.model.hostfile import CONNECTIONS, MARK, KernelSpecEntry

SOCKET_PATH = 107 if sys.platform == "linux" else 103
"""The longest path of a Unix socket, in bytes."""

CHANNELS = ("shell", "iopub", "stdin", "control", "hb")

_IPC = re.compile(r"\d+-\d+\Z")
_CONNECTION = re.compile(r"kernel-.+\.json\Z")
log = logging.getLogger(__name__)


class Restarter(AsyncIOLoopKernelRestarter):
    """Starts a kernel that died anew, at most five times in a row; looks each second."""

    time_to_dead = Float(1.0)

    async def poll(self) -> None:  # type: ignore[override]  # jupyter_client's own class overrides it so
        """Look once. A restart that cannot even start its process is the kernel's end."""
        async with self.kernel_manager.acting:
            if self.kernel_manager.shutting_down:
                return
            try:
                await super().poll()
            except Exception:
                log.exception("a kernel that died could not be started again")
                self._fire_callbacks("dead")
                self.stop()


class Manager(AsyncIOLoopKernelManager):
    """Starts, interrupts, restarts and ends one kernel process.

    ``prepare`` is awaited before each start of a process, when the addresses are known and nobody listens yet. Hold
    ``acting`` for a restart or a shutdown: the restarter looks under it.
    """

    def __init__(self, entry: KernelSpecEntry, prepare: Callable[[], Awaitable[None]], **traits: Any) -> None:
        super().__init__(restarter_class=Restarter, **traits)
        self._spec = kernel_spec(entry)
        self._prepare = prepare
        self.acting = asyncio.Lock()
        if not entry.metadata.get("kernel_provisioner"):
            # The factory would read the entry points of every installed package first.
            self.provisioner = LocalProvisioner(kernel_id=self.kernel_id, kernel_spec=self._spec, parent=self)

    @property
    def kernel_spec(self) -> KernelSpec:
        """The spec, from the intent."""
        return self._spec

    @observe("kernel_name")
    def _kernel_name_changed(self, change: Any) -> None:
        """Keep the name: the base class would make ``python`` the host's own kernel."""

    async def _async_launch_kernel(self, kernel_cmd: list[str], **kw: Any) -> None:
        await self._prepare()
        await super()._async_launch_kernel(kernel_cmd, **kw)

    def url(self, channel: str) -> str:
        """Give the ZMQ address of one of :data:`CHANNELS`."""
        port = getattr(self, f"{channel}_port")
        return f"tcp://{self.ip}:{port}" if self.transport == "tcp" else f"ipc://{self.ip}-{port}"

    async def clear(self) -> None:
        """Give up what belongs to the process: connection file, Unix sockets, control socket; raises nothing."""
        self.shutting_down = True
        self.stop_restarter()
        try:
            await self._async_cleanup_resources()
        except Exception:
            log.exception("what a kernel used could not be cleared away")

    @property
    def pid(self) -> int:
        """The process, 0 where there is none."""
        return int(getattr(self.provisioner, "pid", 0) or 0) if self.has_kernel else 0


def kernel_spec(entry: KernelSpecEntry) -> KernelSpec:
    """Give jupyter_client's kernelspec of an entry."""
    return KernelSpec(
        argv=list(entry.argv),
        display_name=entry.display_name,
        language=entry.language,
        interrupt_mode=entry.interrupt_mode,
        # The mark is the host's to give: by it a session's processes are found.
        env={name: value for name, value in entry.env.items() if name != MARK},
        metadata=dict(entry.metadata),
        resource_dir=entry.resource_dir,
    )


def speaks_ipc(entry: KernelSpecEntry) -> bool:
    """Say whether a kernel may be reached over Unix sockets: only ipykernel is known to bind them well."""
    return any(
        module in ("ipykernel", "ipykernel_launcher")
        for flag, module in zip(entry.argv, entry.argv[1:], strict=False)
        if flag == "-m"
    )


def check_socket_dir(directory: str) -> None:
    """Raise ValueError where a kernel's sockets in ``directory`` would have too long a path."""
    longest = len(os.fsencode(os.path.join(directory, "9999-5")))
    if longest > SOCKET_PATH:
        raise ValueError(f"socket_dir {directory} is {longest - SOCKET_PATH} bytes too long for a socket's path")


def remove_leftovers(directory: str) -> None:
    """Remove the sockets and connection files (they hold keys) that kernels have left in ``directory``."""
    connections = os.path.join(directory, CONNECTIONS)
    for place, pattern in ((directory, _IPC), (connections, _CONNECTION)):
        with contextlib.suppress(OSError):
            for name in filter(pattern.match, os.listdir(place)):
                with contextlib.suppress(OSError):
                    os.unlink(os.path.join(place, name))
    with contextlib.suppress(OSError):
        os.rmdir(connections)
