"""The kernel websocket of a session's kernel: the user's own connection class, until a kernel is a remote one.

Core's handler, route, authentication, XSRF and origin checks stay as they are; only what stands between the browser's
websocket and the kernel is ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, cast
from urllib.parse import quote

from jupyter_server.services.kernels.connection.base import BaseKernelWebsocketConnection
from traitlets.config import Config

from jupyter_sessions.engines.hostlink import HostRefused, HostUnreachable, Sink
from jupyter_sessions.kernels.links import link_to, path_of, reachable
from jupyter_sessions.kernels.registry import Registry, RemoteKernel, What, utcnow
from jupyter_sessions.kernels.relay import HostLeg
from jupyter_sessions.model.hostfile import CLIENT_DONE
from jupyter_sessions.relay import frames
from jupyter_sessions.relay.outlet import Outlet, Wait

if TYPE_CHECKING:
    from jupyter_sessions.model.api import KernelSocket

CLOSE_DEAD = 1000
"""JupyterLab does not come back after it; only ever sent behind a ``status: dead``."""
CLOSE_BAD_FRAME = 1002
CLOSE_TRY_LATER = 1013
REFUSALS = frozenset({1007, CLOSE_TRY_LATER})
"""Codes by which a host refuses a message or a client: to dial again would hide from the browser what was lost."""

LAST_WORDS = 1.0
"""Seconds that a dead kernel's output, still on its way, has to reach the browser before the death does."""

GATEWAY_PAUSE = 5.0
"""The most seconds between two dials of a gateway: it may refuse for long, and many dial it."""

_NOTE_EVERY = 1.0
_REASON_BYTES = 120


class RemoteConnection(BaseKernelWebsocketConnection):
    """Relays one browser's websocket to the host of a session's kernel; ``parent`` is the RemoteKernel.

    The browser's websocket is accepted at once and what it says held until the host is there; it stays open while the
    host's is dialed again. Frames pass as they are, in both protocols.
    """

    open_connections: ClassVar[dict[tuple[str, str], RemoteConnection]] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._leg = HostLeg(self._dial, self._from_host, self._host_refused, self._host_lost, self._host_late)
        self._outlet: Outlet | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._ending: asyncio.TimerHandle | None = None
        self._v1 = False
        self._next_note = 0.0
        self._untracked: frozenset[str] = frozenset()
        self._allowed: frozenset[str] = frozenset()

    @property
    def _kernel(self) -> RemoteKernel:
        return cast("RemoteKernel", self.parent)

    @property
    def _registry(self) -> Registry:
        registry = self._kernel.registry
        if registry is None:
            raise HostUnreachable(f"the kernel {self.kernel_id} is in no registry")
        return registry

    @property
    def _key(self) -> tuple[str, str]:
        return (self.kernel_id, self.session_id)

    async def connect(self) -> None:
        """Begin to relay. Returns at once: tornado reads nothing of the browser's until it has."""
        stale = self.open_connections.get(self._key)
        if stale is not None:
            self.log.warning("Replacing stale connection: %s:%s", *self._key)
            stale.disconnect()
            stale.websocket_handler.close()
        self.open_connections[self._key] = self
        handler: Any = self.websocket_handler
        handler.set_nodelay(True)
        # The handler's own drops what it gets back, so tornado would never wait.
        handler.on_message = self.handle_incoming_message
        self._v1 = handler.selected_subprotocol == frames.V1
        self._untracked = frozenset(getattr(self.multi_kernel_manager, "untracked_message_types", ()))
        self._allowed = frozenset(getattr(self.multi_kernel_manager, "allowed_message_types", ()))
        self._outlet = Outlet(handler)
        self._unsubscribe = self._registry.subscribe(self._heard)
        if self._kernel.dead:
            self._end(self._kernel.reason)
        else:
            self._leg.start()

    def disconnect(self) -> None:  # type: ignore[override]  # the handler calls it without awaiting
        """Let go of the host; called when the browser's websocket has closed, and harmless twice."""
        # The host is told that the client will not come back, and nothing else of how it went.
        done = getattr(self.websocket_handler, "close_code", None) == CLIENT_DONE
        self._leg.close(CLIENT_DONE if done else None)
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        if self.open_connections.get(self._key) is self:
            del self.open_connections[self._key]

    @classmethod
    async def close_all(cls) -> None:
        """Close every open one, as a stopping server does."""
        for connection in list(cls.open_connections.values()):
            connection.disconnect()

    def handle_incoming_message(self, incoming_msg: str | bytes) -> Wait:  # type: ignore[override]  # tornado waits
        """Pass a frame of the browser's on; gives what tornado is to wait for before it reads the next."""
        wrong = frames.fault(incoming_msg, self._v1)
        if wrong:
            self.log.warning("Refused a malformed frame for kernel %s: %s", self.kernel_id, wrong)
            self._close(CLOSE_BAD_FRAME, f"malformed frame: {wrong}")
            return None
        if self._allowed:
            kind = frames.message_type(incoming_msg, self._v1)
            if kind not in self._allowed:
                self.log.warning('Received message of type "%s", which is not allowed. Ignoring.', kind)
                return None
        return self._leg.send(incoming_msg)

    def handle_outgoing_message(self, stream: str, outgoing_msg: list[Any]) -> None:
        """Send one message given as its parts (header, parent header, metadata, content, buffers), as v1 knows them."""
        if self._outlet is not None:
            self._outlet.send(frames.pack_v1(stream, list(outgoing_msg)))

    def _from_host(self, message: str | bytes) -> Wait:
        if self._outlet is None:
            return None
        self._note(message)
        return self._outlet.send(message)

    def _note(self, message: str | bytes) -> None:
        """Move the server's last kernel activity by what the stock server counts as such, to the second."""
        now = asyncio.get_running_loop().time()
        if now < self._next_note:
            return
        kinds = frames.iopub_kinds(message, self._v1)
        if kinds is None:
            return
        # A message without a parent counts: the stock server tracks every type it has not been told to leave out.
        if kinds.parent in self._untracked and kinds.message in self._untracked and not self._busy():
            return
        self._next_note = now + _NOTE_EVERY
        if self.multi_kernel_manager is not None:
            self.multi_kernel_manager.last_kernel_activity = utcnow()

    def _busy(self) -> bool:
        return self._kernel.execution_state == "busy"

    async def _dial(self, sink: Sink) -> KernelSocket:
        kernel = self._kernel
        host = self._registry.host(kernel.session_uuid)
        if host is None or not reachable(host):
            raise HostUnreachable(f"the session of kernel {self.kernel_id} is not known to be running")
        path = f"{path_of(kernel)}/channels?session_id={quote(self.session_id, safe='')}"
        if host.gateway is not None:
            self._leg.longest = GATEWAY_PAUSE
        return await link_to(host).websocket(path, [frames.V1] if self._v1 else (), sink=sink)

    def _host_refused(self, error: HostRefused) -> None:
        # A gateway may know a new kernel late: its list of kernels tells of an end.
        if error.status == 404 and not self._kernel.legacy:
            self._registry.mark_dead(self.kernel_id, "the session has no such kernel any more")

    def _host_late(self, why: str) -> None:
        if self._kernel.pending:
            return
        self.log.warning("No host for kernel %s: %s", self.kernel_id, why)
        self._close(CLOSE_TRY_LATER, "the session does not answer")

    def _heard(self, kernel: RemoteKernel, what: What) -> None:
        if kernel.kernel_id != self.kernel_id or what not in ("dead", "removed") or self._ending is not None:
            return
        reason = kernel.reason or "the kernel was shut down"
        if self._leg.connected:
            # The news came another way than the output: what the host still sends is not to be cut off.
            self._ending = asyncio.get_running_loop().call_later(LAST_WORDS, self._end, reason)
        else:
            self._end(reason)

    def _host_lost(self, code: int | None, reason: str) -> None:
        kernel = self._registry.get(self.kernel_id)
        if self._ending is not None:
            self._end(self._kernel.reason or "the kernel was shut down")
        elif kernel is None or kernel.dead:
            self._end(kernel.reason if kernel is not None else "the kernel was shut down")
        elif code in REFUSALS:
            self.log.warning("The host refuses a websocket of kernel %s: %s", self.kernel_id, reason)
            self._close(code, reason)

    def _end(self, reason: str) -> None:
        """Tell the browser that the kernel is dead and why, and close."""
        if self._outlet is not None:
            self._outlet.send(frames.dead_frame(self._v1, reason))
        self._close(CLOSE_DEAD, reason)

    def _close(self, code: int, reason: str) -> None:
        if self._outlet is not None:
            self._outlet.flush()
            self._outlet = None
        self.disconnect()
        self.websocket_handler.close(code, reason.encode()[:_REASON_BYTES].decode("utf-8", "ignore"))


def wrap_connection(user_class: type) -> type:
    """Give a subclass of the user's connection class that makes ours where the kernel is a session's.

    Same name, same configuration; a class that is wrapped already is given back.
    """
    if getattr(user_class, "_jupyter_sessions_wrapped", False):
        return user_class

    class Wrapped(user_class):  # type: ignore[misc]  # the base is known at run time only
        _jupyter_sessions_wrapped = True

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            if isinstance(kwargs.get("parent"), RemoteKernel):
                return _made(user_class, kwargs)
            return super().__new__(cls, *args, **kwargs)

        @classmethod
        async def close_all(cls) -> None:
            await RemoteConnection.close_all()
            theirs = getattr(super(), "close_all", None)
            if theirs is not None:
                await theirs()

    Wrapped.__name__, Wrapped.__qualname__ = user_class.__name__, user_class.__qualname__
    Wrapped.__doc__ = user_class.__doc__
    return Wrapped


def _made(user_class: Any, kwargs: dict[str, Any]) -> RemoteConnection:
    """Make ours, with the protocol that the user configured for the class it stands in for."""
    connection = RemoteConnection(**kwargs)
    config = kwargs.get("config") or Config()
    for section in user_class.section_names():
        if section in config and "kernel_ws_protocol" in config[section]:
            connection.kernel_ws_protocol = config[section]["kernel_ws_protocol"]
    if kwargs["parent"].legacy:
        # What the browser and the kernel's gateway say must be the same: frames pass as they are.
        connection.kernel_ws_protocol = ""
    return connection
