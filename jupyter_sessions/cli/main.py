"""``jupyter sessions``: the groups of commands, each a module of this room."""

from __future__ import annotations

from typing import Annotated

import typer

from jupyter_sessions import __version__
from jupyter_sessions.cli import doctor, output, serve

NAME = "jupyter sessions"
EXAMPLE = f"Example: `{NAME} doctor` says whether all is well here, and what to mend if not."

app = typer.Typer(
    name=NAME,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(serve.app, name="serve")
app.add_typer(doctor.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit(output.OK)


@app.callback(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def sessions(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Interactive sessions that outlive notebook, browser and server."""


def main() -> None:
    """Run the command that the arguments name, and exit with its code."""
    app(prog_name=NAME)
