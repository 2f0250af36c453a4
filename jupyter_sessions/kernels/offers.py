"""What stands in the kernel picker: the names and kernelspecs of what ACTIVE sessions offer. Pure, no I/O."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jupyter_sessions.model.names import LOCAL

if TYPE_CHECKING:
    from jupyter_sessions.model.api import KernelHost, OfferedKernel

# What Jupyter allows in a kernelspec's name, in lower case.
_FOREIGN = re.compile(r"[^a-z0-9._-]")


@dataclass(frozen=True)
class Offer:
    """One kernelspec of ours: ``name`` is unique among all, ``kernel`` is what ``host`` can start."""

    name: str
    host: KernelHost
    kernel: OfferedKernel

    def spec(self) -> dict[str, Any]:
        """Give the kernelspec's JSON, as Jupyter shows it.

        ``argv`` is empty, an array for JupyterLab's sake: how the host starts the kernel is nobody's business, nor
        are the environment and provisioner of the kernel's own spec.
        """
        own, session = self.kernel.spec, self.host.session
        title = own.get("display_name") or self.kernel.name
        metadata = {key: value for key, value in dict(own.get("metadata") or {}).items() if key != "kernel_provisioner"}
        if self.host.starter:
            metadata["jupyter_sessions"] = {"location": str(session.parent)}
        else:
            metadata["jupyter_sessions"] = {
                "session": str(session),
                "sessionUuid": self.host.session_uuid,
                "location": str(session.parent),
            }
            title = _titled(self.host, str(title))
        return {
            "argv": [],
            "env": {},
            "display_name": title,
            "language": own.get("language") or "",
            "interrupt_mode": own.get("interrupt_mode") or "signal",
            "metadata": metadata,
            "kernel_protocol_version": own.get("kernel_protocol_version") or "",
        }


def _titled(host: KernelHost, title: str) -> str:
    return f"{host.display_name or host.session.id}: {_short_title(host, title)}"


def _short_title(host: KernelHost, title: str) -> str:
    # A gateway of our own kind names the session already.
    for shown in (host.display_name, host.session.id) if host.gateway is not None else ():
        if shown and title.startswith(f"{shown}: "):
            return title[len(shown) + 2 :]
    return title


def to_remember(host: KernelHost) -> list[OfferedKernel]:
    """Give what a session offers as it is to be named again while nothing is known of a gateway before it."""
    found = []
    for kernel in host.kernels:
        title = _short_title(host, str(kernel.spec.get("display_name") or kernel.name))
        spec = {**kernel.spec, "display_name": title}
        found.append(replace(kernel, name=short_name(host, kernel.name), spec=spec))
    return found


def plain_name(host: KernelHost, kernel: str) -> str:
    """Give the name that a kernel of a session has unless it is taken: lower case, and only signs Jupyter allows.

    What belongs to no session keeps its own name; what a gateway names by its session does not name that twice.
    """
    if host.starter:
        return _FOREIGN.sub("-", kernel.lower())
    parent, session = host.session.parent, host.session.id
    where = "" if parent == LOCAL else f"{parent.project}.{parent.location}."
    return _FOREIGN.sub("-", f"{where}{session}.{short_name(host, kernel)}".lower())


def short_name(host: KernelHost, kernel: str) -> str:
    """Give a kernel's name without the session's that a gateway may have put before it."""
    return kernel if host.gateway is None else kernel.rpartition(f"{host.session.id}.")[2] or kernel


def offered_as(host: KernelHost, kernel: str) -> OfferedKernel | None:
    """Find what a session offers under a kernel's name there, with or without the session's before it."""
    for offered in host.kernels:
        if offered.name == kernel:
            return offered
    short = short_name(host, kernel)
    return next((offered for offered in host.kernels if short_name(host, offered.name) == short), None)


def name_offers(hosts: Iterable[KernelHost], taken: Collection[str]) -> dict[str, Offer]:
    """Give every kernel offered by its name; one that collides gets the first free suffix ``.2``, ``.3``, …

    ``taken`` are the user's own kernelspecs, lower case. The answer depends on the set of sessions, not its order.
    """
    offers: dict[str, Offer] = {}
    for host in sorted(hosts, key=lambda host: (host.session, host.session_uuid)):
        for kernel in host.kernels:
            plain = name = plain_name(host, kernel.name)
            number = 1
            while name in offers or name in taken:
                number += 1
                name = f"{plain}.{number}"
            offers[name] = Offer(name, host, kernel)
    return offers
