"""Where the kernels of ACTIVE sessions are reached, in memory, and who is told when that changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jupyter_sessions.engines.base import Alive
from jupyter_sessions.model.api import KernelHost, OfferedKernel, Unsubscribe
from jupyter_sessions.model.states import State
from jupyter_sessions.service.rows import SessionRow
from jupyter_sessions.storage.listeners import Listeners


def kernel_host(row: SessionRow, alive: Alive | None, kernels: Sequence[OfferedKernel]) -> KernelHost:
    """Describe a session for the kernels room; ``alive`` None or a state other than ACTIVE has no address."""
    session = row.session
    display = session.jupyter_session.display_name if session.jupyter_session else ""
    reached = alive if alive is not None and session.state is State.ACTIVE else Alive(0)
    return KernelHost(
        session=session.parsed_name,
        session_uuid=row.uuid,
        display_name=display or row.id,
        state=session.state,
        state_message=session.state_message,
        kernels=tuple(kernels),
        address=reached.address,
        token=reached.token,
        uid=reached.uid,
    )


class HostRegistry:
    """The KernelHost of every ACTIVE session that this server can reach or hopes to."""

    def __init__(self) -> None:
        self._hosts: dict[str, KernelHost] = {}
        self._listeners = Listeners[KernelHost]()

    def all(self) -> Sequence[KernelHost]:
        """Give every ACTIVE session, oldest known first."""
        return list(self._hosts.values())

    def get(self, session_uuid: str) -> KernelHost | None:
        """Give one ACTIVE session, None for any other."""
        return self._hosts.get(session_uuid)

    def watch(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Call ``listener`` for each difference from now on; the answer undoes it."""
        return self._listeners.add(listener)

    def put(self, host: KernelHost) -> None:
        """Take what is known now and tell it if it differs; one that is not ACTIVE is told once and forgotten."""
        known = self._hosts.get(host.session_uuid)
        if host.state is State.ACTIVE:
            self._hosts[host.session_uuid] = host
        else:
            self._hosts.pop(host.session_uuid, None)
        if (known is None and host.state is State.ACTIVE) or (known is not None and known != host):
            self._listeners.tell(host)
