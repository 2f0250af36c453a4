"""Messages between programs on ZMQ sockets and a kernel's websocket, each as it is."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable

from jupyter_sessions.bridge.asked import REQUEST, Arrival, Asked, refusals, said, size_of
from jupyter_sessions.bridge.inbox import Inbox
from jupyter_sessions.bridge.sockets import Sockets
from jupyter_sessions.client.errors import KernelDied
from jupyter_sessions.client.kernel import KernelConnection
from jupyter_sessions.client.messages import Message
from jupyter_sessions.model.errors import SessionsError

QUIET = 2.0
"""Seconds without output after which a reply no longer waits for the end of its output."""
STALLED = 60.0
"""Seconds that output waits for a reader before it is lost to that reader."""

RESTARTS = ("restarting", "autorestarting")
"""The states in which a kernel has lost what it knew: to a program that is a kernel that died."""


class Relay:
    """Both ways of the messages; all but :meth:`take` is for the thread of the sockets."""

    def __init__(
        self,
        sockets: Sockets,
        inbox: Inbox[Arrival],
        complain: Callable[[str], None],
        lost: Callable[[SessionsError], None],
    ) -> None:
        self._lost = lost
        self._sockets = sockets
        self._inbox = inbox
        self._complain = complain
        self._outgoing: queue.SimpleQueue[tuple[Message, Asked | None] | None] = queue.SimpleQueue()
        self._sessions: set[str] = set()
        self._waiting: dict[str, Asked] = {}
        self._running = ""
        self._connected = self._ended = False
        self._kept: deque[tuple[bytes, Message]] = deque()
        self._since = 0.0
        self._last_output = 0.0

    def take(self, message: Message) -> None:
        """Take what answers no request of a program here; called on the connection's thread."""
        self._inbox.put(Arrival(None, message), size_of(message))

    def connect(self, connection: KernelConnection) -> None:
        """Begin to send what programs have asked so far, and ask from now on."""
        self._connected = True
        threading.Thread(target=self._send_on, args=(connection,), name="to the kernel", daemon=True).start()

    def close(self) -> None:
        """End the thread that sends."""
        self._outgoing.put(None)

    # From programs to the kernel

    def ask(self, identity: list[bytes], message: Message) -> None:
        """Pass a program's message on."""
        self._sessions.add(str(message.header.get("session", "")))
        asked = Asked(self._inbox, identity, message) if message.type.endswith(REQUEST) else None
        if asked is not None:
            self._waiting[str(message.header.get("msg_id", ""))] = asked
        self._outgoing.put((message, asked))

    def _send_on(self, connection: KernelConnection) -> None:
        while (item := self._outgoing.get()) is not None:
            message, asked = item
            try:
                connection.send_message(message, asked)
            except SessionsError as error:
                if asked is not None:
                    asked.fail(error)

    def welcome(self) -> None:
        """Greet who has subscribed to the output, as ipykernel does: from then on nothing of it is missed."""
        for topic in self._sockets.subscribed():
            greeting = said("iopub", "iopub_welcome", {"subscription": topic.decode("utf-8", "replace")})
            self._sockets.publish(topic, greeting)

    @property
    def ours(self) -> bool:
        """Whether the kernel runs what was asked here, or is to run it: what others run is theirs to interrupt.

        Where nothing is known to run, others' code may have begun all the same: its ``busy`` is still on its way.
        """
        if self._running:
            return self._running in self._sessions
        return any(asked.request.type == f"execute{REQUEST}" for asked in self._waiting.values())

    # From the kernel to programs

    def deliver(self) -> float:
        """Pass on what has come; gives the seconds after which there is something to do even if nothing comes."""
        while self._flush():
            arrival = self._inbox.take()
            if arrival is None:
                break
            self._arrived(arrival)
        if self._kept:
            return 0.005
        held = [asked for asked in self._waiting.values() if asked.reply is not None]
        for asked in held:
            if time.monotonic() - max(self._last_output, asked.since) > QUIET:
                self._reply(asked)
        return QUIET / 4 if held else 1.0

    def _arrived(self, arrival: Arrival) -> None:
        message, asked = arrival.message, arrival.asked
        if message is None and asked is None:
            self._last_words(arrival.error or KernelDied("the kernel is gone"))
        elif message is None:
            self._refuse(asked, arrival.error)
        elif message.channel == "iopub":
            self.publish(message)
        elif asked is not None and message.channel == "stdin":
            self._sockets.reply(asked.identity, message)
        elif asked is not None:
            asked.reply, asked.since = message, time.monotonic()
            # Programs give output little time once the reply is there; the server hands replies on before output.
            aborted = message.type == "execute_reply" and message.content.get("status") == "aborted"
            if asked.idle or aborted or message.type != "execute_reply":
                self._reply(asked)

    def _refuse(self, asked: Asked | None, error: SessionsError | None) -> None:
        if asked is None or error is None or asked.reply is not None:
            return
        if isinstance(error, KernelDied):
            # No reply: that the kernel is dead, or another than it was, is for the program to see.
            self._last_words(error)
            return
        *shown, asked.reply = refusals(asked.request, error)
        for message in shown:
            self.publish(message)
        self._reply(asked)

    def _last_words(self, error: SessionsError) -> None:
        """Say once, beside the code that was running, why it has no end, for whoever reads what the program shows."""
        if self._ended:
            return
        self._ended = True
        for asked in self._waiting.values():
            if asked.request.type == "execute_request":
                self.publish(said("iopub", "stream", {"name": "stderr", "text": f"{error}\n"}, asked.request))
        self._lost(error)

    def _reply(self, asked: Asked) -> None:
        there = self._waiting.pop(str(asked.request.header.get("msg_id", "")), None)
        if there is not None and asked.reply is not None:
            self._sockets.reply(asked.identity, asked.reply)

    def publish(self, message: Message) -> None:
        """Publish output, or keep it for :meth:`deliver` while a reader is too far behind."""
        self._kept.append((f"kernel.{message.type}".encode(), message))
        self._since = time.monotonic()
        self._flush()

    def _flush(self) -> bool:
        """Publish what is kept; says whether nothing is kept any more."""
        while self._kept:
            topic, message = self._kept[0]
            if not self._sockets.publish(topic, message):
                if time.monotonic() - self._since < STALLED:
                    return False
                self._complain(f"a program has read no output for {STALLED:.0f} s, and loses some of it")
                self._sockets.drop_for_the_slow(True)
                self._sockets.publish(topic, message)
                self._sockets.drop_for_the_slow(False)
            self._kept.popleft()
            self._since = self._last_output = time.monotonic()
            if message.type == "status":
                self._note(message)
        return True

    def _note(self, status: Message) -> None:
        """Keep whose request runs; a reply that waited for the end of its output goes out."""
        state = status.content.get("execution_state")
        if state in RESTARTS and self._connected:
            self._last_words(KernelDied("the kernel died or was restarted; its variables are gone"))
            return
        self._running = str(status.parent_header.get("session", "")) if state == "busy" else ""
        asked = self._waiting.get(status.parent)
        if asked is not None and state == "idle":
            asked.idle = True
            if asked.reply is not None:
                self._reply(asked)
