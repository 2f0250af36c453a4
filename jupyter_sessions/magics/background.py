"""A cell that runs in a session while this kernel goes on."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from jupyter_sessions.magics.failures import in_words, raise_for, without_colour
from jupyter_sessions.magics.following import interrupt
from jupyter_sessions.magics.showing import Shown, as_text, without_widgets
from jupyter_sessions.magics.table import MUTED
from jupyter_sessions.model.errors import DeadlineExceeded
from jupyter_sessions.model.words import length, short

if TYPE_CHECKING:
    from jupyter_sessions.client.execution import Execution, Output, Result
    from jupyter_sessions.magics.front import Front

PAUSE_S = 0.25
"""Seconds between two updates of what is shown."""
SHOWN = 100_000
"""Characters of text that are shown in place; ``show()`` gives all."""
_IMAGES = ("image/png", "image/jpeg", "image/gif")


class BackgroundRun:
    """What ``%%session --background`` gives: wait for it, read its outputs, interrupt it.

    Outputs show below the cell that began it, where the front end can update it, and with :meth:`show` anywhere.
    ``session`` is the session's full name, ``kernel_id`` the kernel that runs it, ``outputs`` what it gave so far.
    ``bring`` sets the variables ``names`` of ``-o`` here; it is called once, after code that succeeded.
    """

    def __init__(
        self,
        front: Front,
        session: str,
        kernel_id: str,
        execution: Execution,
        bring: Callable[[], None],
        names: Sequence[str] = (),
    ) -> None:
        self.session = session
        self.kernel_id = kernel_id
        self.outputs: list[Output] = []
        self._front = front
        self._execution = execution
        self._bring = bring
        self._names = tuple(names)
        self._result: Result | None = None
        self._fault: BaseException | None = None
        self._ended = threading.Event()
        self._display = uuid.uuid4().hex
        self._start = time.monotonic()
        self._lasted = 0.0
        self._clears = False

    def begin(self) -> None:
        """Show where its outputs will be, and begin to read them; the magic calls it."""
        if self._front.updates:
            self._front.publish(self._bundle(), display_id=self._display)
        threading.Thread(target=self._read, name=f"session {self.kernel_id}", daemon=True).start()

    @property
    def done(self) -> bool:
        """Whether it has ended, well or not."""
        return self._ended.is_set()

    @property
    def text(self) -> str:
        """What it has given so far, as plain text."""
        return "".join(map(as_text, self.outputs))

    def wait(self, timeout: float | None = None) -> BackgroundRun:
        """Wait for its end, at most ``timeout`` seconds, the variables of ``-o`` brought here included.

        Raises DeadlineExceeded at the timeout (it runs on); for code that raised a RemoteError; KernelDied, ServerGone;
        NotFound or TransferRefused for a variable that could not be brought.
        """
        with in_words():
            if not self._ended.wait(timeout):
                raise DeadlineExceeded(f"it is still running after {timeout:g} s; wait again, or interrupt() it")
            if self._fault is not None:
                raise self._fault
            if self._result is not None:
                raise_for(self._result.error, self._result.status)
        return self

    def result(self, timeout: float | None = None) -> Any:
        """Wait for its end as :meth:`wait`, and give what it ended with: ``outputs``, ``data``, ``text`` and more."""
        self.wait(timeout)
        return self._result

    def interrupt(self) -> None:
        """Interrupt its kernel; where other code runs there, as soon as this one begins."""
        if self._execution.begun and not self.done:
            self._execution.interrupt()
        elif not self.done:
            interrupt(self._execution)

    def show(self) -> None:
        """Show its outputs so far in this cell, with their MIME types."""
        shown = Shown(self._front, f"{self.kernel_id}.{uuid.uuid4().hex}")
        for output in list(self.outputs):
            shown(output)

    def _read(self) -> None:
        told = time.monotonic()
        try:
            for output in self._execution:
                self._take(output)
                if time.monotonic() - told >= PAUSE_S:
                    told = time.monotonic()
                    self._update()
            self._result = self._execution.result()
            if self._result.status == "ok":
                self._bring()
        except BaseException as error:  # whatever it is, who waits is to get it
            self._fault = error
        self._lasted = time.monotonic() - self._start
        self._ended.set()
        self._update()

    def _take(self, output: Output) -> None:
        """Keep an output: what clears clears, what updates stands in the place of what it updates."""
        if output.type == "update_display_data":
            name = _display_id(output)
            for at, kept in enumerate(self.outputs):
                if name and _display_id(kept) == name:
                    self.outputs[at] = _replaced(kept, output)
            return
        clears = output.type == "clear_output"
        if self._clears or clears:
            # One that waits clears when the next output comes, which may never be.
            self._clears = clears and bool(output.content.get("wait"))
            if not self._clears:
                self.outputs.clear()
        if not clears:
            self.outputs.append(output)

    def _update(self) -> None:
        if self._front.updates:
            self._front.publish(self._bundle(), display_id=self._display, update=True)

    def _bundle(self) -> dict[str, str]:
        status = self._status()
        head = f'<small style="{MUTED}">{escape(status)}</small>'
        return {"text/plain": f"{self.text[-SHOWN:]}{status}", "text/html": head + _html(list(self.outputs))}

    def _status(self) -> str:
        where = f"{short(self.session)}, kernel {self.kernel_id}"
        if not self.done:
            return f"running in session {where}"
        how = "ended"
        if self._fault is not None:
            how = f"ended with {type(self._fault).__name__}: {self._fault}"
        elif self._result is not None and self._result.error is not None:
            how = f"failed with {self._result.error.ename}"
        missing = f"; {self._result.missing}" if self._result is not None and self._result.missing else ""
        brought = f"; brought {', '.join(self._names)}" if how == "ended" and self._names else ""
        return f"{how} after {length(int(self._lasted * 1e9))} in session {where}{brought}{missing}"

    def __repr__(self) -> str:
        if self.done:
            return f"<BackgroundRun {self._status()}; .text, .show(), .result()>"
        return f"<BackgroundRun {self._status()}; .wait() waits, .interrupt() ends it>"


def _display_id(output: Output) -> str:
    return str((output.content.get("transient") or {}).get("display_id") or "")


def _replaced(kept: Output, update: Output) -> Output:
    """Give a kept output with what an update says, as the output it was."""
    import dataclasses

    return dataclasses.replace(update, type=kept.type)


def _html(outputs: list[Output]) -> str:
    """Give outputs as HTML: text as it is, HTML and images as they are; the last part where it is too much."""
    parts: list[str] = []
    text: list[str] = []
    for output in outputs:
        data = without_widgets(output.content.get("data") or {})
        image = next((kind for kind in _IMAGES if kind in data), "")
        rich = data.get("text/html") or data.get("image/svg+xml")
        if not rich and not image:
            text.append(as_text(output))
            continue
        parts += _pre(text)
        text = []
        parts.append(rich if rich else f'<img alt="" src="data:{image};base64,{escape("".join(data[image].split()))}">')
    parts += _pre(text)
    return "".join(parts)


def _pre(text: list[str]) -> list[str]:
    whole = without_colour("".join(text))
    if not whole:
        return []
    cut = f"… {len(whole) - SHOWN} characters before; show() gives all\n" if len(whole) > SHOWN else ""
    return [f'<pre style="margin: 0">{escape(cut + whole[-SHOWN:])}</pre>']
