"""What this process shows through: a notebook's front end, which updates what it shows, or a terminal, which cannot."""

from __future__ import annotations

import contextlib
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from jupyter_sessions.magics.table import MUTED, Table
from jupyter_sessions.model.words import plain


class Front:
    """The front end of one IPython shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    @property
    def updates(self) -> bool:
        """Whether what was shown can be changed: an ipykernel shows it, not a terminal."""
        return getattr(self._shell, "kernel", None) is not None

    @property
    def asks(self) -> bool:
        """Whether ``input()`` can be answered here: not by a notebook that is executed without a person."""
        kernel = getattr(self._shell, "kernel", None)
        return sys.stdin is not None if kernel is None else bool(getattr(kernel, "_allow_stdin", True))

    def publish(
        self,
        data: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        *,
        display_id: str = "",
        update: bool = False,
        buffers: Sequence[Any] = (),
    ) -> None:
        """Show a MIME bundle; with ``update`` in place of the one of that ``display_id``, in terminals below it.

        ``buffers`` are the bytes that go with it; a terminal has no use for them.
        """
        transient = {"display_id": display_id} if display_id else {}
        publisher = self._shell.display_pub
        with _carrying(publisher, buffers):
            publisher.publish(dict(data), dict(metadata or {}), transient=transient, update=update)

    def clear(self, wait: bool) -> None:
        """Clear the cell's output, with ``wait`` before the next one."""
        self._shell.display_pub.clear_output(wait)

    def show(self, table: Table) -> None:
        """Show a table once."""
        self.publish(table.bundle(colours=sys.stdout.isatty()))

    def mention(self, text: str) -> None:
        """Show a line that is not in the way: muted in a notebook, on stderr in a terminal."""
        if self.updates:
            self.publish(muted(text))
        else:
            sys.stderr.write(f"{plain(text)}\n")

    def page(self, data: Mapping[str, Any]) -> None:
        """Show help where this front end shows its own."""
        from IPython.core.page import page

        page(dict(data))

    def next_input(self, text: str, replace: bool) -> None:
        """Propose the next cell's text."""
        self._shell.set_next_input(text, replace)


@contextlib.contextmanager
def _carrying(publisher: Any, buffers: Sequence[Any]) -> Iterator[None]:
    """Let what an ipykernel's publisher sends carry buffers: a hook of it, for ``publish`` itself takes none."""
    if not buffers or not hasattr(publisher, "register_hook"):
        yield
        return

    def add(message: dict[str, Any]) -> dict[str, Any]:
        message["buffers"] = list(buffers)
        return message

    publisher.register_hook(add)
    try:
        yield
    finally:
        publisher.unregister_hook(add)


def muted(text: str) -> dict[str, str]:
    """Give a quiet line as a MIME bundle."""
    return {"text/plain": plain(text), "text/html": f'<small style="{MUTED}">{escape(text)}</small>'}


class Steps:
    """Tells the steps of something that takes a while: in one place in a notebook, a line each in a terminal."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._id = ""
        self._last = ""

    def tell(self, text: str) -> None:
        """Tell where it is now."""
        if text == self._last:
            return
        self._last = text
        if not self._front.updates:
            self._front.mention(text)
        elif self._id:
            self._front.publish(muted(text), display_id=self._id, update=True)
        else:
            self._id = uuid.uuid4().hex
            self._front.publish(muted(text), display_id=self._id)
