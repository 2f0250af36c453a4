"""Code that runs in a kernel: its outputs as they come, and its result."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_sessions.client.errors import ExecutionFailed
from jupyter_sessions.client.messages import Buffer, Message
from jupyter_sessions.model.errors import DeadlineExceeded, SessionsError

if TYPE_CHECKING:
    from jupyter_sessions.client.kernel import KernelConnection

OUTPUTS = ("stream", "display_data", "update_display_data", "execute_result", "error", "clear_output")
"""The messages of a kernel that are outputs."""
_STEP = 1.0
"""Seconds of waiting in one piece: where a lock holds off Ctrl-C, as on Windows, it is held off for no longer."""
OnInput = Callable[[str, bool], str]
"""Asked where the code asks: the prompt, and whether what is typed is a password."""


def broken(times: int = 1) -> str:
    """Say to a person, in one line, that the connection broke so often while code ran."""
    often = "" if times == 1 else f" {times} times"
    return f"the connection broke{often} while the code ran: some of its output may be missing"


@dataclass(frozen=True)
class Output:
    """One output: its ``type`` (one of OUTPUTS) and what Jupyter's messaging says such a message holds."""

    type: str
    content: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    buffers: list[Buffer] = field(default_factory=list)

    @property
    def text(self) -> str:
        """It as text: what was printed, a result's ``text/plain``, or a traceback with its colours."""
        if self.type == "stream":
            return str(self.content.get("text", ""))
        if self.type == "error":
            return "\n".join(self.content.get("traceback") or [str(self.content.get("evalue", ""))])
        plain = self.content.get("data", {}).get("text/plain", "")
        return plain if isinstance(plain, str) else "".join(plain)


@dataclass(frozen=True)
class Result:
    """What came of an execution.

    ``status`` is ``ok``, ``error`` or ``aborted`` (an earlier one failed, so it did not run). ``outputs`` are all, in
    order, pieces of one stream that followed each other put together. ``data`` is the last expression's MIME bundle,
    ``{}`` where it had none. ``breaks`` says how often the connection broke and was there again meanwhile: what was on
    its way at such a moment may be missing in ``outputs``.
    """

    status: str
    outputs: list[Output]
    kernel_id: str
    data: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    error: ExecutionFailed | None = None
    execution_count: int | None = None
    reply: dict[str, Any] = field(default_factory=dict)
    breaks: int = 0

    @property
    def missing(self) -> str:
        """What a person is to know where outputs may be missing, in one line; else ``""``."""
        return broken(self.breaks) if self.breaks else ""

    @property
    def text(self) -> str:
        """All that was printed, and the ``text/plain`` of what was shown, a line of its own each."""
        pieces = [output for output in self.outputs if output.type not in ("error", "clear_output")]
        return "".join(one.text if one.type == "stream" else f"{one.text}\n" for one in pieces)


@dataclass(frozen=True)
class _Ask:
    """The code waits for input."""

    prompt: str
    password: bool


class Execution(Iterator[Output]):
    """One execution; iterate over it for its outputs in the order of their arrival, up to its end.

    The iteration raises what ended it from outside: KernelDied, ServerGone. What the code raised is in the result.
    One thread reads it; ``interrupt`` may be called from any.
    """

    def __init__(self, connection: KernelConnection, on_input: OnInput | None, keep: bool = True) -> None:
        self.msg_id = ""
        self._connection = connection
        self._on_input = on_input
        self._queue: queue.SimpleQueue[Output | _Ask | SessionsError | None] = queue.SimpleQueue()
        self._reply: Message | None = None
        self._begun = False
        self._idle = False
        self._ended = False
        self._failure: SessionsError | None = None
        self._outputs = _Outputs(keep)
        self._breaks = 0

    @property
    def begun(self) -> bool:
        """Whether the kernel is known to have begun it."""
        return self._begun

    @property
    def done(self) -> bool:
        """Whether it has ended at the kernel; outputs may still wait to be read."""
        return self._ended

    # The connection's reader thread calls these.

    def take(self, message: Message) -> bool:
        """Take a message that answers it; says whether it was the last."""
        kind = message.type
        if message.channel == "iopub":
            self._begun = True
            if kind in OUTPUTS:
                self._queue.put(Output(kind, message.content, message.metadata, message.buffers))
            elif kind == "status" and message.content.get("execution_state") == "idle":
                self._idle = True
        elif message.channel == "stdin" and kind == "input_request":
            self._queue.put(_Ask(str(message.content.get("prompt", "")), bool(message.content.get("password"))))
        elif kind == "execute_reply":
            self._reply = message
        if self._reply is not None and (self._idle or self._unheard()):
            self._end(None)
        return self._ended

    def fail(self, error: SessionsError) -> None:
        """End it from outside."""
        self._end(error)

    def broke(self) -> None:
        """Note that the connection broke and is there again."""
        self._breaks += 1

    def settle(self) -> None:
        """End it as its reply says: no more of its outputs can come."""
        self._end(None)

    @property
    def replied(self) -> bool:
        """Whether the kernel has answered, be it that its last outputs are still to come."""
        return self._reply is not None

    def _unheard(self) -> bool:
        """Whether it was aborted, of which a kernel may say nothing else."""
        return self._reply is not None and self._reply.content.get("status") == "aborted"

    def _end(self, item: SessionsError | None) -> None:
        if not self._ended:
            self._ended = True
            self._queue.put(item)

    # Whoever waits calls these.

    def __next__(self) -> Output:
        return self._next(None)

    def _next(self, end: float | None) -> Output:
        while True:
            if self._ended and self._failure is not None:
                raise self._failure
            item = self._waited(end)
            if isinstance(item, Output):
                self._outputs.add(item)
                return item
            if isinstance(item, _Ask):
                self._answer(item)
                continue
            # The end is kept for whoever asks again.
            self._queue.put(item)
            if item is None:
                raise StopIteration
            self._failure = item
            raise item

    def _waited(self, end: float | None) -> Output | _Ask | SessionsError | None:
        while True:
            left = _STEP if end is None else max(end - time.monotonic(), 0.0)
            try:
                return self._queue.get(timeout=min(left, _STEP))
            except queue.Empty:
                if left > _STEP or end is None:
                    continue
                raise DeadlineExceeded(
                    f"the code has not ended in time; it goes on in the kernel {self._connection.kernel_id}"
                ) from None

    def _answer(self, ask: _Ask) -> None:
        if self._on_input is None:
            return
        try:
            value = self._on_input(ask.prompt, ask.password)
        except BaseException:
            # Nobody will answer, and the kernel must not wait for it.
            self.interrupt()
            raise
        self._connection.send("stdin", "input_reply", {"value": value, "status": "ok"})

    def result(self, timeout: float | None = None, on_output: Callable[[Output], None] | None = None) -> Result:
        """Wait for the end and give the result; ``on_output`` is called with each output that is read here.

        Raises KernelDied, ServerGone, and DeadlineExceeded after ``timeout`` seconds: the code then runs on.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                output = self._next(end)
            except StopIteration:
                break
            if on_output is not None:
                on_output(output)
        return self._result()

    def _result(self) -> Result:
        reply = self._reply.content if self._reply is not None else {}
        outputs = self._outputs.joined()
        shown = next((one for one in reversed(outputs) if one.type == "execute_result"), None)
        status = str(reply.get("status", "ok"))
        # An abort is told as an error without a name by older kernels.
        status = "aborted" if status == "abort" else status
        return Result(
            status=status,
            outputs=outputs,
            kernel_id=self._connection.kernel_id,
            data=shown.content.get("data", {}) if shown else {},
            metadata=shown.content.get("metadata", {}) if shown else {},
            error=_failure(reply) if status == "error" else None,
            execution_count=reply.get("execution_count"),
            reply=reply,
            breaks=self._breaks,
        )

    def interrupt(self) -> None:
        """Interrupt the kernel that it runs in, unless it has ended; raises what the server answers."""
        if not self._ended:
            self._connection.interrupt()


def _failure(reply: dict[str, Any]) -> ExecutionFailed:
    return ExecutionFailed(str(reply.get("ename", "Error")), str(reply.get("evalue", "")), reply.get("traceback") or [])


class _Outputs:
    """Outputs in order; of pieces of one stream that follow each other, the text alone is kept.

    Without ``keep`` the last expression's is the only one.
    """

    def __init__(self, keep: bool) -> None:
        self._keep = keep
        self._kept: list[tuple[Output, list[str]]] = []

    def add(self, output: Output) -> None:
        """Take the next one."""
        if not self._keep:
            self._kept = [(output, [])] if output.type == "execute_result" else self._kept
            return
        if output.type != "stream":
            self._kept.append((output, []))
            return
        last = self._kept[-1][0] if self._kept else None
        if last is not None and last.type == "stream" and last.content.get("name") == output.content.get("name"):
            self._kept[-1][1].append(output.text)
        else:
            self._kept.append((output, [output.text]))

    def joined(self) -> list[Output]:
        """Give them, such pieces put together."""
        return [
            Output("stream", {**one.content, "text": "".join(pieces)}, one.metadata) if len(pieces) > 1 else one
            for one, pieces in self._kept
        ]
