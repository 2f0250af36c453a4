"""The one place that knows how a host's kernels are reached: its own socket, or the gateway in front of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from jupyter_sessions.engines.hostlink import HostLink, HostUnreachable

if TYPE_CHECKING:
    from jupyter_sessions.kernels.remote_kernel import RemoteKernel
    from jupyter_sessions.model.api import KernelHost, KernelLink


def link_to(host: KernelHost) -> KernelLink:
    """Give a way to a host's kernels for one act; whoever asked closes it."""
    return HostLink(host.address, host.token, host.uid) if host.gateway is None else host.gateway.link()


def reachable(host: KernelHost) -> bool:
    """Whether there is a way at all: a gateway says itself why it has none yet."""
    return host.gateway is not None or bool(host.address)


def path_of(kernel: RemoteKernel) -> str:
    """Give the path of a kernel at its host; raises HostUnreachable while its start is not answered."""
    if kernel.pending:
        raise HostUnreachable(f"the kernel {kernel.kernel_id} is still starting")
    return f"/api/kernels/{quote(kernel.host_id, safe='')}"


def speaks_v1(host: KernelHost) -> bool:
    """Whether its channels speak the v1 protocol; else only JSON text frames."""
    return host.gateway is None or host.gateway.v1
