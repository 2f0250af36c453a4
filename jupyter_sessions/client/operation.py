"""Work that goes on at the server: what a create, a terminate and a delete give."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from jupyter_sessions.client.waiting import Pace
from jupyter_sessions.model.answers import rpc_error
from jupyter_sessions.model.errors import DeadlineExceeded, NotFound
from jupyter_sessions.model.names import parse_session
from jupyter_sessions.model.resources import Operation, OperationType, Session

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.client.handle import SessionHandle

Progress = Callable[[Session], None]
"""Called with the session whenever its state or its state's message is another than before."""


class OperationHandle:
    """One operation; ``operation`` is what is known of it, ``session`` the full name of the session it is about."""

    def __init__(self, client: SessionsClient, operation: Operation) -> None:
        self._client = client
        self.operation = operation

    @property
    def name(self) -> str:
        """The operation's full name."""
        return self.operation.name

    @property
    def session(self) -> str:
        """The full name of its session."""
        return self.operation.metadata.session

    @property
    def done(self) -> bool:
        """Whether it had ended when it was last looked at."""
        return self.operation.done

    def refresh(self) -> Operation:
        """Look again."""
        if not self.operation.done:
            self.operation = self._client.operations.get(self.name)
        return self.operation

    def cancel(self) -> None:
        """Cancel a create that is running, which ends its session."""
        self._client.operations.cancel(self.name)

    def result(self, timeout: float | None = None, progress: Progress | None = None) -> SessionHandle:
        """Wait for the end and give the session as it then is; ``timeout`` in seconds, None for no limit.

        Raises the operation's own error, and DeadlineExceeded at the timeout: the work then goes on.
        """
        from jupyter_sessions.client.handle import SessionHandle

        end = None if timeout is None else time.monotonic() + timeout
        pace, teller = Pace(), _Teller(progress)
        while not self.refresh().done:
            teller.tell(self._client, self.session)
            if end is not None and time.monotonic() >= end:
                raise DeadlineExceeded(
                    f"{self._verb()} {self.session} is not done after {timeout:g} s; it goes on at the server"
                )
            pace.wait(end)
        if self.operation.error is not None:
            teller.tell(self._client, self.session)
            error = self.operation.error
            raise rpc_error(error.code, error.message, error.details)
        session = self.operation.response or Session(name=self.session)
        teller.told(session)
        return SessionHandle(self._client, session)

    def _verb(self) -> str:
        kind = self.operation.metadata.operation_type
        words = {OperationType.CREATE: "the start of", OperationType.DELETE: "the removal of"}
        return words.get(kind, "the end of")

    def __repr__(self) -> str:
        state = "done" if self.done else "running"
        return f"<OperationHandle {self.operation.metadata.description or self.name!r} {self.session} {state}>"


class _Teller:
    """Tells each change once."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._last: object = None

    def tell(self, client: SessionsClient, name: str) -> None:
        """Look at the session and tell what is new; a session that is gone tells nothing."""
        if self._progress is None:
            return
        try:
            self.told(client.calls.get_session(parse_session(name)))
        except NotFound:
            return

    def told(self, session: Session) -> None:
        """Tell a session as it was answered."""
        shown = (session.state, session.state_message)
        if self._progress is not None and shown != self._last:
            self._last = shown
            self._progress(session)
