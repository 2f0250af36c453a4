"""ZMQ clients of a session's kernel on this machine, for a package that executes notebooks on the server.

The host stays the kernel's owner: a client adds DEALER and SUB sockets to those that the host has. Neither Jupyter's
own rooms nor ours use them.
"""

from __future__ import annotations

import json
import os
import stat
from typing import TYPE_CHECKING, Any

from jupyter_client.asynchronous.client import AsyncKernelClient

from jupyter_sessions.kernels.refused import Refused
from jupyter_sessions.model.hostfile import connection_file

if TYPE_CHECKING:
    from jupyter_sessions.kernels.remote_kernel import RemoteKernel
    from jupyter_sessions.model.api import KernelHost

_UNIX = "unix:"


def local_host(kernel: RemoteKernel) -> KernelHost:
    """Give the host of a kernel whose ZMQ sockets are on this machine; raises Refused for any other."""
    host = kernel.registry.host(kernel.session_uuid) if kernel.registry is not None else None
    if kernel.dead or host is None:
        why = kernel.reason or "its session is not known to be running"
        raise Refused(503, f"no ZMQ client can be made for kernel {kernel.kernel_id} of {kernel.session}: {why}")
    if not host.address.startswith(_UNIX):
        raise Refused(
            501,
            f"kernel {kernel.kernel_id} of {kernel.session} is on another machine and has no ZMQ sockets here: "
            "use its websocket, or a session on this machine",
        )
    return host


def connection_info(kernel: RemoteKernel) -> dict[str, Any]:
    """Read a kernel's addresses and key, as jupyter_client's ``load_connection_info`` takes them.

    They hold the key that signs messages: never log or answer them. Raises Refused where the kernel is not on this
    machine, or its connection file is not there or not closed to other accounts.
    """
    host = local_host(kernel)
    socket_dir = os.path.dirname(host.address[len(_UNIX) :])
    try:
        info: dict[str, Any] = json.loads(_read_private(connection_file(socket_dir, kernel.kernel_id), host.uid))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise Refused(
            503,
            f"the addresses of kernel {kernel.kernel_id} of {kernel.session} cannot be read ({why}): use its websocket",
        ) from None
    info["key"] = str(info.get("key", "")).encode()
    return info


def _read_private(path: str, uid: int) -> bytes:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as source:
        seen = os.fstat(file)
        if not stat.S_ISREG(seen.st_mode) or seen.st_uid != uid or stat.S_IMODE(seen.st_mode) & 0o077:
            raise PermissionError(1, "the file is not its account's alone")
        return source.read()


class SessionClient(AsyncKernelClient):
    """A client of a session's kernel; its ``parent`` is the RemoteKernel. It waits for what the host says of it.

    While a process of the kernel starts it is not alive, whatever answers its heartbeat: that may be the old one.
    """

    @property
    def _kernel(self) -> RemoteKernel | None:
        from jupyter_sessions.kernels.remote_kernel import RemoteKernel

        return self.parent if isinstance(self.parent, RemoteKernel) else None

    def start_channels(
        self, shell: bool = True, iopub: bool = True, stdin: bool = True, hb: bool = True, control: bool = True
    ) -> None:
        """Start the channels; iopub not before it is used where the kernel is still starting.

        The host lifts the limit of messages that an ipykernel keeps for those who listen while it starts; it must not
        be lifted for a client that reads only while it executes.
        """
        kernel = self._kernel
        up = kernel is None or kernel.up
        super().start_channels(shell=shell, iopub=iopub and up, stdin=stdin, hb=hb, control=control)

    async def is_alive(self) -> bool:
        """Say whether the kernel's process runs: by the host, for a heartbeat may be late on a busy machine."""
        kernel = self._kernel
        return kernel.up if kernel is not None else await super()._async_is_alive()

    async def _async_is_alive(self) -> bool:
        # What the base class, and whoever connects, asks in a loop: a dead kernel is not worth waiting for.
        kernel = self._kernel
        if kernel is not None and kernel.dead:
            raise Refused(503, f"kernel {kernel.kernel_id} of {kernel.session} is dead: {kernel.reason}")
        return await self.is_alive()
