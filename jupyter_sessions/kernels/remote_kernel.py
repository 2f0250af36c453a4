"""One kernel of a session, as Jupyter Server's own rooms see a kernel."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from traitlets.config import Configurable

from jupyter_sessions.kernels.refused import Refused

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpec

    from jupyter_sessions.kernels.clients import SessionClient
    from jupyter_sessions.kernels.registry import Registry

UNKNOWN = "unknown"
"""The execution state of a kernel whose host has not spoken yet: one of JupyterLab's own states."""
DEAD = "dead"
NOT_UP = frozenset({UNKNOWN, DEAD, "starting", "restarting", "autorestarting"})
"""The states of a kernel that has no process known to have spoken."""


def utcnow() -> datetime:
    """Give the present time, aware, in UTC."""
    return datetime.now(timezone.utc)


def parse_time(text: str) -> datetime | None:
    """Read an ISO 8601 time of a kernel's model, with ``Z`` or an offset; None where it is none."""
    try:
        time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


class RemoteKernel(Configurable):
    """One kernel of a session, as Jupyter Server's own rooms see a kernel.

    A ``Configurable`` because a websocket connection takes its kernel as ``parent``; the kernel's own ``parent`` is
    the mapping manager once that is bound. ``name`` is our kernelspec's name, ``host_kernel`` the kernel's name on
    the host, ``session`` the session's full resource name, ``spec`` the kernelspec's JSON as it was at the start.
    ``last_activity`` and ``started`` are aware. ``reason`` says why the kernel died, else is empty. ``cwd`` is the
    folder it was started in, ``env`` what it gets on top at its next start, ``callbacks`` who wants to hear of its
    ``restart`` or ``dead``, ``restarting`` whether they were told of a restart that is under way.

    Behind a gateway: ``host_id`` is its id there (``""`` while that is not known), ``pending`` whether the start is not
    answered yet, ``legacy`` whether its channels speak only JSON, ``linked`` the session that its model names.
    """

    def __init__(
        self,
        *,
        kernel_id: str,
        name: str,
        host_kernel: str,
        session_uuid: str,
        session: str,
        spec: Mapping[str, Any] | None = None,
        execution_state: str = UNKNOWN,
        started: datetime | None = None,
        last_activity: datetime | None = None,
        cwd: str = "",
        seen: bool = False,
        host_id: str | None = None,
        pending: bool = False,
        legacy: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_id = kernel_id
        self.name = name
        self.host_kernel = host_kernel
        self.session_uuid = session_uuid
        self.session = session
        self.spec: dict[str, Any] = dict(spec or {})
        self.execution_state = execution_state
        self.started = started or utcnow()
        self.last_activity = last_activity or self.started
        self.connections = 0
        self.reason = ""
        self.cwd = cwd
        self.env: dict[str, str] = {}
        self.callbacks: dict[str, list[Callable[[], Any]]] = {}
        self.restarting = False
        # Whether a list of the host's may be missing it: a list sent before the start lacks a kernel just started.
        self.seen = seen
        self.host_id = kernel_id if host_id is None else host_id
        self.pending = pending
        self.legacy = legacy
        self.linked = ""
        self.registry: Registry | None = None

    @property
    def kernel_name(self) -> str:
        """The kernelspec's name, under the name that kernel managers use."""
        return self.name

    @property
    def dead(self) -> bool:
        """Whether it has ended and is only kept to say why."""
        return self.execution_state == DEAD

    @property
    def up(self) -> bool:
        """Whether its process has been heard."""
        return self.execution_state not in NOT_UP

    @property
    def kernel_spec(self) -> KernelSpec:
        """The kernelspec it was started from; there even when the session has ended."""
        from jupyter_client.kernelspec import KernelSpec

        known = {key: value for key, value in self.spec.items() if KernelSpec.class_traits().get(key) is not None}
        return KernelSpec(**known)

    @property
    def has_kernel(self) -> bool:
        """Whether a process stands behind it."""
        return not self.dead

    async def is_alive(self) -> bool:
        """Say whether it lives, as far as its host has said."""
        return not self.dead

    async def resolve_path(self, path: str) -> str | None:
        """Give the absolute path of a file as the kernel sees it; None where it is on another machine or not there."""
        host = self.registry.host(self.session_uuid) if self.registry else None
        if host is None or not host.address.startswith("unix:"):
            return None
        return await asyncio.to_thread(_existing, self.cwd, path)

    def model(self) -> dict[str, Any]:
        """Give the kernel's model of the REST API, with the stock keys and no other."""
        model = {
            "id": self.kernel_id,
            "name": self.name,
            "last_activity": self.last_activity.isoformat().replace("+00:00", "Z"),
            "execution_state": self.execution_state,
            "connections": self.connections,
        }
        if self.reason:
            model["reason"] = self.reason
        return model

    @property
    def client_factory(self) -> type[SessionClient]:
        """The class of a ZMQ client with this kernel as ``parent``; raises Refused where it is on another machine."""
        from jupyter_sessions.kernels.clients import SessionClient, local_host

        local_host(self)
        return SessionClient

    def get_connection_info(self, session: bool = False) -> dict[str, Any]:
        """Give addresses and key of a kernel on this machine; with ``session`` the key as a Session that signs with it.

        Never to be logged or answered. Raises Refused.
        """
        from jupyter_sessions.kernels.clients import connection_info

        info = connection_info(self)
        if session:
            from jupyter_client.session import Session

            info["session"] = Session(key=info.pop("key"), signature_scheme=info.pop("signature_scheme"))
        return info

    def client(self, **kwargs: Any) -> SessionClient:
        """Give a ZMQ client of a kernel on this machine, its channels not started; raises Refused."""
        client = self.client_factory(**{"parent": self, "config": self.config, **kwargs})
        info: Any = self.get_connection_info()
        client.load_connection_info(info)
        return client

    def connect_shell(self, **kwargs: Any) -> NoReturn:
        """Refuse: a client of its own, or its websocket, is the way in."""
        raise Refused(501, f"kernel {self.kernel_id} of {self.session} gives no sockets: use its websocket or client()")

    connect_iopub = connect_control = connect_stdin = connect_hb = connect_shell

    def add_restart_callback(self, callback: Callable[[], Any], event: str = "restart") -> None:
        """Call ``callback()`` whenever the kernel restarts, or once it is dead (``event``: ``restart``, ``dead``).

        What it gives is awaited, where it can be, after what earlier calls gave.
        """
        self.callbacks.setdefault(event, []).append(callback)

    def remove_restart_callback(self, callback: Callable[[], Any], event: str = "restart") -> None:
        """Call it no longer."""
        if callback in self.callbacks.get(event, ()):
            self.callbacks[event].remove(callback)

    @property
    def _manager(self) -> Any:
        return self.parent

    def interrupt_kernel(self) -> Any:
        """Interrupt it, by its mapping manager."""
        return self._manager.interrupt_kernel(self.kernel_id)

    def restart_kernel(self, now: bool = False) -> Any:
        """Restart it, by its mapping manager."""
        return self._manager.restart_kernel(self.kernel_id)

    def shutdown_kernel(self, now: bool = False, restart: bool = False) -> Any:
        """End it, by its mapping manager."""
        return self._manager.shutdown_kernel(self.kernel_id)

    request_shutdown = shutdown_kernel

    async def finish_shutdown(self, waittime: float | None = None, pollinterval: float = 0.1) -> None:
        """Do nothing: its host sees a shutdown through."""

    def cleanup_resources(self, restart: bool = False) -> None:
        """Do nothing: it holds no resource of this server."""

    def signal_kernel(self, signum: int) -> Any:
        """Interrupt it for SIGINT; refuse any other signal."""
        if signum != signal.SIGINT:
            raise Refused(501, f"signal {signum} cannot be sent to a kernel of {self.session}: only SIGINT")
        return self.interrupt_kernel()


def _existing(folder: str, path: str) -> str | None:
    full = os.path.join(folder, os.path.expanduser(path))
    return os.path.abspath(full) if os.path.isabs(full) and os.path.exists(full) else None
