"""The kernel that a bridge stands for, and what of it is the bridge's own to end."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from jupyter_sessions.bridge.wanted import MAIN, NEW, Wanted
from jupyter_sessions.client.client import LIVE, SessionsClient
from jupyter_sessions.client.handle import SessionHandle
from jupyter_sessions.client.kernels import pick
from jupyter_sessions.model.errors import Cancelled, NotFound, SessionsError, Unavailable
from jupyter_sessions.model.names import parse_template

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session

MADE_FOR = {"made-for": "program"}
"""The labels of a session that is made for a program; one of the same name that has ended makes room for the next."""
Tell = Callable[[str], None]


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
        self.client: SessionsClient | None = None
        self.session: SessionHandle | None = None
        self.kernel_id = ""
        self.owns_session = False
        self.owns_kernel = False

    def find(self) -> None:
        """Find or make the session and the kernel; raises SessionsError in words for whoever started the program."""
        wanted = self._wanted
        self.client = SessionsClient(wanted.url or None, location=wanted.location or None)
        session = self._existing(self.client) if wanted.session else None
        if session is None:
            self._make(self.client)
        else:
            self.session = SessionHandle(self.client, session).wait(progress=self._step)
        assert self.session is not None
        which = wanted.kernel or (MAIN if self.owns_session else NEW)
        with self._lock:
            self._check()
            self.owns_session = self.owns_session and not self._keep
            self.kernel_id = str(pick(self.client, self.session.refresh(), which)["id"])
            self.owns_kernel = which == NEW

    def _existing(self, client: SessionsClient) -> Session | None:
        """Give the live session of the name; None where one is to be made of the template."""
        name, template = self._wanted.session, self._wanted.template
        try:
            found = client.get(name)
        except NotFound as error:
            if template:
                return None
            make = f"jupyter sessions create {name}"
            raise NotFound(f"there is no session {name} at {client.url}; make it first: {make}") from error
        if found.state in LIVE:
            return found
        if not template:
            raise SessionHandle(client, found).ended()
        if MADE_FOR.items() <= found.labels.items():
            client.delete(name, wait=True)
            return None
        raise SessionHandle(client, found).ended()

    def _make(self, client: SessionsClient) -> None:
        template = self._wanted.template
        place = f"{parse_template(template).parent}/sessions/" if "/" in template else ""
        name = self._wanted.session or f"{place}{template.rpartition('/')[2][:50].rstrip('-')}-{secrets.token_hex(4)}"
        with self._lock:
            self._check()
            operation = client.create(name, template=template, labels=MADE_FOR)
            self.session = SessionHandle(client, client.get(operation.session))
            self.owns_session = True
        self.session = operation.result(progress=self._step)

    def _check(self) -> None:
        if self._released:
            raise Cancelled("it was ended while it started")

    def _step(self, session: Session) -> None:
        words = f": {session.state_message}" if session.state_message else ""
        self._tell(f"{session.name.rpartition('/')[2]} {session.state.name}{words}")

    @property
    def owned(self) -> bool:
        """Whether the kernel is there for this program alone."""
        return self.owns_session or self.owns_kernel

    def interrupt(self) -> None:
        """Interrupt the kernel."""
        if self.client is not None and self.kernel_id:
            self.client.transport.call("POST", f"api/kernels/{self.kernel_id}/interrupt", safe=True)

    def restart(self) -> None:
        """Start the kernel anew, where it is not one that ends with the program anyway."""
        if self.client is not None and self.kernel_id and not self.owned:
            self.client.transport.call("POST", f"api/kernels/{self.kernel_id}/restart", timeout=120.0)

    def release(self) -> None:
        """End what was made for the program, once: the session, else the kernel; whatever was there is left alone.

        Raises SessionsError that says what is left.
        """
        with self._lock:
            if self._released:
                return
            self._released = True
        if self.client is None or self.session is None:
            return
        if self.owns_session:
            self._end(f"session {self.session.id}", self._terminate)
        elif self.owns_kernel and self.kernel_id:
            self._end(f"kernel {self.kernel_id}", self._shut_down)

    def _terminate(self) -> None:
        assert self.client is not None and self.session is not None
        if self.session.refresh().state in LIVE:
            self.session.terminate()

    def _shut_down(self) -> None:
        assert self.client is not None
        self.client.transport.call("DELETE", f"api/kernels/{self.kernel_id}", timeout=60.0)

    def _end(self, what: str, act: Callable[[], None]) -> None:
        try:
            act()
        except NotFound:
            return
        except SessionsError as error:
            raise Unavailable(f"{what} was made for this program and could not be ended: {error}") from error

    def reason(self) -> str:
        """Say why the session ended, empty where it did not."""
        if self.session is None:
            return ""
        try:
            found = self.session.refresh()
        except SessionsError as error:
            return str(error)
        return "" if found.state in LIVE else f"{self.session.id} is {found.state.name}: {found.state_message}"

