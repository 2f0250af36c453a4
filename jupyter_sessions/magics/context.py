"""What the magics of one shell remember: the client, the attached session, open connections, what runs beside."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from jupyter_sessions.client.client import SessionsClient
from jupyter_sessions.client.errors import NoSuchName, ServerGone
from jupyter_sessions.client.handle import SessionHandle
from jupyter_sessions.magics.front import Front, Steps
from jupyter_sessions.model.errors import FailedPrecondition, NotFound
from jupyter_sessions.model.resources import Session
from jupyter_sessions.model.states import State
from jupyter_sessions.model.words import short

if TYPE_CHECKING:
    from jupyter_sessions.client.kernel import KernelConnection
    from jupyter_sessions.magics.background import BackgroundRun
    from jupyter_sessions.magics.live import LiveTable

T = TypeVar("T")


class Context:
    """The magics of one IPython shell. The main thread uses it, and threads that complete.

    ``attached`` is the full name of the session that ``%%session`` uses when it names none, or ``""``.
    """

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.front = Front(shell)
        self.attached = ""
        self.runs: list[BackgroundRun] = []
        self.live: LiveTable | None = None
        self._client: SessionsClient | None = None
        self._handles: dict[str, SessionHandle] = {}
        self._connections: dict[tuple[str, str], KernelConnection] = {}
        self._mentioned: tuple[str, str] | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> SessionsClient:
        """The client; found at first use. Raises ServerNotFound."""
        if self._client is None:
            self._client = SessionsClient()
        return self._client

    def use(self, client: SessionsClient) -> None:
        """Work with another client from now on."""
        self.close()
        self._client, self.attached = client, ""

    def fresh(self, call: Callable[[SessionsClient], T]) -> T:
        """Call with the client, and again with one looked for anew where its server is gone and another has come.

        Raises what the call raises.
        """
        client = self.client
        try:
            return call(client)
        except ServerGone:
            found = self._another(client)
            if found is None:
                raise
        return call(found)

    def _another(self, gone: SessionsClient) -> SessionsClient | None:
        from jupyter_sessions.client.errors import ServerNotFound

        try:
            found = SessionsClient()
        except ServerNotFound:
            return None
        if found.url == gone.url:
            found.close()
            return None
        self.close()
        self._client = found
        return found

    def full_name(self, text: str) -> str:
        """Give the full name of a session as it was written; raises InvalidArgument."""
        return str(self.fresh(lambda client: client.name(text)))

    def which(self, text: str | None) -> str:
        """Give the full name of the session meant: the one written, the attached one, or the only live one.

        Raises FailedPrecondition that lists what there is.
        """
        if text:
            return self.full_name(text)
        if self.attached:
            return self.attached
        try:
            return self.fresh(lambda client: client.only()).name
        except FailedPrecondition as error:
            raise FailedPrecondition(
                f"{error}\n%session create NAME makes one, %session attach NAME makes one the default"
            ) from None

    def look(self, name: str) -> Session:
        """Give a session; raises NotFound that says how to make it."""
        try:
            return self.fresh(lambda client: client.get(name))
        except NotFound as error:
            where, _, session_id = name.rpartition("/sessions/")
            hint = f"; {error.hint}" if isinstance(error, NoSuchName) else ""
            raise NotFound(
                f"there is no session {session_id} in {where}{hint}; make it with: %session create {session_id}"
            ) from None

    def handle(self, name: str) -> SessionHandle:
        """Give the handle of a session by its full name, with its progress shown until it is ACTIVE.

        Raises NotFound, SessionEnded.
        """
        # Looked at first: it may find that the server is another, and then forgets the handles.
        resource = self.look(name)
        kept = self._handles.setdefault(name, SessionHandle(self.client, resource))
        kept.resource = resource
        if kept.state is State.CREATING:
            steps = Steps(self.front)
            kept.wait(progress=lambda session: steps.tell(step(session)))
            steps.tell(step(kept.resource))
        elif kept.state is not State.ACTIVE:
            raise kept.ended()
        return kept

    def connect(self, name: str, kernel: str) -> KernelConnection:
        """Give an open connection to a kernel of a session; a new kernel each time for ``new``.

        Raises NotFound, SessionEnded, and what connecting raises.
        """
        with self._lock:
            kept = self.connected(name, kernel)
            if kept is not None:
                return kept
            made = self.handle(name).connect(kernel)
            for key in {kernel, made.kernel_id} - {"new"}:
                self._connections[name, key] = made
            return made

    def connected(self, name: str, kernel: str) -> KernelConnection | None:
        """Give the connection if it is open; asks nobody."""
        kept = self._connections.get((name, kernel)) if kernel != "new" else None
        return kept if kept is not None and not kept.closed else None

    def mention(self, name: str, kernel_id: str) -> None:
        """Say once which session and kernel answers, and again whenever it is another."""
        if self._mentioned != (name, kernel_id):
            self._mentioned = (name, kernel_id)
            self.front.mention(f"session {short(name)}, kernel {kernel_id}")

    def values(self, names: Sequence[str]) -> Mapping[str, Any]:
        """Give variables of this kernel; raises NotFound that names every one that is missing."""
        missing = [name for name in names if name not in self.shell.user_ns]
        if missing:
            raise NotFound(f"there is no variable {' and no '.join(missing)} here; set it, or mind the spelling")
        return {name: self.shell.user_ns[name] for name in names}

    def close(self) -> None:
        """Close what is open here; sessions, kernels and what they run go on."""
        if self.live is not None:
            self.live.stop()
            self.live = None
        if all(run.done for run in self.runs):
            for handle in self._handles.values():
                handle.close()
        self._handles.clear()
        self._connections.clear()
        if self._client is not None:
            self._client.close()
            self._client = None


def step(session: Session) -> str:
    """Say where the start of a session is."""
    message = f": {session.state_message}" if session.state_message else ""
    return f"{short(session.name)} is {session.state.name}{message}"
