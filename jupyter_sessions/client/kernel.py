"""The channels of one kernel: requests and their answers, over a websocket that is opened again when it breaks."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

from jupyter_sessions.client.errors import KernelDied, ServerGone
from jupyter_sessions.client.execution import Execution, OnInput
from jupyter_sessions.client.messages import Buffer, Message, request
from jupyter_sessions.client.socket import ChannelSocket, Hungup
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.client.waiting import Pace
from jupyter_sessions.model.errors import DeadlineExceeded, SessionsError, Unavailable

AWAY = 30.0
"""Seconds that the server may be away before what waits for it is given up."""


class Taker(Protocol):
    """What waits for the answers of a request. The connection's reader thread calls all of it."""

    @property
    def replied(self) -> bool:
        """Whether its reply has come; looked at after the websocket was opened again."""

    def take(self, message: Message) -> bool:
        """Take a message that answers it; says whether nothing more will come."""

    def fail(self, error: SessionsError) -> None:
        """End without an answer."""


class Pending:
    """One request whose reply is still to come, or came."""

    def __init__(self, channel: str, kind: str, kernel_id: str) -> None:
        self._channel = channel
        self._kind = kind
        self._kernel = kernel_id
        self._there = threading.Event()
        self._reply: Message | None = None
        self._error: SessionsError | None = None

    @property
    def replied(self) -> bool:
        """Whether its reply, or its failure, is there."""
        return self._there.is_set()

    def take(self, message: Message) -> bool:
        """Take its reply."""
        if message.channel != self._channel or not message.type.endswith("_reply"):
            return False
        self._reply = message
        self._there.set()
        return True

    def fail(self, error: SessionsError) -> None:
        """End without a reply."""
        self._error = error
        self._there.set()

    def result(self, timeout: float | None = None) -> Message:
        """Wait for the reply; raises DeadlineExceeded, KernelDied, ServerGone."""
        if not self._there.wait(timeout):
            raise DeadlineExceeded(f"the kernel {self._kernel} has not answered {self._kind} in {timeout:g} s")
        if self._reply is None:
            raise self._error or ServerGone("no answer came")
        return self._reply


class KernelConnection:
    """A connection to the channels of one kernel; open it, and close it when done. Threads may share it.

    ``reason`` is asked why the session ended when the kernel is found dead. ``take`` is given, on the reader's thread,
    each message that answers no request of this connection. A websocket that breaks is opened again under the same
    ``session_id``, so that the server goes on where it broke off.
    """

    def __init__(
        self,
        transport: Transport,
        kernel_id: str,
        *,
        reason: Callable[[], str] | None = None,
        take: Callable[[Message], None] | None = None,
    ) -> None:
        self.kernel_id = kernel_id
        self.session_id = uuid.uuid4().hex
        self._transport = transport
        self._reason = reason
        self._take = take
        self._socket: ChannelSocket | None = None
        self._pending: dict[str, Taker] = {}
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._up = threading.Event()
        self._closed = False
        self._error: SessionsError | None = None
        self._thread: threading.Thread | None = None

    @property
    def closed(self) -> bool:
        """Whether it has ended: closed, or its kernel or its server is gone."""
        return self._closed

    def open(self, timeout: float = 60.0) -> KernelConnection:
        """Connect and give itself; tries for ``timeout`` seconds. Raises KernelDied, ServerGone, Unauthenticated.

        What is sent to a kernel that is still starting waits at the server until it is there.
        """
        self._socket = self._dial(timeout)
        self._up.set()
        self._thread = threading.Thread(target=self._run, name=f"kernel {self.kernel_id}", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Hang up; the kernel, and what runs in it, go on."""
        self._closed = True
        self._up.set()
        if self._socket is not None:
            self._socket.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        self._fail(ServerGone("the connection to the kernel was closed"))

    def __enter__(self) -> KernelConnection:
        return self if self._socket is not None else self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Requests

    def send(
        self,
        channel: str,
        msg_type: str,
        content: Mapping[str, Any],
        *,
        buffers: Sequence[Buffer] = (),
        metadata: Mapping[str, Any] | None = None,
        pending: Taker | None = None,
    ) -> str:
        """Send a request and give its id; ``pending`` then takes what answers it. Raises KernelDied, ServerGone."""
        msg_id, message = request(self.session_id, channel, msg_type, content, metadata)
        message.buffers = list(buffers)
        self.send_message(message, pending)
        return msg_id

    def send_message(self, message: Message, pending: Taker | None = None) -> None:
        """Send a message as it is; ``pending`` then takes what answers it. Raises KernelDied, ServerGone."""
        if pending is None:
            self._put(message)
            return
        msg_id = str(message.header.get("msg_id", ""))
        with self._lock:
            self._pending[msg_id] = pending
        try:
            self._put(message)
        except SessionsError:
            self.forget(msg_id)
            raise

    def _put(self, message: Message) -> None:
        if not self._up.wait(AWAY):
            raise self._transport.gone("its connection to the kernel broke")
        with self._sending:
            if self._closed or self._socket is None:
                raise self._error or ServerGone("the connection to the kernel is closed; connect again")
            try:
                self._socket.send(message)
            except Hungup as error:
                why = f"the connection broke while a request was sent ({error}), which may not have arrived"
                raise ServerGone(f"{self._transport.url}: {why}; look whether it ran") from error

    def forget(self, msg_id: str) -> None:
        """Wait no longer for the answer of a request."""
        with self._lock:
            self._pending.pop(msg_id, None)

    def request(
        self,
        channel: str,
        msg_type: str,
        content: Mapping[str, Any],
        *,
        buffers: Sequence[Buffer] = (),
        metadata: Mapping[str, Any] | None = None,
        timeout: float | None = None,
    ) -> Message:
        """Send a request and wait for its reply; raises DeadlineExceeded, KernelDied, ServerGone."""
        return self.ask(channel, msg_type, content, buffers=buffers, metadata=metadata).result(timeout)

    def ask(
        self,
        channel: str,
        msg_type: str,
        content: Mapping[str, Any],
        *,
        buffers: Sequence[Buffer] = (),
        metadata: Mapping[str, Any] | None = None,
    ) -> Pending:
        """Send a request and give what waits for its reply, so that several may be on their way."""
        pending = Pending(channel, msg_type, self.kernel_id)
        self.send(channel, msg_type, content, buffers=buffers, metadata=metadata, pending=pending)
        return pending

    def execute(
        self,
        code: str,
        *,
        silent: bool = False,
        store_history: bool = True,
        allow_stdin: bool = False,
        stop_on_error: bool = True,
        user_expressions: Mapping[str, str] | None = None,
        on_input: OnInput | None = None,
    ) -> Execution:
        """Begin to run code; raises KernelDied, ServerGone where it cannot be sent."""
        execution = Execution(self, on_input)
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history and not silent,
            "user_expressions": dict(user_expressions or {}),
            "allow_stdin": allow_stdin,
            "stop_on_error": stop_on_error,
        }
        execution.msg_id = self.send("shell", "execute_request", content, pending=execution)
        return execution

    def kernel_info(self, timeout: float | None = 60.0) -> dict[str, Any]:
        """Give what the kernel says of itself: language, banner, versions."""
        return self.request("shell", "kernel_info_request", {}, timeout=timeout).content

    def complete(self, code: str, cursor_pos: int, timeout: float | None = 10.0) -> dict[str, Any]:
        """Give the completions at a place in code."""
        content = {"code": code, "cursor_pos": cursor_pos}
        return self.request("shell", "complete_request", content, timeout=timeout).content

    def inspect(
        self, code: str, cursor_pos: int, detail_level: int = 0, timeout: float | None = 10.0
    ) -> dict[str, Any]:
        """Give the help for what stands at a place in code."""
        content = {"code": code, "cursor_pos": cursor_pos, "detail_level": detail_level}
        return self.request("shell", "inspect_request", content, timeout=timeout).content

    def history(self, timeout: float | None = 30.0, **content: Any) -> list[Any]:
        """Give the kernel's history, by default all of its own, with outputs as far as it keeps them."""
        wanted = {"output": True, "raw": True, "hist_access_type": "range", "session": 0, "start": 0, **content}
        found: list[Any] = self.request("shell", "history_request", wanted, timeout=timeout).content.get("history", [])
        return found

    def interrupt(self) -> None:
        """Interrupt what the kernel runs; raises what the server answers."""
        self._transport.call("POST", f"api/kernels/{self.kernel_id}/interrupt", safe=True)

    def restart(self) -> None:
        """Start the kernel anew under the same id; its variables are gone."""
        self._transport.call("POST", f"api/kernels/{self.kernel_id}/restart", timeout=120.0)

    def shutdown(self) -> None:
        """End the kernel."""
        self._transport.call("DELETE", f"api/kernels/{self.kernel_id}", timeout=60.0)

    # The reader's thread

    def _run(self) -> None:
        while not self._closed:
            try:
                self._deliver(self._opened().receive())
            except ValueError as error:
                self._end(ServerGone(f"{self._transport.url}: {error}"))
            except Hungup:
                self._again()

    def _opened(self) -> ChannelSocket:
        if self._socket is None:
            raise Hungup("it was never opened")
        return self._socket

    def _deliver(self, message: Message) -> None:
        if message.channel == "iopub" and message.type == "status":
            state = message.content.get("execution_state")
            if state == "dead":
                self._end(self._died("died"))
                return
            if state in ("restarting", "autorestarting"):
                self._fail(self._died("was restarted"))
        parent = message.parent
        with self._lock:
            pending = self._pending.get(parent)
        if pending is None:
            if self._take is not None:
                self._take(message)
        elif pending.take(message):
            self.forget(parent)

    def _again(self) -> None:
        """Open the websocket again, and find out what of the requests was lost with the old one."""
        self._up.clear()
        if self._closed:
            return
        if self._socket is not None:
            self._socket.close()
        try:
            self._socket = self._dial(AWAY)
        except KernelDied:
            self._end(self._died("is gone"))
            return
        except SessionsError as error:
            self._end(error)
            return
        self._up.set()
        with self._lock:
            waiting = dict(self._pending)
        if waiting:
            self._probe(waiting)

    def _probe(self, waiting: Mapping[str, Taker]) -> None:
        """Ask something that the kernel answers after all that arrived before; what is then unanswered was lost."""
        try:
            self.send("shell", "kernel_info_request", {}, pending=_Probe(self, waiting))
        except SessionsError:
            # Broken again: the next connection asks again.
            return

    def lost(self, waiting: Mapping[str, Taker]) -> None:
        """End the requests of these that have no reply; the probe calls it once its own has come."""
        error = ServerGone(
            f"the connection to {self._transport.url} broke and the request was lost on its way; run it again if it "
            "did not run"
        )
        for msg_id, pending in waiting.items():
            with self._lock:
                there = self._pending.get(msg_id) is pending
            if there and not pending.replied:
                self.forget(msg_id)
                pending.fail(error)

    def _dial(self, patience: float) -> ChannelSocket:
        end, pace = time.monotonic() + patience, Pace()
        while True:
            try:
                return ChannelSocket(self._transport, self.kernel_id, self.session_id)
            except KernelDied:
                raise
            except Unavailable:
                if self._closed or time.monotonic() > end:
                    raise
            pace.wait(end)

    def _died(self, what: str) -> KernelDied:
        why = self._reason() if self._reason is not None else ""
        return KernelDied(f"the kernel {self.kernel_id} {what}{': ' + why if why else ''}")

    def _end(self, error: SessionsError) -> None:
        """End for good: nothing more can come."""
        self._error = error
        self._closed = True
        self._up.set()
        self._fail(error)
        if self._socket is not None:
            self._socket.close()

    def _fail(self, error: SessionsError) -> None:
        with self._lock:
            waiting, self._pending = self._pending, {}
        for pending in waiting.values():
            pending.fail(error)


class _Probe:
    """Tells what was lost once the kernel answers it."""

    replied = True

    def __init__(self, connection: KernelConnection, waiting: Mapping[str, Taker]) -> None:
        self._connection = connection
        self._waiting = waiting

    def take(self, message: Message) -> bool:
        """Look at the others once the kernel's reply is there."""
        if message.type != "kernel_info_reply":
            return False
        self._connection.lost(self._waiting)
        return True

    def fail(self, error: SessionsError) -> None:
        """Nothing: the others fail with the same."""
