"""What else may go wrong on a client's side; the rest is the tree of :mod:`jupyter_sessions.model.errors`.

::

    SessionsError
    ├─ Unavailable
    │   ├─ ServerNotFound       no running server, or several
    │   └─ ServerGone           it does not answer
    │       └─ ServerNotTrusted its certificate is not trusted
    ├─ AlreadyExists
    │   └─ NameTaken            by a session that has ended
    ├─ NotFound
    │   └─ NoSuchName           with a hint at what was meant
    ├─ FailedPrecondition
    │   └─ SessionEnded         the session is not, or no longer, ACTIVE
    ├─ Aborted
    │   └─ KernelDied           the kernel went away while it was used
    ├─ InvalidArgument
    │   └─ TransferRefused      a value or a file that cannot be moved
    └─ ExecutionFailed          the code raised
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jupyter_sessions.model.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    SessionsError,
    Unavailable,
)

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Session


BY_ARGUMENT = "pass url="
"""How a program names a server."""


class ServerNotFound(Unavailable):
    """No running server was found, or several; the message lists them and says how to choose."""

    def by(self, way: str) -> ServerNotFound:
        """Give it for whoever names a server in another ``way`` than a program does, as ``use --url``."""
        return ServerNotFound(self.message.replace(BY_ARGUMENT, way))


class ServerGone(Unavailable):
    """The server does not answer; the message names its URL. What was begun there may be going on."""


class ServerNotTrusted(ServerGone):
    """The server's certificate is not trusted, so nothing was sent; the message says why and how to trust it."""


class NoSuchName(NotFound):
    """No such resource, but perhaps ``hint`` is what was meant: a near name, or another location that has it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class NameTaken(AlreadyExists):
    """The name is that of a ``session`` that has ended; the message says when and why, and both ways out."""

    def __init__(
        self, fact: str, session: Session, replace: str = "pass replace=True", delete: str = "call delete({id!r}) first"
    ) -> None:
        told = delete.format(id=session.name.rpartition("/")[2])
        super().__init__(f"{fact} and keeps its name; to make it anew, {replace}, or {told}; or choose another name")
        self.session = session
        self._fact = fact

    def by(self, replace: str, delete: str) -> NameTaken:
        """Give it for whoever replaces and deletes in other words than a program; ``{id}`` in them is the id."""
        return NameTaken(self._fact, self.session, replace, delete)


class SessionEnded(FailedPrecondition):
    """The session is not ACTIVE, or ended while it was used; ``session`` is what is known of it."""

    def __init__(self, message: str, session: Session | None = None) -> None:
        super().__init__(message)
        self.session = session


class KernelDied(Aborted):
    """The kernel died, was shut down or restarted while it was used; the message says the session's reason."""


class TransferRefused(InvalidArgument):
    """A value or a file that is too large or of no kind that can be moved; the message says which and the remedy."""


class ExecutionFailed(SessionsError):
    """The code raised: ``ename`` is the exception's class, ``evalue`` its text, ``traceback`` lines with colours."""

    code, status, http = 2, "UNKNOWN", 500

    def __init__(self, ename: str, evalue: str, traceback: Sequence[str] = ()) -> None:
        super().__init__(f"{ename}: {evalue}" if evalue else ename)
        self.ename = ename
        self.evalue = evalue
        self.traceback = list(traceback)

    def _render_traceback_(self) -> list[str]:
        """Give the remote traceback; IPython shows it in place of the local one."""
        return self.traceback or [str(self)]
