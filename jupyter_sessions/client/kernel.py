"""The channels of one kernel: requests and their answers, over a websocket that is opened again when it breaks."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any

from jupyter_sessions.client.errors import KernelDied, ServerGone, ServerNotTrusted
from jupyter_sessions.client.execution import Execution, OnInput
from jupyter_sessions.client.messages import Buffer, Message, request
from jupyter_sessions.client.pending import Pending, Probe, Requests, Taker
from jupyter_sessions.client.socket import ChannelSocket, Hungup
from jupyter_sessions.client.transport import Transport
from jupyter_sessions.client.waiting import Pace
from jupyter_sessions.model.errors import Internal, SessionsError, Unavailable

AWAY = 30.0
"""Seconds since a server's last sign of life after which what waits for it is given up."""

MAY_RUN = "The code may still be running in the session: before it is run again, look there what it did."


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
        self._requests = Requests()
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
        self._connected(self._dial(time.monotonic() + timeout))
        self._thread = threading.Thread(target=self._run, name=f"kernel {self.kernel_id}", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Hang up; the kernel, and what runs in it, go on."""
        self._closed = True
        self._up.set()
        if self._socket is not None:
            # A send that is stuck must not keep this one.
            polite = self._sending.acquire(timeout=1.0)
            # One that still waits may have requests on their way, which are to arrive.
            self._socket.close(polite, done=self._requests.answered())
            if polite:
                self._sending.release()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(5)
        self._requests.fail(ServerGone("the connection to the kernel was closed"))

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
        msg_id = str(message.header.get("msg_id", ""))
        if pending is not None:
            self._requests.add(msg_id, message.channel, pending)
        try:
            self._put(msg_id, message)
        except SessionsError:
            self.forget(msg_id)
            raise

    def _put(self, msg_id: str, message: Message) -> None:
        end = time.monotonic() + AWAY
        while True:
            if not self._up.wait(max(end - time.monotonic(), 0.0)):
                raise self._transport.gone("its connection to the kernel broke")
            with self._sending:
                socket = self._socket
                if self._closed or socket is None:
                    raise self._error or ServerGone("the connection to the kernel is closed; connect again")
                self._requests.sending(msg_id)
                try:
                    socket.send(message)
                    return
                except Hungup:
                    # A frame that was not taken whole is none to the server, so it is safe to send it again.
                    self._requests.unsent(msg_id)
                    self._broken(socket)

    def forget(self, msg_id: str) -> None:
        """Wait no longer for the answer of a request."""
        self._requests.drop(msg_id)

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
        keep: bool = True,
    ) -> Execution:
        """Begin to run code; raises KernelDied, ServerGone where it cannot be sent.

        What comes is kept until the execution is read. With ``allow_stdin``, ``on_input`` answers what the code asks.
        ``keep``: its result holds all outputs; without it, for code that prints without end, the last expression's.
        """
        execution = Execution(self, on_input, keep)
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history and not silent,
            "user_expressions": dict(user_expressions or {}),
            "allow_stdin": allow_stdin and on_input is not None,
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
        try:
            while not self._closed and self._socket is not None:
                try:
                    self._deliver(self._socket.receive())
                except Hungup as hungup:
                    self._again(self._socket, hungup)
        except ValueError as error:
            self._end(ServerGone(f"{self._transport.url}: {error}"))
        except Exception as error:
            # Whoever waits is not to wait for ever.
            self._end(Internal(f"the connection to the kernel {self.kernel_id} failed: {error!r}"))
            raise
        finally:
            if self._socket is not None:
                self._socket.release()

    def _deliver(self, message: Message) -> None:
        if message.channel == "iopub" and message.type == "status":
            state = message.content.get("execution_state")
            if state == "dead":
                self._end(self._died(str(message.content.get("reason") or "")))
                return
            if state in ("restarting", "autorestarting") or (state == "starting" and not message.parent):
                self._restarted()
        if not self._requests.take(message) and self._take is not None:
            self._take(message)

    def _restarted(self) -> None:
        """End what ran in the old process; what had not begun may be answered by the new one, if it got that far."""
        error = KernelDied(f"the kernel {self.kernel_id} died or was restarted; its variables are gone")
        waiting = self._requests.waiting()
        ran = [msg_id for msg_id, _, taker in waiting if isinstance(taker, Execution) and taker.begun]
        self._requests.fail(error, ran)
        self._probe(error)

    def _again(self, socket: ChannelSocket, hungup: Hungup) -> None:
        """Open the websocket again, and find out what of the requests was lost with the old one."""
        self._broken(socket)
        socket.release()
        if self._closed:
            return
        if hungup.refused:
            self._left(ServerGone(f"{self._transport.url} ends the kernel's channels: {hungup}; try again in a moment"))
            return
        try:
            self._connected(self._dial(socket.heard_at + AWAY))
        except KernelDied:
            self._end(self._died(""))
        except SessionsError as error:
            self._left(error)
        else:
            for _, _, taker in self._requests.waiting():
                taker.broke()
            why = f"the connection to {self._transport.url} broke, and the kernel's answer was lost with it"
            self._probe(ServerGone(f"{why}; look whether it ran, and run it again if it did not"))

    def _left(self, error: SessionsError) -> None:
        """End for good while the kernel goes on: of code that was sent it is said that it may."""
        running = [msg_id for msg_id, _, taker in self._requests.waiting() if isinstance(taker, Execution)]
        self._requests.fail(type(error)(f"{error.message} {MAY_RUN}"), running)
        self._end(error)

    def _connected(self, socket: ChannelSocket) -> None:
        with self._lock:
            self._socket = socket
            self._up.set()

    def _broken(self, socket: ChannelSocket) -> None:
        with self._lock:
            if self._socket is socket and not self._closed:
                self._up.clear()
        socket.close(polite=False)

    def _probe(self, error: SessionsError) -> None:
        """Ask what a kernel answers after all that reached it before; what is then unanswered ends with the error."""
        waiting = [one for one in self._requests.waiting() if not isinstance(one[2], Probe)]
        for channel in {channel for _, channel, _ in waiting}:
            asked = [(msg_id, taker) for msg_id, where, taker in waiting if where == channel]
            probe = Probe(partial(self._settle, asked, error))
            # On a thread of its own: this one must go on reading, or the server may not take what it is asked.
            ask = partial(self._ask_quietly, channel, probe)
            threading.Thread(target=ask, name=f"probe {self.kernel_id}", daemon=True).start()

    def _ask_quietly(self, channel: str, probe: Probe) -> None:
        # Where it fails, the connection has ended, or the next one asks again.
        with contextlib.suppress(SessionsError):
            self.send(channel, "kernel_info_request", {}, pending=probe)

    def _settle(self, asked: Sequence[tuple[str, Taker]], error: SessionsError) -> None:
        for msg_id, taker in asked:
            if isinstance(taker, Execution) and taker.replied:
                taker.settle()
                self._requests.drop(msg_id)
            elif not taker.replied:
                self._requests.fail(error, [msg_id])

    def _dial(self, end: float) -> ChannelSocket:
        """Open a websocket, trying until ``end``; raises KernelDied, ServerGone, Unauthenticated."""
        pace = Pace()
        while True:
            try:
                return ChannelSocket(self._transport, self.kernel_id, self.session_id, end)
            except Unavailable as error:
                if self._closed or time.monotonic() > end or isinstance(error, ServerNotTrusted):
                    raise
            pace.wait(end)

    def _died(self, told: str) -> KernelDied:
        why = told or (self._reason() if self._reason is not None else "")
        return KernelDied(f"the kernel {self.kernel_id} {'is gone: ' + why if why else 'died or was shut down'}")

    def _end(self, error: SessionsError) -> None:
        """End for good: nothing more can come."""
        self._error = error
        self._closed = True
        self._up.set()
        self._requests.fail(error)
        if self._socket is not None:
            self._socket.close(polite=False)
