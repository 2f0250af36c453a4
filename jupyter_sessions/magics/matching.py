"""What IPython asks for completions and help: our words, and the remote kernel for the rest of a remote cell.

A completer's matcher is added to the shell's own list, and the kernel's ``do_inspect`` is wrapped on that one kernel
object; both go away on unload. What a remote kernel does not answer in time is answered as if we were not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jupyter_sessions.magics import arguments, cell
from jupyter_sessions.magics.completion import PATIENCE_S, Names, Word, complete_words, soon
from jupyter_sessions.magics.context import Context
from jupyter_sessions.model.errors import SessionsError
from jupyter_sessions.model.states import State

if TYPE_CHECKING:
    from jupyter_sessions.client.kernel import KernelConnection

TYPES = "_jupyter_types_experimental"
_CELL = re.compile(r"\s*%%session(?![\w.])([^\n]*)\n")
_LINE = re.compile(r"\s*%session(?![\w.])[ \t]+(.*)")
_FIRST = re.compile(r"\s*%%session(?![\w.])[ \t]+(.*)")


@dataclass(frozen=True)
class Remote:
    """The remote part of a cell: its magic's words, its code, and where the code begins in the cell."""

    line: str
    code: str
    start: int


def remote_part(text: str) -> Remote | None:
    """Give the code of a cell that runs in a session, None for another cell."""
    found = _CELL.match(text)
    return Remote(found[1], text[found.end() :], found.end()) if found else None


class Matching:
    """Completions and help of one shell."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._names = Names(context)

    def complete(self, text: str, cursor: int) -> tuple[list[Word], str]:
        """Give the completions at ``cursor``, and the text before it that they replace."""
        remote = remote_part(text)
        if remote is not None and cursor >= remote.start:
            return self._complete_there(remote, cursor - remote.start)
        line = text[text.rfind("\n", 0, cursor) + 1 : cursor]
        first = _FIRST.match(line) if not text[: cursor - len(line)].strip() else None
        found = first or _LINE.match(line)
        if found is None:
            return [], ""
        typed = found[1]
        return complete_words(self._names, typed, first is not None), typed.rpartition(" ")[2]

    def _complete_there(self, remote: Remote, cursor: int) -> tuple[list[Word], str]:
        asked = {"code": remote.code, "cursor_pos": cursor}
        reply = self._ask(remote, "complete_request", asked)
        if not reply or reply.get("status") != "ok":
            return [], ""
        start = min(int(reply.get("cursor_start", cursor)), cursor)
        types = (reply.get("metadata") or {}).get(TYPES) or []
        kinds = {str(row.get("text")): str(row.get("type") or "") for row in types}
        return [Word(text, kinds.get(text, "")) for text in reply.get("matches") or ()], remote.code[start:cursor]

    def inspect(self, code: str, cursor: int, detail_level: int) -> dict[str, Any] | None:
        """Give the reply of the remote kernel to a question for help, None where it is not to be asked."""
        remote = remote_part(code)
        if remote is None or cursor < remote.start:
            return None
        asked = {"code": remote.code, "cursor_pos": cursor - remote.start, "detail_level": detail_level}
        reply = self._ask(remote, "inspect_request", asked)
        return reply if reply and reply.get("status") == "ok" else None

    def _ask(self, remote: Remote, kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
        def ask() -> dict[str, Any] | None:
            connection = self._connection(remote.line)
            if connection is None:
                return None
            return dict(connection.request("shell", kind, content, timeout=PATIENCE_S).content)

        return soon(ask)

    def _connection(self, line: str) -> KernelConnection | None:
        """Give the connection that a cell of this line would use, None where a kernel would have to be started."""
        try:
            asked = arguments.parse(cell.parser(), arguments.split(line, cell.PROG))
        except (SessionsError, arguments.HelpShown):
            return None
        name = self._context.which(asked.name)
        kept = self._context.connected(name, asked.kernel)
        if kept is not None or asked.kernel == "new":
            return None if kept is not None and self._busy(kept.kernel_id) else kept
        client = self._context.client
        if client.get(name).state is not State.ACTIVE or not client.kernels(name):
            return None
        return self._context.connect(name, asked.kernel)

    def _busy(self, kernel_id: str) -> bool:
        """Whether a cell of ours runs there, which would let a person who pressed Tab wait in vain."""
        return any(run.kernel_id == kernel_id and not run.done for run in self._context.runs)


def matcher(matching: Matching) -> Callable[[Any], dict[str, Any]] | None:
    """Make the matcher that a completer calls before its own; None where IPython is older than 8.6 and has no such."""
    try:
        from IPython.core.completer import SimpleCompletion
    except ImportError:
        return None

    def session_matcher(context: Any) -> dict[str, Any]:
        lines = context.full_text.split("\n")
        cursor = sum(len(line) + 1 for line in lines[: context.cursor_line]) + context.cursor_position
        found, fragment = matching.complete(context.full_text, cursor)
        completions = [SimpleCompletion(word.text, type=word.kind) for word in found]
        if not completions:
            return {"completions": [], "suppress": False}
        return {"completions": completions, "matched_fragment": fragment, "suppress": True, "ordered": True}

    made: Any = session_matcher
    # Version 2 gets the whole cell, not only a word of it.
    made.matcher_api_version = 2
    made.matcher_priority = 1_000
    made.matcher_identifier = "jupyter_sessions"
    result: Callable[[Any], dict[str, Any]] = made
    return result


def inspector(matching: Matching, before: Callable[..., Any]) -> Callable[..., Any]:
    """Make what stands before a kernel's ``do_inspect``: remote help for remote code, else what ``before`` gives."""

    def do_inspect(code: str, cursor_pos: int, detail_level: int = 0, omit_sections: Any = ()) -> Any:
        reply = matching.inspect(code, len(code) if cursor_pos is None else cursor_pos, detail_level)
        return before(code, cursor_pos, detail_level, omit_sections) if reply is None else reply

    return do_inspect
