"""``jupyter sessions``: its options, and its commands behind them."""

from __future__ import annotations

import io
import os
import sys
from typing import Annotated

import typer

from jupyter_sessions import __version__
from jupyter_sessions.cli import completion, output
from jupyter_sessions.cli.commands import MARKUP, Commands

NAME = "jupyter sessions"
EXAMPLE = (
    f"Examples: `{NAME} create etl-nightly --wait`; `{NAME} exec etl-nightly 'print(1)'`; `{NAME} list`; "
    f"`{NAME} terminate etl-nightly`"
)
NAMES = (
    "Where one session is live its name may be left out. Data go to stdout, talk goes to stderr; "
    "`-o json`, `yaml` and `name` are for programs."
)

app = typer.Typer(
    name=NAME,
    cls=Commands,
    no_args_is_help=True,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=MARKUP,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit(output.OK)


@app.callback(epilog=f"{EXAMPLE}\n\n{NAMES}\n\n{output.EXITS}")
def sessions(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    install: Annotated[
        bool,
        typer.Option("--install-completion", help=f"Let your shell complete `{completion.PROGRAM}` and names."),
    ] = False,
    show: Annotated[
        bool, typer.Option("--show-completion", help="Print what completes it, to be put in place by hand.")
    ] = False,
    shell: Annotated[
        completion.Shell | None, typer.Option(help="The shell to complete in, if it is not the one this runs in.")
    ] = None,
) -> None:
    """Interactive sessions that outlive notebook, browser and server."""
    if install or show:
        completion.offer(shell, install)
        raise typer.Exit(output.OK)
    if context.invoked_subcommand is None:
        context.fail("Missing command.")


def run() -> None:
    """Run the command that the arguments name, and exit with its code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a sign is no reason to fail.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if completion.VARIABLE in os.environ:
        completion.prepare()
    app(prog_name=NAME, complete_var=completion.VARIABLE)
