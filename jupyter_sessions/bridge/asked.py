"""A program's request on its way: who asked, what answers it, and what is said where no answer can come."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_sessions.bridge.inbox import Inbox
from jupyter_sessions.client.execution import broken
from jupyter_sessions.client.messages import PROTOCOL, Message
from jupyter_sessions.model.errors import SessionsError

REQUEST, REPLY = "_request", "_reply"
OURS = uuid.uuid4().hex
"""The session in the headers of what the bridge says itself."""


class Asked:
    """A request of a program, while it waits for its reply; told to the loop by its inbox, from other threads."""

    def __init__(self, inbox: Inbox[Arrival], identity: list[bytes], request: Message) -> None:
        self.identity = identity
        self.request = request
        self.replied = False
        self.idle = False
        self.reply: Message | None = None
        self.since = 0.0
        self._inbox = inbox

    def take(self, message: Message) -> bool:
        """Take a message that answers it; says whether it was the reply."""
        last = message.channel == self.request.channel and message.type.endswith(REPLY)
        self.replied = self.replied or last
        self._inbox.put(Arrival(self, message), size_of(message))
        return last

    def broke(self) -> None:
        """Say beside the code's own output that some of it may be missing."""
        if self.request.type == f"execute{REQUEST}" and not self.request.content.get("silent"):
            told = said("iopub", "stream", {"name": "stderr", "text": f"{broken()}\n"}, self.request)
            self._inbox.put(Arrival(self, told), size_of(told))

    def fail(self, error: SessionsError) -> None:
        """Say that no reply can come."""
        self._inbox.put(Arrival(self, None, error))


@dataclass(frozen=True)
class Arrival:
    """What the kernel sent; ``asked`` is the request it answers, where that is known and still waits."""

    asked: Asked | None
    message: Message | None
    error: SessionsError | None = None


def size_of(message: Message) -> int:
    """Give the bytes of a message."""
    return sum(map(len, message.parts)) + sum(map(len, message.buffers))


def said(channel: str, kind: str, content: Mapping[str, Any], parent: Message | None = None) -> Message:
    """Make a message of the bridge's own, as a kernel would say it."""
    now = datetime.datetime.now(datetime.timezone.utc).isoformat().replace("+00:00", "Z")
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "session": OURS, "date": now}
    parts = [json.dumps(one).encode() for one in ({**header, "version": PROTOCOL}, {}, {}, content)]
    if parent is not None:
        parts[1] = bytes(parent.parts[0])
    return Message(channel, parts)


def refusals(request: Message, error: SessionsError) -> list[Message]:
    """Give what tells a program that its request came to nothing: error and idle, and the reply last."""
    told = {"ename": type(error).__name__, "evalue": str(error), "traceback": [f"{type(error).__name__}: {error}"]}
    reply = {"status": "error", "execution_count": 0, "user_expressions": {}, "payload": [], **told}
    return [
        said("iopub", "error", told, request),
        said("iopub", "status", {"execution_state": "idle"}, request),
        said(request.channel, request.type.removesuffix(REQUEST) + REPLY, reply, request),
    ]
