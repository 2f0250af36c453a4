"""The two seams of the server: what REST shows, and where kernels are reached.

Import-light on purpose: Jupyter Server loads this module at its start, so the pydantic models are named
for the type checker only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from jupyter_sessions.model.names import LocationName, OperationName, SessionName, TemplateName
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Operation, Session, SessionTemplate

T = TypeVar("T", covariant=True)
Unsubscribe = Callable[[], None]


@dataclass(frozen=True)
class Caller:
    """Who calls: ``name`` becomes ``creator`` (an e-mail or a user name); an admin may change all templates."""

    name: str
    admin: bool = False


@dataclass(frozen=True)
class ListRequest:
    """One page of a list: ``page_size`` 0 means the default (100), ``filter`` is AIP-160."""

    page_size: int = 0
    page_token: str = ""
    filter: str = ""


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of an answer.

    ``unreachable`` names locations that did not answer; the rows of one that is named, if any, are those last known.
    """

    items: Sequence[T]
    next_page_token: str = ""
    unreachable: Sequence[str] = ()


@dataclass(frozen=True)
class Location:
    """One configured location; ``metadata`` holds provider, engine, capabilities and limits as JSON.

    Every server of ours says ``service: "jupyter_sessions"`` and ``version`` there. One that also serves its sessions'
    kernels says ``gateway: {"path": "/"}``, a path on its own origin. An upstream location adds ``provider:
    "upstream"``, ``upstream`` (``google``, ``jupyter_sessions`` or ``other``), ``endpoint`` (without a secret) and
    ``status``: ``{"reachable": bool, "since": Timestamp, "status", "message", "remedy": [sentence, …]}``.
    """

    name: LocationName
    display_name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LogPage:
    """A piece of a session's log; offsets are bytes, absolute over rotation.

    ``truncated``: bytes before ``offset`` are gone. ``complete``: nothing will follow ``next_offset``.
    """

    content: str
    offset: int
    next_offset: int
    truncated: bool
    complete: bool


@dataclass(frozen=True)
class Change:
    """One entry of a location's change log. ``time`` is nanoseconds since the epoch.

    A deleted session is told with ``new_state`` STATE_UNSPECIFIED; a change of message, labels or limits has
    ``old_state == new_state``.
    """

    location: LocationName
    sequence: int
    session: str
    session_uuid: str
    old_state: State
    new_state: State
    state_message: str
    time: int


@dataclass(frozen=True)
class Reset:
    """The change log is shorter than the reader asked for: list again, go on after ``sequence``."""

    location: LocationName
    sequence: int


class SessionsApi(Protocol):
    """The public contract: locations, sessions, templates, operations, logs, kernels, changes.

    Handlers, the router and the contract suite call it; the embedded service, the upstream proxy and the router
    implement it. Every method raises a ``SessionsError`` subclass and nothing else; a name in a location that is
    not configured is ``NotFound``.
    """

    async def list_locations(self, project: str) -> Sequence[Location]:
        """Give the configured locations of ``project`` (``-``: of every project), perhaps none."""

    async def get_location(self, name: LocationName) -> Location:
        """Give one location."""

    async def create_session(
        self, caller: Caller, parent: LocationName, session: Session, session_id: str = "", request_id: str = ""
    ) -> Operation:
        """Commit the intent to make a session and answer its operation; handlers call it for POST.

        Raises InvalidArgument, AlreadyExists, NotFound (template), ResourceExhausted.
        """

    async def repeated_create(self, caller: Caller, parent: LocationName, request_id: str) -> Operation | None:
        """Give the operation that an earlier create with this request id began, None where none is known.

        Handlers call it when a body cannot be read: the same id again is answered, whatever else it says.
        """

    async def get_session(self, caller: Caller, name: SessionName) -> Session:
        """Give one session with its latest usage."""

    async def list_sessions(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[Session]:
        """List sessions, newest first."""

    async def update_session(
        self, caller: Caller, name: SessionName, session: Session, update_mask: Sequence[str] | None
    ) -> Session:
        """Change labels and limits; ``None`` as mask replaces every mutable field."""

    async def terminate_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        """End a live session; the row stays."""

    async def delete_session(self, caller: Caller, name: SessionName, request_id: str = "") -> Operation:
        """End a session if it lives, then remove it."""

    async def create_template(self, caller: Caller, parent: LocationName, template: SessionTemplate) -> SessionTemplate:
        """Store a template under the id in its ``name``."""

    async def get_template(self, caller: Caller, name: TemplateName) -> SessionTemplate:
        """Give one template."""

    async def list_templates(self, caller: Caller, parent: LocationName, request: ListRequest) -> Page[SessionTemplate]:
        """List templates, newest first."""

    async def update_template(
        self, caller: Caller, name: TemplateName, template: SessionTemplate, update_mask: Sequence[str] | None
    ) -> SessionTemplate:
        """Change a template that the caller owns, else PermissionDenied."""

    async def delete_template(self, caller: Caller, name: TemplateName) -> None:
        """Remove a template that the caller owns, else PermissionDenied."""

    async def get_operation(self, caller: Caller, name: OperationName) -> Operation:
        """Give one operation."""

    async def list_operations(
        self, caller: Caller, parent: LocationName, request: ListRequest, partial: bool = False
    ) -> Page[Operation]:
        """List operations, newest first; ``partial`` allows unreachable locations."""

    async def cancel_operation(self, caller: Caller, name: OperationName) -> None:
        """Cancel a running create; changes nothing for another kind or a finished one."""

    async def delete_operation(self, caller: Caller, name: OperationName) -> None:
        """Forget an operation, not its work."""

    async def read_log(self, caller: Caller, name: SessionName, offset: int, limit: int) -> LogPage:
        """Give up to ``limit`` bytes of log from ``offset``; a negative offset counts from the end."""

    async def list_kernels(self, caller: Caller, name: SessionName) -> Sequence[Mapping[str, Any]]:
        """Give Jupyter's kernel models of one session, oldest first, each with ``usage`` (cpu percent, bytes)."""

    def watch(
        self, caller: Caller, parent: LocationName, after: Mapping[LocationName, int]
    ) -> AsyncIterator[Change | Reset]:
        """Follow the change log from each location's sequence (absent: from its end) until closed."""

    def subscribe(self, listener: Callable[[Change], None]) -> Unsubscribe:
        """Call ``listener`` for each change, in order, on the event loop.

        In the server that commits a change it is called before any request is answered with the new state.
        Events and the kernels room subscribe at start.
        """


@dataclass(frozen=True)
class OfferedKernel:
    """One kernel that a session can start: ``spec`` is the kernelspec's JSON (argv ``[]``: it is nobody's business).

    ``resource_dir`` is the directory of the kernel's own logos on this machine, or ``""``.
    """

    name: str
    spec: Mapping[str, Any]
    resource_dir: str = ""


class KernelSocket(Protocol):
    """An open websocket to a kernel's channels; messages went to the sink it was opened with."""

    close_code: int | None
    close_reason: str | None

    def write_message(self, message: str | bytes, binary: bool = False) -> Awaitable[None]:
        """Send one frame; raises tornado's WebSocketClosedError or StreamClosedError once it has ended."""

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """End it."""


Sink = Callable[["str | bytes | None"], "Awaitable[None] | None"]
"""Takes each message and, once at the end, None; the next is not read before the awaitable it gives is done."""


class KernelLink(Protocol):
    """How requests and websockets reach the kernels behind one KernelHost, credentials included.

    Paths are Jupyter's (``/api/kernels``, ``/api/kernels/{id}/channels?session_id=``). The kernels room makes one for
    each act, keeps it no longer, and closes it. Both methods raise ``engines.hostlink.HostUnreachable``, and
    ``websocket`` its subclass ``HostRefused`` where the other end answers an HTTP status instead.
    """

    async def request(self, method: str, path: str, body: Any = None, timeout: float = 10.0) -> tuple[int, Any]:
        """Send one request, give status and answer: decoded JSON, text where it is none, None where empty."""

    async def websocket(
        self,
        path_and_query: str,
        subprotocols: Sequence[str] = (),
        max_message_size: int = 1 << 30,
        timeout: float = 10.0,
        sink: Sink | None = None,
    ) -> KernelSocket:
        """Open a websocket with credentials that are fresh now; whoever asked closes it."""

    def close(self) -> None:
        """Forget what is kept for requests; open websockets stay their owners'."""


class KernelGateway(Protocol):
    """A gateway in front of the kernels of many sessions, where there is no host to speak to directly.

    Implemented by the upstream proxy, one for each location; held by the kernels room through KernelHost.
    """

    v1: bool
    """Whether its channels speak ``v1.kernel.websocket.jupyter.org``; else only JSON text frames."""
    takes_ids: bool
    """Whether a ``kernel_id`` in the POST is taken; else the gateway chooses, and its id is another than ours."""
    start_timeout: float
    """The seconds that a start may take before it has failed."""

    def link(self) -> KernelLink:
        """Give a way to the gateway; the kernels room calls it for each act and each websocket."""

    def follow(self, host: KernelHost, take: Callable[[Mapping[str, Any]], None]) -> Unsubscribe:
        """Call ``take`` on the loop with each event of one host's kernels until undone.

        Events are those of a host's own side stream: ``{"type": "kernels", "kernels": [model, …]}`` (all of them),
        ``{"type": "kernel", "kernel": model}``, ``{"type": "gone", "id", "reason"}``; ids are the gateway's. The
        kernels room calls it once for each host. Nothing is told while the gateway cannot be reached.
        """


@dataclass(frozen=True)
class KernelHost:
    """One session as the kernels room sees it. Never serialised: it holds credentials.

    ``address`` is ``unix:{path}``, or with a ``gateway`` that gateway's URL; empty unless the session is ACTIVE.
    ``uid`` is the account whose process must hold the other end of a Unix socket.

    ``starter``: not a session but a location's gateway itself, offering the kernelspecs that belong to no session
    under their own names; ``session_uuid`` is ``gateway:{location}`` and its session's id ``gateway``. A kernel
    started there may make a session; its model's ``metadata.endpointParentResource`` says which.
    """

    session: SessionName
    session_uuid: str
    display_name: str
    state: State
    state_message: str
    kernels: Sequence[OfferedKernel] = ()
    address: str = ""
    token: str = field(default="", repr=False)
    uid: int = -1
    gateway: KernelGateway | None = None
    starter: bool = False


class KernelHosts(Protocol):
    """Where the kernels of ACTIVE sessions are reached; for the server's own rooms only.

    Implemented by the embedded service and the upstream proxy, merged by the router, held by ``kernels/``.
    """

    def kernel_hosts(self) -> Sequence[KernelHost]:
        """Give every ACTIVE session from memory; the kernels room calls it for each kernelspec list. No I/O."""

    def watch_hosts(self, listener: Callable[[KernelHost], None]) -> Unsubscribe:
        """Call ``listener`` on the loop whenever a session becomes, stays with new data, or ceases to be ACTIVE.

        The kernels room subscribes once at start. Called before a request sees the new state.
        """
