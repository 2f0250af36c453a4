"""``%%session``: runs a cell in a session."""

from __future__ import annotations

import argparse
import keyword
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from jupyter_sessions.magics import arguments
from jupyter_sessions.magics.arguments import flag, option, word
from jupyter_sessions.magics.context import Context
from jupyter_sessions.magics.failures import NOT_RUN, raise_for
from jupyter_sessions.magics.following import Interrupts, asker, follow, let_go
from jupyter_sessions.magics.showing import Shown
from jupyter_sessions.model.errors import Aborted, InvalidArgument

if TYPE_CHECKING:
    from jupyter_sessions.client.kernel import KernelConnection

PROG = "%%session"
BUSY = "the kernel gives no answer yet, it may be busy with other code; waiting for it, an interrupt gives up"
SUMMARY = """Run this cell in a session. What it prints and shows arrives as it is made, an error with the remote
traceback, and an interrupt goes to the session's kernel. Without NAME: the attached session, else the only live one."""
EXAMPLE = "%%session etl-nightly -i limit -o total"
ARGUMENTS = (
    word("name", "the session's id or full name", "session", nargs="?"),
    option("--kernel", help="main (default), new, or a kernel's id", kind="kernel", default="main"),
    option("-i", "--input", help="send this variable there before", kind="variable", action="append", metavar="VAR"),
    option("-o", "--output", help="bring this variable back after success", action="append", metavar="VAR"),
    option(
        "--background",
        help="do not wait: give a handle, in VAR if named",
        nargs="?",
        const="",
        metavar="VAR",
    ),
    flag("--pickle", help="let -i and -o use pickle, towards a session of your own"),
    option("--limit", help="the most bytes of one variable, as 500M (default 1Gi)", metavar="SIZE"),
    flag("--quiet", help="do not say which session and kernel answers"),
)


def parser() -> argparse.ArgumentParser:
    """Make the parser of the magic's line."""
    return arguments.parser(PROG, SUMMARY, ARGUMENTS, EXAMPLE)


def run_cell(context: Context, line: str, cell: str) -> Any:
    """Run a cell as its line says; gives the handle of one in the background, else nothing.

    Raises SessionsError, which for code that raised is a RemoteError; HelpShown.
    """
    asked = arguments.parse(parser(), arguments.split(line, PROG))
    _check(asked)
    limit = arguments.size(asked.limit) if asked.limit else None
    values = context.values(asked.input or ())
    name = context.which(asked.name)
    moved = Moved(context, name, pickle=asked.pickle, limit=limit)
    interrupts = Interrupts()
    with interrupts.taken():
        connection = context.connect(name, asked.kernel)
        if not asked.quiet:
            context.mention(name, connection.kernel_id)
        moved.send(connection, values)
        if asked.background is None:
            _in_front(context, connection, cell, interrupts)
            moved.bring(connection, asked.output or ())
            return None
    return _behind(context, connection, name, cell, moved, asked)


def _check(asked: argparse.Namespace) -> None:
    for field, names in (("-i", asked.input), ("-o", asked.output), ("--background", [asked.background or "_"])):
        for name in names or ():
            if not name.isidentifier() or keyword.iskeyword(name):
                hint = "; write the session's name before --background" if field == "--background" else ""
                raise InvalidArgument(f"{PROG}: {field} needs the name of a variable, not {name!r}{hint}")


def _in_front(context: Context, connection: KernelConnection, cell: str, interrupts: Interrupts) -> None:
    shown = Shown(context.front, connection.kernel_id)
    ask = asker(interrupts) if context.front.asks else None
    execution = connection.execute(cell, allow_stdin=ask is not None, on_input=ask, keep=False)
    try:
        result = follow(execution, shown, interrupts)
    except KeyboardInterrupt:
        if interrupts.count:
            sys.stderr.write(f"Let go of the cell: {let_go(execution)}.\n")
        raise
    if result.missing:
        sys.stderr.write(f"{result.missing}\n")
    shown.payload(result.reply)
    if result.status == "aborted":
        raise Aborted(NOT_RUN)
    raise_for(result.error, result.status)


def _behind(
    context: Context, connection: KernelConnection, name: str, cell: str, moved: Moved, asked: argparse.Namespace
) -> Any:
    from jupyter_sessions.magics.background import BackgroundRun

    # A cell beside others is not to take them down with it.
    execution = connection.execute(cell, stop_on_error=False)
    names = asked.output or ()
    run = BackgroundRun(
        context.front, name, connection.kernel_id, execution, lambda: moved.bring(connection, names, tell=False), names
    )
    context.runs = [one for one in context.runs if not one.done] + [run]
    if asked.background:
        context.shell.user_ns[asked.background] = run
    run.begin()
    return None if asked.background else run


class Moved:
    """Variables that go with a cell, and come back after it."""

    def __init__(self, context: Context, name: str, *, pickle: bool, limit: int | None) -> None:
        self._context = context
        self._name = name
        self._pickle = pickle
        self._limit = limit

    def send(self, connection: KernelConnection, values: Any) -> list[str]:
        """Set variables there; gives a line on each. Raises TransferRefused."""
        from jupyter_sessions.client import transfer
        from jupyter_sessions.client.values import readable

        options = self._options(True) if values else {}
        sent = [transfer.push(connection, name, value, **options) for name, value in values.items()]
        return [f"{one.name}: {one.kind}, {readable(one.size)}" for one in sent]

    def bring(self, connection: KernelConnection, names: Any, *, tell: bool = True) -> None:
        """Set variables here: all of them, or none; ``tell`` says when that waits. Raises NotFound, TransferRefused."""
        from jupyter_sessions.client import transfer

        options = self._options(tell) if names else {}
        found = {name: transfer.pull(connection, name, **options) for name in names}
        self._context.shell.user_ns.update(found)

    def _options(self, tell: bool) -> dict[str, Any]:
        from jupyter_sessions.client import transfer
        from jupyter_sessions.client.waiting import Patience

        own = False
        if self._pickle:
            own = transfer.own_session(self._context.client, self._context.look(self._name))
        patience = Patience(on_wait=partial(self._context.front.mention, BUSY) if tell else None)
        return {"pickle": self._pickle, "own": own, "limit": self._limit or transfer.LIMIT, "patience": patience}
