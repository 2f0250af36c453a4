"""What sessions offered when this server, or the one before it, last heard of them.

A page that is loaded just after a start shows a notebook's kernel by its kernelspec, and asks for those once: they are
listed before the session has been heard of again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.model.api import KernelHost


class Remembered:
    """Hosts without an address, by session; each is forgotten once its session says what it offers, or ends."""

    def __init__(self) -> None:
        self._hosts: dict[str, KernelHost] = {}

    def restore(self, hosts: Iterable[KernelHost]) -> None:
        """Take what was kept."""
        self._hosts = {host.session_uuid: host for host in hosts}

    def among(self, hosts: Mapping[str, KernelHost]) -> list[KernelHost]:
        """Give the hosts, those that have not said yet what they offer with what is remembered, and the rest of it."""
        rest = [host for uuid, host in self._hosts.items() if uuid not in hosts]
        return [self._completed(host) for host in hosts.values()] + rest

    def _completed(self, host: KernelHost) -> KernelHost:
        known = self._hosts.get(host.session_uuid)
        return host if known is None or host.kernels else replace(host, kernels=known.kernels)

    def heard(self, host: KernelHost) -> None:
        """Hear of a session."""
        if host.kernels or host.state is not State.ACTIVE:
            self._hosts.pop(host.session_uuid, None)

    def keep(self, uuids: Collection[str]) -> None:
        """Forget all but these sessions."""
        self._hosts = {uuid: host for uuid, host in self._hosts.items() if uuid in uuids}
