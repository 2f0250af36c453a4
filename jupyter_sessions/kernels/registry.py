"""The kernels of sessions, in memory: what every listing, model, culling and connection reads.

Nothing here does I/O or calls a host. ``RemoteHosts`` writes what the hosts say, the mapping manager and the
notebook sessions read, ``Records`` listens and persists.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from traitlets.config import Configurable

from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_client.kernelspec import KernelSpec

    from jupyter_sessions.model.api import KernelHost, Unsubscribe

log = logging.getLogger(__name__)

What = Literal["added", "changed", "dead", "removed"]
Listener = Callable[["RemoteKernel", What], None]

UNKNOWN = "unknown"
"""The execution state of a kernel whose host has not spoken yet: one of JupyterLab's own states."""
DEAD = "dead"


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
    ``last_activity`` and ``started`` are aware. ``reason`` says why the kernel died, else is empty.
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
        seen: bool = False,
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
        # Whether a list of the host's may be missing it: a list sent before the start lacks a kernel just started.
        self.seen = seen
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
        """Give no path: where the kernel's files lie is known to its session alone."""
        return None

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


class Registry:
    """All remote kernels and the live hosts behind them. Used on the event loop only."""

    def __init__(self) -> None:
        self._kernels: dict[str, RemoteKernel] = {}
        self._hosts: dict[str, KernelHost] = {}
        self._listeners: list[Listener] = []
        self._host_listeners: list[Callable[[KernelHost], None]] = []

    def get(self, kernel_id: str | None) -> RemoteKernel | None:
        """Give a kernel, dead ones too; None where it is no remote one."""
        return self._kernels.get(kernel_id) if kernel_id else None

    def all(self) -> list[RemoteKernel]:
        """Give every kernel, oldest first."""
        return list(self._kernels.values())

    def of_session(self, uuid: str) -> list[RemoteKernel]:
        """Give the kernels of one session, dead ones too."""
        return [kernel for kernel in self._kernels.values() if kernel.session_uuid == uuid]

    def add(self, kernel: RemoteKernel) -> None:
        """Take a kernel in and tell ``added``; one of the same id is replaced."""
        kernel.registry = self
        self._kernels[kernel.kernel_id] = kernel
        self._tell(kernel, "added")

    def remove(self, kernel_id: str) -> RemoteKernel | None:
        """Forget a kernel and tell ``removed``; gives it, or None where it was not known."""
        kernel = self._kernels.pop(kernel_id, None)
        if kernel is not None:
            self._tell(kernel, "removed")
        return kernel

    def update(self, kernel_id: str, model: Mapping[str, Any]) -> None:
        """Take what a host says of a kernel (its REST model); tells ``changed``, only when something did.

        A dead kernel stays dead and an unknown id is ignored. ``last_activity`` never goes back.
        """
        kernel = self.get(kernel_id)
        if kernel is None or kernel.dead:
            return
        kernel.seen = True
        before = (kernel.execution_state, kernel.last_activity, kernel.connections)
        state = model.get("execution_state")
        if state == DEAD:
            self.mark_dead(kernel_id, str(model.get("reason") or "the kernel died"))
            return
        if isinstance(state, str) and state:
            kernel.execution_state = state
        active = parse_time(str(model.get("last_activity", "")))
        if active is not None:
            kernel.last_activity = max(active, kernel.last_activity) if before[0] != UNKNOWN else active
        connections = model.get("connections")
        if isinstance(connections, int):
            kernel.connections = connections
        if before != (kernel.execution_state, kernel.last_activity, kernel.connections):
            self._tell(kernel, "changed")

    def mark_dead(self, kernel_id: str, reason: str) -> None:
        """Say that a kernel has ended and why; it stays listed as ``dead`` until removed. Tells ``dead`` once."""
        kernel = self.get(kernel_id)
        if kernel is None or kernel.dead:
            return
        kernel.execution_state = DEAD
        kernel.reason = reason
        kernel.connections = 0
        self._tell(kernel, "dead")

    def sync(self, uuid: str, models: Sequence[Mapping[str, Any]], reason: str = "the kernel has ended") -> None:
        """Take a host's whole list: update what it names, adopt what is new, mark dead what is missing.

        A kernel that the host has not named yet survives one list without it, which may be older than its start.
        """
        named = {str(model["id"]) for model in models if "id" in model}
        for model in models:
            self.take(uuid, model)
        for kernel in self.of_session(uuid):
            if kernel.kernel_id in named or kernel.dead:
                continue
            if kernel.seen:
                self.mark_dead(kernel.kernel_id, reason)
            else:
                kernel.seen = True

    def take(self, uuid: str, model: Mapping[str, Any]) -> None:
        """Take one kernel's model of a host: update it, or adopt one that another server started there."""
        kernel_id = str(model.get("id", ""))
        host = self.host(uuid)
        if not kernel_id or (kernel_id not in self._kernels and (host is None or model.get("execution_state") == DEAD)):
            return
        if kernel_id not in self._kernels and host is not None:
            host_kernel = str(model.get("name", ""))
            kernel = RemoteKernel(
                kernel_id=kernel_id,
                name=self.spec_name(host, host_kernel),
                host_kernel=host_kernel,
                session_uuid=uuid,
                session=str(host.session),
                spec=next((offer.spec for offer in host.kernels if offer.name == host_kernel), None),
                seen=True,
            )
            self.add(kernel)
        self.update(kernel_id, model)

    @staticmethod
    def spec_name(host: KernelHost, host_kernel: str) -> str:
        """Give the name under which a session's kernel stands in the kernel picker: lower case, before any suffix."""
        from jupyter_sessions.model.names import LOCAL

        parent = host.session.parent
        prefix = "" if parent == LOCAL else f"{parent.project}.{parent.location}."
        return f"{prefix}{host.session.id}.{host_kernel}".lower()

    def host(self, uuid: str) -> KernelHost | None:
        """Give the live host of a session; None where it is not ACTIVE or not known yet."""
        return self._hosts.get(uuid)

    def hosts(self) -> list[KernelHost]:
        """Give the hosts of every ACTIVE session."""
        return list(self._hosts.values())

    def set_host(self, host: KernelHost) -> None:
        """Take a session's new data; one that is not ACTIVE any more takes its kernels with it."""
        if host.state is State.ACTIVE:
            self._hosts[host.session_uuid] = host
        else:
            self._hosts.pop(host.session_uuid, None)
            for kernel in self.of_session(host.session_uuid):
                self.mark_dead(kernel.kernel_id, end_reason(host))
        for listener in list(self._host_listeners):
            listener(host)

    def subscribe(self, listener: Listener) -> Unsubscribe:
        """Call ``listener(kernel, what)`` after each change, on the loop, in order."""
        self._listeners.append(listener)
        return lambda: _discard(self._listeners, listener)

    def subscribe_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Call ``listener(host)`` whenever a session's host becomes known, changes or goes."""
        self._host_listeners.append(listener)
        return lambda: _discard(self._host_listeners, listener)

    def _tell(self, kernel: RemoteKernel, what: What) -> None:
        for listener in list(self._listeners):
            try:
                listener(kernel, what)
            except Exception:
                # One room's fault must not keep the others from the news.
                log.exception("a listener failed on %s of kernel %s", what, kernel.kernel_id)


def end_reason(host: KernelHost) -> str:
    """Say in words why the kernels of a session that is not ACTIVE are gone."""
    ended = f"the session {host.session.id} is {host.state.name}"
    return f"{ended}: {host.state_message}" if host.state_message else ended


def _discard(listeners: list[Any], listener: object) -> None:
    if listener in listeners:
        listeners.remove(listener)


def alive(kernels: Iterable[RemoteKernel]) -> list[RemoteKernel]:
    """Give those that are not dead."""
    return [kernel for kernel in kernels if not kernel.dead]
