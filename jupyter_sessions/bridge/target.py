"""The kernel that a bridge stands for, and what of it is the bridge's own to end."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

from jupyter_sessions.bridge.wanted import MAIN, NEW, Wanted
from jupyter_sessions.client.client import LIVE, SessionsClient
from jupyter_sessions.client.errors import ServerNotFound
from jupyter_sessions.client.handle import SessionHandle
from jupyter_sessions.client.kernels import pick
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.model.errors import Cancelled, NotFound, SessionsError, Unavailable
from jupyter_sessions.model.names import parse_template
from jupyter_sessions.model.resources import Session

MADE_FOR = {"made-for": "program"}
"""The labels of a session that is made for a program; one of the same name that has ended makes room for the next."""
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """A kernel by its id, its session by its full name; ``made``: the session was made and ends with the program."""

    transport: Transport
    session: str
    kernel: str
    made: bool


class Target:
    """Found once by :meth:`find`; :meth:`release` ends what was made for it, at any time and from any thread.

    ``keep``: a session that is made stays, once it is there.
    """

    def __init__(self, wanted: Wanted, tell: Tell, keep: bool = False) -> None:
        self._wanted = wanted
        self._keep = keep
        self._tell = tell
        self._lock = threading.RLock()
        self._released = False
        self._session: SessionHandle | None = None
        self._kernel = ""
        self._owns_session = False
        self._owns_kernel = False

    def find(self) -> Found:
        """Find or make the session and the kernel; raises SessionsError in words for whoever started the program."""
        wanted = self._wanted
        client = self._client()
        existing = self._existing(client) if wanted.session else None
        if existing is None:
            session = self._make(client)
        else:
            self._session = session = SessionHandle(client, existing).wait(progress=self._step)
        which = wanted.kernel or (NEW if existing else MAIN)
        with self._lock:
            self._check()
            self._kernel = str(pick(client, session.refresh(), which)["id"])
            self._owns_kernel = which == NEW
            self._owns_session = self._owns_session and not self._keep
        return Found(client.transport, str(session.name), self._kernel, self._owns_session)

    def _client(self) -> SessionsClient:
        try:
            return SessionsClient(self._wanted.url or None, location=self._wanted.location or None)
        except ServerNotFound as error:
            raise error.by("install the kernelspec with --url") from error

    def _existing(self, client: SessionsClient) -> Session | None:
        """Give the live session of the name; None where one is to be made of the template."""
        name, template = self._wanted.session, self._wanted.template
        try:
            found = client.get(name)
        except NotFound as error:
            if template:
                return None
            make = f"jupyter sessions create {name.removeprefix(f'{client.location}/sessions/')}"
            raise NotFound(f"there is no session {name} at {client.url}; make it first: {make}") from error
        if found.state in LIVE:
            return found
        if not template or not MADE_FOR.items() <= found.labels.items():
            raise SessionHandle(client, found).ended()
        client.delete(name, wait=True)
        return None

    def _make(self, client: SessionsClient) -> SessionHandle:
        template = self._wanted.template
        place = f"{parse_template(template).parent}/sessions/" if "/" in template else ""
        name = self._wanted.session or f"{place}{template.rpartition('/')[2][:50].rstrip('-')}-{secrets.token_hex(4)}"
        # Whoever releases meanwhile waits, and then knows of it.
        with self._lock:
            self._check()
            operation = client.create(name, template=template, labels=MADE_FOR)
            # Known by its name alone: nothing may fail before it is known at all.
            self._session = SessionHandle(client, Session(name=operation.session))
            self._owns_session = True
        return operation.result(progress=self._step)

    def _check(self) -> None:
        if self._released:
            raise Cancelled("it was ended while it started")

    def _step(self, session: Session) -> None:
        words = f": {session.state_message}" if session.state_message else ""
        self._tell(f"{session.name.rpartition('/')[2]} {session.state.name}{words}")

    @property
    def owned(self) -> bool:
        """Whether the kernel is there for this program alone."""
        return self._owns_session or self._owns_kernel

    def interrupt(self) -> None:
        """Interrupt the kernel; raises SessionsError."""
        self._act("POST", "/interrupt", 30.0)

    def restart(self) -> None:
        """Start the kernel anew, where it is not one that ends with the program anyway; raises SessionsError."""
        if not self.owned:
            self._act("POST", "/restart", 120.0)

    def _act(self, method: str, what: str, seconds: float) -> None:
        if self._session is not None and self._kernel:
            path = f"api/kernels/{self._kernel}{what}"
            self._session.client.transport.call(method, path, timeout=seconds)

    def release(self) -> None:
        """End what was made for the program, once: the session, else the kernel; whatever was there is left alone.

        Raises Unavailable that says what is left.
        """
        with self._lock:
            if self._released:
                return
            self._released = True
        session = self._session
        what = f"session {session.id}" if session and self._owns_session else f"kernel {self._kernel}"
        try:
            if session is not None and self._owns_session:
                if session.refresh().state in LIVE:
                    session.terminate()
            elif self._owns_kernel:
                self._act("DELETE", "", 60.0)
        except NotFound:
            return
        except SessionsError as error:
            raise Unavailable(f"{what} was made for this program and could not be ended: {error}") from error

    def reason(self) -> str:
        """Say why the session ended, empty where it did not."""
        if self._session is None:
            return ""
        try:
            found = self._session.refresh()
        except SessionsError as error:
            return str(error)
        return "" if found.state in LIVE else f"{self._session.id} is {found.state.name}: {found.state_message}"
