"""What ``%load_ext jupyter_sessions`` does to a shell, and how it is undone."""

from __future__ import annotations

import inspect
from typing import Any

from jupyter_sessions.magics.arguments import HelpShown
from jupyter_sessions.magics.cell import run_cell
from jupyter_sessions.magics.commands import cell_help, overview, run_line
from jupyter_sessions.magics.context import Context
from jupyter_sessions.magics.failures import in_words
from jupyter_sessions.magics.matching import Matching, inspector, matcher

MAGIC = "session"


class Loaded:
    """The magics of one shell, as long as they are loaded."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self.context = Context(shell)
        self._matching = Matching(self.context)
        self._matcher = matcher(self._matching)
        self._inspect: Any = None

    def load(self) -> None:
        """Register the magics, their completions and the help of remote code."""
        context = self.context

        def session(line: str) -> None:
            with in_words():
                try:
                    run_line(context, line)
                except HelpShown as shown:
                    print(shown)

        def session_cell(line: str, cell: str) -> Any:
            with in_words():
                try:
                    return run_cell(context, line, cell)
                except HelpShown as shown:
                    print(shown)
                    return None

        session.__doc__, session_cell.__doc__ = overview(), cell_help()
        self._shell.register_magic_function(session, "line", MAGIC)
        self._shell.register_magic_function(session_cell, "cell", MAGIC)
        if self._matcher is not None:
            self._shell.Completer.custom_matchers.append(self._matcher)
        kernel = getattr(self._shell, "kernel", None)
        if kernel is not None and "omit_sections" in inspect.signature(kernel.do_inspect).parameters:
            self._inspect = inspector(self._matching, kernel.do_inspect)
            kernel.do_inspect = self._inspect

    def unload(self) -> None:
        """Undo all of it; sessions and what runs there go on."""
        for kind in ("line", "cell"):
            self._shell.magics_manager.magics[kind].pop(MAGIC, None)
        matchers = self._shell.Completer.custom_matchers
        if self._matcher in matchers:
            matchers.remove(self._matcher)
        kernel = getattr(self._shell, "kernel", None)
        if kernel is not None and kernel.__dict__.get("do_inspect") is self._inspect:
            kernel.__dict__.pop("do_inspect", None)
        self.context.close()


_ATTRIBUTE = "_jupyter_sessions"


def load(shell: Any) -> None:
    """Load the magics into a shell; once they are there, nothing more happens."""
    if getattr(shell, _ATTRIBUTE, None) is None:
        loaded = Loaded(shell)
        loaded.load()
        setattr(shell, _ATTRIBUTE, loaded)


def unload(shell: Any) -> None:
    """Take the magics out of a shell."""
    loaded = getattr(shell, _ATTRIBUTE, None)
    if loaded is not None:
        setattr(shell, _ATTRIBUTE, None)
        loaded.unload()
