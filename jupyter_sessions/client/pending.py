"""Requests to a kernel whose answers are still to come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from jupyter_sessions.client.errors import ServerGone
from jupyter_sessions.client.messages import Message
from jupyter_sessions.model.errors import DeadlineExceeded, SessionsError


class Taker(Protocol):
    """What waits for the answers of a request. The connection's reader thread calls all of it."""

    @property
    def replied(self) -> bool:
        """Whether its reply has come; one whose reply is missing is failed where it is known to be lost."""

    def take(self, message: Message) -> bool:
        """Take a message that answers it; says whether nothing more will come."""

    def fail(self, error: SessionsError) -> None:
        """End without an answer, or without all of it."""

    def broke(self) -> None:
        """Hear that the connection broke and is there again: what was on its way may be missing."""


class Pending:
    """One request whose reply is waited for."""

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

    def broke(self) -> None:
        """Nothing: it has no output."""

    def result(self, timeout: float | None = None) -> Message:
        """Wait for the reply; raises DeadlineExceeded, KernelDied, ServerGone."""
        if not self._there.wait(timeout):
            raise DeadlineExceeded(f"the kernel {self._kernel} has not answered {self._kind} in {timeout:g} s")
        if self._reply is None:
            raise self._error or ServerGone("no answer came")
        return self._reply


class Requests:
    """Who waits for the answers of which request; any thread may call it."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, Taker]] = {}
        self._sent: set[str] = set()
        self._lock = threading.Lock()

    def add(self, msg_id: str, channel: str, taker: Taker) -> None:
        """Note who waits for the answers of a request that is to be sent."""
        with self._lock:
            self._waiting[msg_id] = (channel, taker)

    def sending(self, msg_id: str) -> None:
        """Note that a request is on its way from now on."""
        with self._lock:
            if msg_id in self._waiting:
                self._sent.add(msg_id)

    def unsent(self, msg_id: str) -> None:
        """Note that a request did not get away, and is to be sent again."""
        with self._lock:
            self._sent.discard(msg_id)

    def drop(self, msg_id: str) -> Taker | None:
        """Forget a request; gives who waited for it, None where nobody does any more."""
        with self._lock:
            self._sent.discard(msg_id)
            return self._waiting.pop(msg_id, ("", None))[1]

    def take(self, message: Message) -> bool:
        """Hand a message to whoever waits for it; False where nobody does."""
        parent = message.parent
        with self._lock:
            _, taker = self._waiting.get(parent, ("", None))
        if taker is None:
            return False
        if taker.take(message):
            self.drop(parent)
        return True

    def waiting(self) -> list[tuple[str, str, Taker]]:
        """Give every request that was sent and is waited for: its id, its channel, and who waits."""
        with self._lock:
            return [(name, *waiting) for name, waiting in self._waiting.items() if name in self._sent]

    def answered(self) -> bool:
        """Say whether everything that was asked has its reply."""
        with self._lock:
            return all(taker.replied for _, taker in self._waiting.values())

    def fail(self, error: SessionsError, only: Iterable[str] | None = None) -> None:
        """End requests without an answer: all, or these."""
        with self._lock:
            names = list(self._waiting) if only is None else list(only)
        for name in names:
            taker = self.drop(name)
            if taker is not None:
                taker.fail(error)


class Probe:
    """A question that a kernel answers after all it was asked before; what is then unanswered was lost."""

    replied = True
    """It is never failed as lost: another asks the same."""

    def __init__(self, answered: Callable[[], None]) -> None:
        self._answered = answered
        self._reply = self._idle = False

    def take(self, message: Message) -> bool:
        """Take the reply and the end of its output, before which all other output came too."""
        if message.channel != "iopub":
            self._reply = True
        elif message.type == "status" and message.content.get("execution_state") == "idle":
            self._idle = True
        if not (self._reply and self._idle):
            return False
        self._answered()
        return True

    def fail(self, error: SessionsError) -> None:
        """Nothing: the others fail with the same."""

    def broke(self) -> None:
        """Nothing: it has no output."""
