"""Shows what a session's kernel gives, in the cell that asked, as if a local kernel had given it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from jupyter_sessions.magics.failures import without_colour

if TYPE_CHECKING:
    from jupyter_sessions.client.execution import Output
    from jupyter_sessions.magics.front import Front

WIDGET = "application/vnd.jupyter.widget-view+json"
NO_WIDGET = "(a widget lives in the session's kernel, and can be shown by a notebook that runs there only)"


class Shown:
    """Shows outputs in order. ``kernel_id`` keeps the display ids of several kernels apart.

    Errors are not shown here: the cell raises them at its end.
    """

    def __init__(self, front: Front, kernel_id: str) -> None:
        self._front = front
        self._kernel = kernel_id

    def __call__(self, output: Output) -> None:
        """Show one output."""
        content = output.content
        if output.type == "stream":
            stream = sys.stderr if content.get("name") == "stderr" else sys.stdout
            stream.write(content.get("text", ""))
            stream.flush()
        elif output.type == "clear_output":
            self._front.clear(bool(content.get("wait")))
        elif output.type != "error":
            data = without_widgets(content.get("data") or {})
            self._front.publish(
                data,
                content.get("metadata"),
                display_id=self._display_id(content),
                update=output.type == "update_display_data",
                buffers=output.buffers,
            )

    def _display_id(self, content: Mapping[str, Any]) -> str:
        given = (content.get("transient") or {}).get("display_id")
        return f"{self._kernel}.{given}" if given else ""

    def payload(self, reply: Mapping[str, Any]) -> None:
        """Do what a reply asks the front end for: show help, propose the next cell."""
        for row in reply.get("payload") or ():
            if row.get("source") == "page":
                self._front.page(row.get("data") or {})
            elif row.get("source") == "set_next_input":
                self._front.next_input(str(row.get("text", "")), bool(row.get("replace")))


def without_widgets(data: Mapping[str, Any]) -> dict[str, Any]:
    """Leave a widget's view out: its model is in the other kernel, and a front end would show an error."""
    if WIDGET not in data:
        return dict(data)
    rest = {kind: value for kind, value in data.items() if kind != WIDGET}
    rest["text/plain"] = f"{rest.get('text/plain', 'widget')}\n{NO_WIDGET}"
    return rest


def as_text(output: Output) -> str:
    """Give an output as plain text."""
    content = output.content
    if output.type == "stream":
        return str(content.get("text", ""))
    if output.type == "error":
        return without_colour("\n".join(content.get("traceback") or [str(content.get("evalue", ""))])) + "\n"
    if output.type == "clear_output":
        return ""
    data = without_widgets(content.get("data") or {})
    text = data.get("text/plain")
    return f"{text if text is not None else '[' + ', '.join(data) + ']'}\n"
