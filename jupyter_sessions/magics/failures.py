"""How a cell fails: in words where the fault is ours to tell, else with the remote traceback."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator, Sequence

from jupyter_sessions.client.errors import ExecutionFailed, ServerNotFound
from jupyter_sessions.model.errors import Aborted, SessionsError
from jupyter_sessions.model.words import plain

NOT_RUN = "the cell was not run: one before it in the same kernel failed; run it again"
_NO_SESSION = re.compile(r"session projects/\S+ does not exist")
_NO_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class RemoteError(ExecutionFailed):
    """Code in a session raised. Each one is of a subclass called like the remote exception, and says what that said."""

    def __str__(self) -> str:
        return self.evalue


def remote_error(ename: str, evalue: str, traceback: Sequence[str]) -> RemoteError:
    """Make the exception that stands for a remote one: a front end shows the remote name, text and traceback."""
    name = ename.rpartition(".")[2]
    kind = type(name if name.isidentifier() else "RemoteError", (RemoteError,), {"__module__": __name__})
    error: RemoteError = kind(ename, evalue, list(traceback))
    return error


def raise_for(error: ExecutionFailed | None, status: str) -> None:
    """Raise what an execution ended with, if it did not end well."""
    if error is not None:
        lines = error.traceback if coloured() else [without_colour(line) for line in error.traceback]
        raise remote_error(error.ename, error.evalue, lines) from None
    if status == "aborted":
        raise Aborted(NOT_RUN)


@contextlib.contextmanager
def in_words() -> Iterator[None]:
    """Show a SessionsError or an interrupt as its message alone: this package's own frames tell a user nothing."""
    try:
        yield
    except ExecutionFailed:
        raise
    except (SessionsError, KeyboardInterrupt) as error:
        told = error.by("use %session connect --url URL") if isinstance(error, ServerNotFound) else error
        message = plain(str(told))
        if _NO_SESSION.fullmatch(message):
            message += "\nThose that there are: %session list --all"
        lines = [_red(type(error).__name__) + (f": {message}" if message else "")]
        # An attribute of the instance: IPython asks the exception itself for its traceback.
        error.__dict__["_render_traceback_"] = lambda: lines
        raise


def _red(text: str) -> str:
    return f"\x1b[31m{text}\x1b[0m" if coloured() else text


def coloured() -> bool:
    """Say whether what is shown here may hold colours: in a notebook, and in a terminal that shows them."""
    stream = sys.stdout
    return bool(stream.isatty()) or type(stream).__name__ == "OutStream"


def without_colour(text: str) -> str:
    """Give a text without the colours a terminal would show."""
    return _NO_COLOUR.sub("", text)
