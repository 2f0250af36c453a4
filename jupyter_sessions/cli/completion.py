"""Shell completion of ``jupyter-sessions``: of names, quick and silent, and its installation."""

from __future__ import annotations

import contextlib
import enum
import itertools
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

from jupyter_sessions.cli import output

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient

PROGRAM = "jupyter-sessions"
"""The program that shells complete: its two words in one, for a shell knows the first word only."""
VARIABLE = "_JUPYTER_SESSIONS_COMPLETE"
"""The environment variable that asks the program for completions."""
PATIENCE_S = 2.0
"""How long somebody who pressed Tab is kept waiting at most, in seconds."""
MOST = 200


class Shell(str, enum.Enum):
    """A shell that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


Found = list[tuple[str, str]]
"""Words that complete, each with its help."""


def sessions(context: typer.Context, incomplete: str) -> Found:
    """Give the sessions that a name may mean."""

    def find(client: SessionsClient) -> Iterable[tuple[str, str]]:
        full = incomplete.startswith("projects/")
        for one in client.list(location="-" if full else None, page_size=MOST):
            yield one.name if full else one.name.rpartition("/")[2], one.state.name

    return _found(context, incomplete, find)


def templates(context: typer.Context, incomplete: str) -> Found:
    """Give the templates that a name may mean."""

    def find(client: SessionsClient) -> Iterable[tuple[str, str]]:
        for one in client.templates.list(page_size=MOST):
            yield one.name.rpartition("/")[2], one.display_name or one.description

    return _found(context, incomplete, find)


def locations(context: typer.Context, incomplete: str) -> Found:
    """Give the locations that a name may mean: by their last part, or by all of it where that was begun."""

    def find(client: SessionsClient) -> Iterable[tuple[str, str]]:
        there = client.locations.list()
        short = [one.name.location for one in there]
        for one in there:
            alone = short.count(one.name.location) == 1 and not incomplete.startswith("projects/")
            yield one.name.location if alone else str(one.name), one.display_name

    return _found(context, incomplete, find)


def _found(
    context: typer.Context, incomplete: str, find: Callable[[SessionsClient], Iterable[tuple[str, str]]]
) -> Found:
    """Ask the server that the words before name; nothing comes of one that is not there, and little of a slow one."""
    said = {name: str(value) for name, value in context.params.items() if value and name in ("url", "location")}
    found: Found = []

    def ask() -> None:
        from jupyter_sessions.client.client import SessionsClient
        from jupyter_sessions.model.errors import SessionsError

        with contextlib.suppress(SessionsError):
            client = SessionsClient(said.get("url"), location=said.get("location"), timeout=PATIENCE_S)
            matching = ((word, help_) for word, help_ in find(client) if word.startswith(incomplete))
            found.extend(itertools.islice(matching, MOST))

    # In a thread of its own, for an address where nobody answers would be tried for longer.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE_S)
    return list(found)


def prepare() -> None:
    """Make this process able to answer a shell."""
    from typer.main import get_install_completion_arguments

    # It registers typer's shells; the options that it gives have no value for a shell, and are not used.
    get_install_completion_arguments()


def offer(shell: Shell | None, install: bool) -> None:
    """Write what makes a shell complete the program: to where the shell reads it, or to stdout."""
    from typer import completion as typers

    name = shell.value if shell else _shell()
    if install:
        # Both are typer's documented way, but not marked as exported there.
        _, path = typers.install(shell=name, prog_name=PROGRAM, complete_var=VARIABLE)  # type: ignore[attr-defined]
        output.say(f"{path} completes {PROGRAM} in {name}, from the next terminal on")
    else:
        script = typers.get_completion_script  # type: ignore[attr-defined] # as above
        print(script(prog_name=PROGRAM, complete_var=VARIABLE, shell=name))


def _shell() -> str:
    """Give the shell that this was started from."""
    import shellingham  # type: ignore[import-untyped] # it ships no types

    try:
        found, _ = shellingham.detect_shell()
    except shellingham.ShellDetectionFailure:
        found = ""
    if found not in {one.value for one in Shell}:
        known = ", ".join(one.value for one in Shell)
        raise typer.BadParameter(f"{found or 'the shell'} is not one of {known}; name one", param_hint="--shell")
    return str(found)
