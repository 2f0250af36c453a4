"""``jupyter sessions extend``."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.connection import (
    FormOption,
    LocationOption,
    Misused,
    NameArgument,
    UrlOption,
    connect,
    session_handle,
)
from jupyter_sessions.cli.description import DURATION, lifetimes
from jupyter_sessions.model.words import plain

EXAMPLE = "Examples: `jupyter sessions extend etl-nightly --ttl 2d`; `jupyter sessions extend --idle-ttl 12h --ttl 3d`"

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def extend(
    name: NameArgument = None,
    ttl: Annotated[
        str, typer.Option(metavar="DURATION", help=f"Its longest life, counted from its ACTIVE time: {DURATION}.")
    ] = "",
    idle_ttl: Annotated[str, typer.Option(metavar="DURATION", help="How long it may be idle, likewise.")] = "",
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Change how long a session may live and be idle, and say when it ends now."""
    from jupyter_sessions.cli.detail import known_kernels
    from jupyter_sessions.cli.ends import ends_of
    from jupyter_sessions.model import wire
    from jupyter_sessions.model.words import short

    if not ttl and not idle_ttl:
        raise Misused("say how long: --ttl, --idle-ttl or both")
    lifetimes(ttl, idle_ttl)
    with connect(url, location) as client:
        session = session_handle(client, name).extend(ttl=ttl or None, idle_ttl=idle_ttl or None)
        if form is output.Format.NAME:
            output.names([session.name])
        elif form is output.Format.TABLE:
            ends = ends_of(session, known_kernels(client, session))
            print(plain(f"{short(session.name)} {ends.sentence(time.time_ns())}"))
        else:
            output.write(wire.dump(session), form)
