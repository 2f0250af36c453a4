"""What commands share: their common options, the client that they speak through, and the session that they mean.

A command of its own module::

    app = typer.Typer(rich_markup_mode="markdown")

    @app.command(epilog=f"{EXAMPLE}\\n\\n{output.EXITS}")
    def get(
        name: NameArgument = None,
        form: FormOption = output.Format.TABLE,
        url: UrlOption = "",
        location: LocationOption = "",
    ) -> None:
        with connect(url, location) as client:
            output.write(wire.dump(session_handle(client, name).resource), form)

What it raises as SessionsError is told, and the exit code chosen, in :mod:`jupyter_sessions.cli.commands`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_sessions.cli import completion, output

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.client.handle import SessionHandle

PANEL = "Where"

UrlOption = Annotated[
    str,
    typer.Option(
        "--url",
        metavar="URL",
        help="The server (else JUPYTER_SESSIONS_URL, with JUPYTER_SESSIONS_TOKEN; else your running Jupyter server).",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
LocationOption = Annotated[
    str,
    typer.Option(
        "--location",
        metavar="LOCATION",
        help="The location, projects/P/locations/L or L (else JUPYTER_SESSIONS_LOCATION; else this machine's).",
        rich_help_panel=PANEL,
        show_default=False,
        autocompletion=completion.locations,
    ),
]
FormOption = Annotated[output.Format, typer.Option("-o", "--output", help="How to write it.")]
FilterOption = Annotated[
    str,
    typer.Option(
        "--filter", metavar="FILTER", help="Which ones, as AIP-160 says it: `state = ACTIVE AND labels.team = fx`."
    ),
]
NameArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="The session's id or full name; where one session is live it may be left out.",
        show_default=False,
        autocompletion=completion.sessions,
    ),
]


class Misused(typer.BadParameter):
    """The words of a command do not fit together: told with the command's usage, exit code 2."""

    def format_message(self) -> str:
        """Give the message alone, without the name of a parameter."""
        return self.message


def connect(url: str = "", location: str = "") -> SessionsClient:
    """Give a client of the server that the options mean; raises ServerNotFound, InvalidArgument."""
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.client.errors import ServerNotFound

    try:
        return SessionsClient(url or None, location=location or None)
    except ServerNotFound as error:
        raise error.by("use --url") from error


def session_handle(client: SessionsClient, name: str | None) -> SessionHandle:
    """Give the session of a name, or the only live one; raises NotFound, FailedPrecondition that lists the live."""
    from jupyter_sessions.client.handle import SessionHandle

    return SessionHandle(client, client.get(name) if name else client.only())


def session_hint(word: str, url: str = "", location: str = "") -> str:
    """Give what to add to an error of a file that is not there, where its name is that of a session; else ``""``."""
    from jupyter_sessions.model.errors import SessionsError
    from jupyter_sessions.model.names import check_session_id

    try:
        check_session_id(word)
        with connect(url, location) as client:
            client.get(word)
    except SessionsError:
        return ""
    return f"; a session has this name: --session {word}"


def meant(client: SessionsClient, name: str, url: str = "") -> str:
    """Give the words that name a session to another command: its id where that will do, and the server if one was."""
    from jupyter_sessions.client.client import LOCATION
    from jupyter_sessions.model.names import LOCAL

    alone = name.startswith(f"{LOCAL}/") and LOCATION not in os.environ
    return (name.rpartition("/")[2] if alone else name) + (f" --url {client.url}" if url else "")
