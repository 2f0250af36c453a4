"""Stays with code that runs in a session's kernel: its output, its questions, Ctrl-C, and how it ended."""

from __future__ import annotations

import contextlib
import getpass
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jupyter_sessions.cli import output
from jupyter_sessions.cli.interrupts import INTERRUPTED, Interrupts, LetGo
from jupyter_sessions.cli.streams import Streams, coloured, traceback_text

if TYPE_CHECKING:
    from jupyter_sessions.client.execution import Execution, Output, Result
    from jupyter_sessions.client.handle import SessionHandle
    from jupyter_sessions.client.kernel import KernelConnection

GRACE_S = 10.0
"""How long code that took too long may take to end once it is interrupted, in seconds."""
QUEUED_S = 2.0
"""How long code may wait for other code until that is said, in seconds."""
LOOK_S = 0.05
EXIT = "SystemExit"
_EXIT_HINT = re.compile(r"\S*interactiveshell\.py:\d+: UserWarning: To exit: use [^\n]*\n(?:  warn\([^\n]*\n)?")
"""What IPython tells a person in a console at ``sys.exit``: here it is how a program ends."""


@dataclass
class Attended:
    """What came of code: ``code`` is the exit code, ``result`` is None where it was let go of."""

    session: str
    kernel: str
    code: int = output.OK
    result: Result | None = None
    outputs: list[Output] = field(default_factory=list)


def attend(
    handle: SessionHandle,
    connection: KernelConnection,
    code: str,
    *,
    text: bool,
    asks: bool,
    limit: float | None,
) -> Attended:
    """Run code to its end and say on stderr whatever else ended it; ``limit`` in seconds, None for none.

    ``text``: write output as it is made, else keep it. ``asks``: the terminal answers what the code asks. Raises what
    the connection raises: KernelDied with the session's reason, ServerGone.
    """
    attended = Attended(str(handle.name), connection.kernel_id)
    with Streams() as streams:
        show = Shown(streams).show if text else attended.outputs.append
        question = Question(streams) if asks else None
        turn = Turn()
        with Interrupts(turn.interrupt) as interrupts:
            if question is not None:
                question.interrupts = interrupts
            execution = turn.of(connection.execute(code, allow_stdin=asks, on_input=question, keep=False))
            try:
                attended.result, late = _wait(execution, show, limit)
                streams.flush()
            except LetGo as letting:
                _let_go(handle, execution, connection.kernel_id, streams)
                return _ended(attended, letting.code)
            except BrokenPipeError:
                execution.interrupt()
                output.say("nobody reads stdout any more; the code was interrupted")
                raise
            finally:
                turn.over()
        if interrupts.interrupted:
            output.say(f"interrupted; session {handle.id} and its kernel are still there")
        if late:
            output.say(f"it took longer than {limit:g} s and was interrupted")
    attended.code = exit_code(attended.result, interrupts.interrupted, text)
    return attended


def _ended(attended: Attended, code: int) -> Attended:
    attended.code = code
    return attended


def _wait(execution: Execution, show: Callable[[Output], None], limit: float | None) -> tuple[Result, bool]:
    """Give the result and whether the limit was what ended it; raises LetGo where even the interrupt did not."""
    from jupyter_sessions.model.errors import DeadlineExceeded

    late = False
    end = None if limit is None else time.monotonic() + limit
    while True:
        try:
            return execution.result(None if end is None else max(end - time.monotonic(), 0.0), show), late
        except (KeyboardInterrupt, EOFError):
            # An answer that nobody will give: the code has been interrupted.
            continue
        except DeadlineExceeded:
            if late or not execution.begun:
                raise LetGo(output.FAULTS) from None
            late, end = True, time.monotonic() + GRACE_S
            execution.interrupt()


def _let_go(handle: SessionHandle, execution: Execution, kernel: str, streams: Streams) -> None:
    with contextlib.suppress(OSError):
        streams.flush()
    name = handle.id if handle.name.parent == handle.client.location else str(handle.name)
    if execution.begun:
        does = f"runs on in session {handle.id}; to interrupt it: jupyter sessions kernels {name} --interrupt {kernel}"
    else:
        does = f"waits its turn in session {handle.id} and will run; its kernel: jupyter sessions kernels {name}"
    output.say(f"let go of it: the code {does}")


class Turn:
    """Keeps an interrupt from code of others: code that waits for them is interrupted once it has begun."""

    def __init__(self) -> None:
        self._execution: Execution | None = None
        self._over = threading.Event()
        self._teller = threading.Timer(QUEUED_S, self._tell)
        self._teller.daemon = True

    def of(self, execution: Execution) -> Execution:
        """Take the execution as it is sent; where it waits long, that is said."""
        self._execution = execution
        self._teller.start()
        return execution

    def over(self) -> None:
        """Interrupt nothing any more."""
        self._over.set()
        self._teller.cancel()

    def interrupt(self) -> None:
        """Interrupt the code, waiting for its beginning; not on the main thread."""
        from jupyter_sessions.model.errors import SessionsError

        if self._waits():
            output.say("it has not begun and will be interrupted as it begins; Ctrl-C again lets go of it")
        while self._waits():
            self._over.wait(LOOK_S)
        execution = self._execution
        if execution is None or execution.done or self._over.is_set():
            return
        try:
            execution.interrupt()
        except SessionsError as error:
            output.say(f"it could not be interrupted: {error}")

    def _waits(self) -> bool:
        execution = self._execution
        return not self._over.is_set() and (execution is None or not (execution.begun or execution.done))

    def _tell(self) -> None:
        if self._waits():
            output.say("the kernel is busy with other code; this waits for it")


def exit_code(result: Result, interrupted: bool, text: bool) -> int:
    """Give the exit code that a program with this end would have; says why where nothing else did."""
    if result.missing:
        output.say(result.missing)
    if result.status == "ok":
        return output.OK
    error = result.error
    if error is None:
        output.say("it was not run: code before it in this kernel failed or was interrupted; run it again")
        return INTERRUPTED if interrupted else output.FAULTS
    if error.ename == EXIT:
        return _exit_of(error.evalue, text)
    return INTERRUPTED if interrupted and error.ename == "KeyboardInterrupt" else output.FAULTS


def _exit_of(value: str, text: bool) -> int:
    """Give what Python's own exit is after ``sys.exit(value)``."""
    if value in ("", "None"):
        return output.OK
    try:
        return int(value) & 0xFF
    except ValueError:
        if text:
            output.say(value)
        return output.FAULTS


class Shown:
    """Writes outputs as text: streams to their own, results to stdout, tracebacks to stderr."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._colours = coloured(sys.stderr)

    def show(self, made: Output) -> None:
        """Write one output."""
        content = made.content
        if made.type == "stream" and content.get("name") == "stderr":
            self._streams.err(_EXIT_HINT.sub("", made.text))
        elif made.type == "stream":
            self._streams.out(made.text)
        elif made.type == "error":
            if content.get("ename") != EXIT:
                self._streams.err(traceback_text(content.get("traceback") or [str(content)], self._colours))
        elif made.type != "clear_output":
            self._streams.out(_text_of(content.get("data") or {}) + "\n")


def _text_of(data: dict[str, Any]) -> str:
    plain = data.get("text/plain")
    if plain is None:
        return f"[{', '.join(data) or 'nothing'}]"
    return plain if isinstance(plain, str) else "".join(plain)


class Question:
    """Answers what the code asks for, from the terminal; the prompt goes to stderr, for stdout holds data."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self.interrupts: Interrupts | None = None

    def __call__(self, prompt: str, password: bool) -> str:
        """Ask; raises KeyboardInterrupt and EOFError where nobody answers, and the code is interrupted."""
        self._streams.flush()
        with self._asking():
            if password:
                return getpass.getpass(prompt)
            self._streams.err(prompt)
            self._streams.flush()
            return input()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        if self.interrupts is None:
            yield
            return
        self.interrupts.asking = True
        try:
            yield
        finally:
            self.interrupts.asking = False


def as_json(attended: Attended) -> dict[str, Any]:
    """Give what came of code as ``exec -o json`` writes it; outputs are those of a notebook."""
    result = attended.result
    error = result and result.error
    return {
        "session": attended.session,
        "kernel": attended.kernel,
        "status": result.status if result else "running",
        "outputs": _outputs(attended.outputs),
        "result": (result and dict(result.data)) or None,
        "error": error and {"ename": error.ename, "evalue": error.evalue, "traceback": error.traceback},
    }


def _outputs(made: list[Output]) -> list[dict[str, Any]]:
    """Give outputs as a notebook holds them: pieces of one stream joined, updates in the place of what they update."""
    rows: list[dict[str, Any]] = []
    pieces: list[str] = []
    shown: dict[str, dict[str, Any]] = {}
    clears = False
    for one in made:
        content = {key: value for key, value in one.content.items() if key != "transient"}
        name = (one.content.get("transient") or {}).get("display_id")
        if one.type == "update_display_data":
            if name in shown:
                shown[name].update(content)
            continue
        if clears or one.type == "clear_output":
            # One that waits clears when the next output comes, which may never be.
            clears = one.type == "clear_output" and bool(content.get("wait"))
            if not clears:
                rows.clear()
        if one.type == "stream":
            if not rows or rows[-1].get("name") != content.get("name"):
                pieces = []
                rows.append({"output_type": "stream", **content, "text": pieces})
            pieces.append(content.get("text", ""))
        elif one.type != "clear_output":
            rows.append({"output_type": one.type, **content})
            if name:
                shown[name] = rows[-1]
    return [{**row, "text": "".join(row["text"])} if row["output_type"] == "stream" else row for row in rows]
