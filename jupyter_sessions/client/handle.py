"""One session to work with: what it is, and code run in its kernels."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from jupyter_sessions.client.errors import ServerGone, SessionEnded
from jupyter_sessions.client.hints import unusable
from jupyter_sessions.client.waiting import Pace, Patience
from jupyter_sessions.model.errors import DeadlineExceeded, NotFound, SessionsError, Unavailable
from jupyter_sessions.model.names import SessionName
from jupyter_sessions.model.resources import Session, SessionStateHistory
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.client.execution import Execution, OnInput, Output, Result
    from jupyter_sessions.client.kernel import KernelConnection
    from jupyter_sessions.client.operation import OperationHandle, Progress
    from jupyter_sessions.client.transfer import Sent


GRACE = 5.0
"""Seconds that interrupted code has to end in."""


def _stopped(execution: Execution, late: DeadlineExceeded, timeout: float) -> DeadlineExceeded:
    """Interrupt code that took too long, and give the error that says what became of it."""
    try:
        execution.interrupt()
        execution.result(GRACE)
    except DeadlineExceeded:
        how = f"was interrupted, but has not ended {GRACE:g} s later; end its kernel if it never does"
    except SessionsError as error:
        how = f"could not be interrupted ({error}); it may run on"
    else:
        how = "was interrupted"
    return DeadlineExceeded(f"the code had not ended after {timeout:g} s and {how}", late.details)


class SessionHandle:
    """A session by name; ``resource`` is what was last known of it. In a ``with`` statement it may end at its end.

    ``kernel`` arguments are ``main`` (the one marked so, else the first; started where there is none), ``new``, or a
    kernel's id.
    """

    def __init__(self, client: SessionsClient, resource: Session, *, end: bool = False) -> None:
        self.client = client
        self.resource = resource
        self._end = end
        self._connections: dict[str, KernelConnection] = {}
        self._connecting = threading.Lock()

    @property
    def name(self) -> SessionName:
        """Its full name, in parts."""
        return self.resource.parsed_name

    @property
    def id(self) -> str:
        """Its id."""
        return self.name.id

    @property
    def state(self) -> State:
        """Its state when it was last looked at."""
        return self.resource.state

    @property
    def state_message(self) -> str:
        """Its state's message when it was last looked at."""
        return self.resource.state_message

    @property
    def labels(self) -> Mapping[str, str]:
        """Its labels when it was last looked at."""
        return self.resource.labels

    def refresh(self) -> Session:
        """Look again; raises NotFound."""
        self.resource = self.client.get(str(self.name))
        return self.resource

    def history(self) -> Sequence[SessionStateHistory]:
        """Give every state it was in, oldest first, the current one last."""
        resource = self.refresh()
        return [*resource.state_history, resource.as_history()]

    def wait(self, timeout: float | None = None, progress: Progress | None = None) -> SessionHandle:
        """Wait until it is ACTIVE; raises SessionEnded with the reason, DeadlineExceeded after ``timeout`` seconds."""
        end = None if timeout is None else time.monotonic() + timeout
        pace, last = Pace(), None
        while self.refresh().state is State.CREATING:
            if progress is not None and self.state_message != last:
                last = self.state_message
                progress(self.resource)
            if end is not None and time.monotonic() >= end:
                raise DeadlineExceeded(f"{self.id} is still CREATING after {timeout:g} s: {self.state_message}")
            pace.wait(end)
        if self.state is not State.ACTIVE:
            raise self.ended()
        return self

    def ended(self) -> SessionEnded:
        """Give the error of a session that cannot be used, with its state's reason."""
        return SessionEnded(unusable(self.resource), self.resource)

    def connect(self, kernel: str = "main") -> KernelConnection:
        """Give an open connection to a kernel, kept until the handle is closed; each kernel has one."""
        with self._connecting:
            return self._kept(kernel) or self._opened(kernel)

    def _kept(self, key: str) -> KernelConnection | None:
        kept = self._connections.get(key)
        return None if kept is None or kept.closed else kept

    def _opened(self, kernel: str) -> KernelConnection:
        from jupyter_sessions.client.kernel import KernelConnection
        from jupyter_sessions.client.kernels import NEW, pick

        try:
            found = str(pick(self.client, self.refresh(), kernel)["id"])
        except ServerGone:
            raise
        except Unavailable as error:
            where = f"{self.id} is in {self.name.parent}"
            remedy = "try again when it answers (jupyter sessions locations says when), or use a session elsewhere"
            raise Unavailable(f"{where}: {error.message}; {remedy}", error.details) from error
        try:
            opened = self._kept(found) or KernelConnection(self.client.transport, found, reason=self._reason).open()
        except BaseException:
            if kernel == NEW:
                # Nobody else knows of it.
                with contextlib.suppress(SessionsError):
                    self.client.transport.call("DELETE", f"api/kernels/{found}")
            raise
        self._connections.update(dict.fromkeys({kernel, found} - {NEW}, opened))
        return opened

    def _reason(self) -> str:
        """Say why a kernel may be gone: the session's end, if it ended."""
        try:
            resource = self.refresh()
        except SessionsError as error:
            return str(error)
        return "" if resource.state is State.ACTIVE else f"{self.id} is {resource.state.name}: {resource.state_message}"

    def start(
        self,
        code: str,
        *,
        kernel: str = "main",
        on_input: OnInput | None = None,
        store_history: bool = True,
        stop_on_error: bool = True,
    ) -> Execution:
        """Begin to run code in a kernel; iterate over what it gives for its outputs as they are made.

        ``on_input`` is asked where the code asks (prompt, whether it is a password); without it ``input()`` fails.
        """
        return self.connect(kernel).execute(
            code,
            store_history=store_history,
            stop_on_error=stop_on_error,
            allow_stdin=on_input is not None,
            on_input=on_input,
        )

    def run(
        self,
        code: str,
        *,
        kernel: str = "main",
        on_output: Callable[[Output], None] | None = None,
        on_input: OnInput | None = None,
        timeout: float | None = None,
        check: bool = True,
        store_history: bool = True,
    ) -> Result:
        """Run code in a kernel and give its result; ``on_output`` is called with each output as it comes.

        Raises ExecutionFailed where the code raised, unless ``check`` is False (``result.error`` then holds it),
        DeadlineExceeded after ``timeout`` seconds, at which the code is interrupted, KernelDied, SessionEnded. Ctrl-C
        interrupts the code and is raised on.
        """
        execution = self.start(code, kernel=kernel, on_input=on_input, store_history=store_history)
        try:
            result = execution.result(timeout, on_output)
        except KeyboardInterrupt as stopped:
            try:
                execution.interrupt()
            except SessionsError as error:
                raise stopped from error
            raise
        except DeadlineExceeded as late:
            raise _stopped(execution, late, timeout or 0.0) from None
        if check and result.error is not None:
            raise result.error
        return result

    def push(
        self,
        *,
        pickle: bool = False,
        limit: int | None = None,
        kernel: str = "main",
        timeout: float | None = None,
        **values: Any,
    ) -> list[Sent]:
        """Set variables in a kernel; raises TransferRefused for what cannot be sent.

        A kernel that is busy with other code takes them when that has ended; DeadlineExceeded where it gives no answer
        for ``timeout`` seconds.
        """
        from jupyter_sessions.client import transfer

        connection, own = self.connect(kernel), pickle and transfer.own_session(self.client, self.resource)
        size = transfer.LIMIT if limit is None else limit
        return [
            transfer.push(connection, name, value, pickle=pickle, own=own, limit=size, patience=Patience(timeout))
            for name, value in values.items()
        ]

    def pull(
        self,
        name: str,
        *,
        pickle: bool = False,
        limit: int | None = None,
        kernel: str = "main",
        timeout: float | None = None,
    ) -> Any:
        """Give the value of a variable of a kernel; raises NotFound, TransferRefused, DeadlineExceeded as ``push``."""
        from jupyter_sessions.client import transfer

        connection, own = self.connect(kernel), pickle and transfer.own_session(self.client, self.resource)
        size = transfer.LIMIT if limit is None else limit
        return transfer.pull(connection, name, pickle=pickle, own=own, limit=size, patience=Patience(timeout))

    def upload(
        self,
        path: str | os.PathLike[str],
        target: str = "",
        *,
        progress: Callable[[int, int], None] | None = None,
        kernel: str = "main",
        timeout: float | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Sent:
        """Copy a file to where the kernel runs; without ``target`` into its working directory under its own name.

        A busy kernel takes it when it has time: ``on_wait`` is then called once, and DeadlineExceeded raised where it
        gives no answer for ``timeout`` seconds.
        """
        from jupyter_sessions.client import transfer

        return transfer.upload(self.connect(kernel), Path(path), target, progress, Patience(timeout, on_wait))

    def download(
        self,
        source: str,
        path: str | os.PathLike[str] = "",
        *,
        progress: Callable[[int, int], None] | None = None,
        kernel: str = "main",
        timeout: float | None = None,
        on_wait: Callable[[], None] | None = None,
    ) -> Path:
        """Copy a file from where the kernel runs; without ``path`` into the current directory under its own name.

        ``timeout`` and ``on_wait`` as for ``upload``.
        """
        from jupyter_sessions.client import transfer

        target = Path(path) if path else None
        return transfer.download(self.connect(kernel), source, target, progress, Patience(timeout, on_wait))

    def logs(self, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Yield its log, as the client's ``logs``."""
        return self.client.logs(str(self.name), follow=follow, tail=tail)

    def kernels(self) -> Sequence[Mapping[str, Any]]:
        """Give its kernels, oldest first."""
        return self.client.kernels(str(self.name))

    def extend(self, *, ttl: float | str | None = None, idle_ttl: float | str | None = None) -> Session:
        """Set how long it may live, and be idle."""
        self.resource = self.client.extend(str(self.name), ttl=ttl, idle_ttl=idle_ttl)
        return self.resource

    def terminate(self, *, wait: bool = False, timeout: float | None = None) -> OperationHandle:
        """End it; it stays listed."""
        return self.client.terminate(str(self.name), wait=wait, timeout=timeout)

    def delete(self, *, wait: bool = False, timeout: float | None = None) -> OperationHandle:
        """End it if it lives, and remove it."""
        return self.client.delete(str(self.name), wait=wait, timeout=timeout)

    def close(self) -> None:
        """Close its connections; the session and its kernels go on."""
        connections, self._connections = set(self._connections.values()), {}
        for connection in connections:
            connection.close()

    def __enter__(self) -> SessionHandle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        # One that somebody has removed meanwhile has ended.
        with contextlib.suppress(NotFound):
            if self._end and self.refresh().state in (State.CREATING, State.ACTIVE):
                self.terminate(wait=True)

    def __repr__(self) -> str:
        return f"<SessionHandle {self.name} {self.state.name}>"
