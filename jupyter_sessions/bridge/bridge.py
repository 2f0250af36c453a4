"""A process that looks like a local kernel and is one of a session's."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from types import FrameType

import zmq

from jupyter_sessions.bridge.asked import Arrival, said
from jupyter_sessions.bridge.inbox import Inbox
from jupyter_sessions.bridge.relay import Relay
from jupyter_sessions.bridge.report import Report
from jupyter_sessions.bridge.sockets import Sockets
from jupyter_sessions.bridge.target import Found, Target
from jupyter_sessions.client.kernel import KernelConnection
from jupyter_sessions.client.messages import Message
from jupyter_sessions.model.errors import SessionsError

OK, FAILED = 0, 1
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PARENT = "JPY_PARENT_PID"
"""The environment variable in which Jupyter's programs say who they are to a kernel that is to end with them."""


class Bridge:
    """Relays until a program shuts it down, a signal ends it, its parent has gone, or its kernel has."""

    def __init__(self, sockets: Sockets, target: Target, report: Report) -> None:
        self._sockets = sockets
        self._target = target
        self._report = report
        self._inbox: Inbox[Arrival] = Inbox()
        self._relay = Relay(sockets, self._inbox, report.complain, self._lost)
        self._connection: KernelConnection | None = None
        self._signals: deque[int] = deque()
        self._done: deque[Callable[[], None]] = deque()
        self._code: int | None = None
        self._parents = _Parents()

    def run(self) -> int:
        """Run to the end and give the exit code."""
        for number in SIGNALS:
            signal.signal(number, self._signalled)
        signal.set_wakeup_fd(self._inbox.wake, warn_on_full_buffer=False)
        threading.Thread(target=self._open, name="start", daemon=True).start()
        poller = zmq.Poller()
        poller.register(self._inbox.read_end, zmq.POLLIN)
        self._sockets.poll_on(poller)
        pause = 0.0
        while self._code is None:
            poller.poll(int(pause * 1000))
            self._inbox.quieten()
            pause = self._turn()
        self._leave()
        return self._code

    def _turn(self) -> float:
        """Do all there is to do; gives the longest pause until the next turn, in seconds."""
        while self._done:
            self._done.popleft()()
        while self._signals:
            self._take_signal(self._signals.popleft())
        if self._parents.gone():
            self._report.complain("the program that started this has gone")
            self._end(FAILED)
        for identity, message in self._sockets.receive():
            self._take(identity, message)
        self._relay.welcome()
        return min(self._relay.deliver(), 1.0)

    # The start, on a thread of its own

    def _open(self) -> None:
        try:
            found = self._target.find()
            reason = self._target.reason
            connection = KernelConnection(found.transport, found.kernel, reason=reason, take=self._relay.take).open()
            self._watch(found, connection)
        except SessionsError as error:
            words = str(error)
            self._later(lambda: self._not_started(words))
        except Exception as error:
            # Whoever waits for the start must hear of it, whatever it is.
            words = f"{type(error).__name__}: {error}"
            self._later(lambda: self._not_started(words))

    def _watch(self, found: Found, connection: KernelConnection) -> None:
        """Ask the kernel whether it is there, and again where the question is lost; raises SessionsError."""

        def lost(error: SessionsError) -> None:
            if watch.replied or connection.closed:
                self._died(error)
            else:
                # On a thread of its own: this one reads, and must go on.
                threading.Thread(target=again, name="start again", daemon=True).start()

        def again() -> None:
            try:
                self._watch(found, connection)
            except SessionsError as error:
                self._died(error)

        watch = _Watch(lambda: self._later(lambda: self._begin(found, connection)), lost)
        connection.send("shell", "kernel_info_request", {}, pending=watch)

    def _later(self, act: Callable[[], None]) -> None:
        """Have the loop's thread do something."""
        self._done.append(act)
        self._inbox.ring()

    def _died(self, error: SessionsError) -> None:
        # Behind what the kernel has sent before.
        self._inbox.put(Arrival(None, None, error))

    def _begin(self, found: Found, connection: KernelConnection) -> None:
        self._connection = connection
        self._relay.connect(connection)
        self._report.ready(found.session, found.kernel, found.made)

    def _not_started(self, reason: str) -> None:
        if self._code is None:
            self._report.failed(reason)
            self._end(FAILED)

    # What programs and signals want

    def _take(self, identity: list[bytes], message: Message) -> None:
        if message.type == "shutdown_request":
            self._shut_down(identity, message)
        elif message.type == "interrupt_request":
            self._interrupt()
            self._sockets.reply(identity, said(message.channel, "interrupt_reply", {"status": "ok"}, message))
        else:
            self._relay.ask(identity, message)

    def _shut_down(self, identity: list[bytes], message: Message) -> None:
        restart = bool(message.content.get("restart"))
        if restart:
            self._attempt(self._target.restart)
        self._end(OK)
        reply = {"status": "ok", "restart": restart}
        self._sockets.reply(identity, said(message.channel, "shutdown_reply", reply, message))
        self._relay.publish(said("iopub", "shutdown_reply", reply, message))

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _take_signal(self, number: int) -> None:
        if number == signal.SIGINT:
            self._interrupt()
        else:
            self._end(128 + number)

    def _interrupt(self) -> None:
        if not self._relay.ours and not self._target.owned:
            self._report.complain("not interrupted: the kernel runs nothing that was asked for here")
            return
        threading.Thread(target=self._attempt, args=(self._target.interrupt,), name="interrupt", daemon=True).start()

    def _attempt(self, act: Callable[[], None]) -> None:
        try:
            act()
        except SessionsError as error:
            self._report.complain(str(error))

    # The end

    def _end(self, code: int) -> None:
        """End what is to end with this process; the loop then ends too."""
        self._code = code
        self._attempt(self._target.release)

    def _lost(self, error: SessionsError) -> None:
        if self._code is not None:
            return
        self._report.ended(str(error))
        self._relay.publish(said("iopub", "status", {"execution_state": "dead", "reason": str(error)}))
        self._end(FAILED)

    def _leave(self) -> None:
        signal.set_wakeup_fd(-1)
        self._inbox.close()
        self._relay.close()
        if self._connection is not None:
            self._connection.close()
        self._sockets.close()


class _Watch:
    """The bridge's own question to the kernel: answered, the kernel is there; failed after that, it is gone."""

    def __init__(self, answered: Callable[[], None], failed: Callable[[SessionsError], None]) -> None:
        self._told = answered
        self._failed = failed
        self.replied = False

    def take(self, message: Message) -> bool:
        """Take the answer, and wait on: nothing else tells that the connection has ended."""
        if message.type == "kernel_info_reply" and not self.replied:
            self.replied = True
            self._told()
        return False

    def fail(self, error: SessionsError) -> None:
        """Tell of it."""
        self._failed(error)

    def broke(self) -> None:
        """Nothing: the connection is there again."""


class _Parents:
    """Whoever is to be outlived by nobody: the parent process, and the one that the environment names."""

    def __init__(self) -> None:
        told = os.environ.get(PARENT, "")
        self._told = int(told) if told.isdecimal() and int(told) > 1 else 0
        self._first = os.getppid()

    def gone(self) -> bool:
        """Say whether it has gone; nobody has where the environment names none."""
        if not self._told:
            return False
        if os.getppid() != self._first:
            return True
        if self._told == self._first:
            return False
        try:
            os.kill(self._told, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False
