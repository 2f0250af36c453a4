"""``jupyter sessions get``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.connection import (
    FormOption,
    LocationOption,
    NameArgument,
    UrlOption,
    connect,
    session_handle,
)
from jupyter_sessions.cli.locations import say_if_away

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.model.resources import Session

EXAMPLE = (
    "Examples: `jupyter sessions get etl-nightly`; `jupyter sessions get -o yaml`; "
    "`jupyter sessions get etl-nightly -o json | jq -r .state`"
)

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def get(
    name: NameArgument = None,
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Show one session in full.

    `-o json` and `yaml` are the session as REST answers it; either can be the `--file` of a create.
    """
    from jupyter_sessions.model import wire

    with connect(url, location) as client:
        session = session_handle(client, name).resource
        if form is output.Format.NAME:
            output.names([session.name])
        elif form is output.Format.TABLE:
            say_if_away(client, session)
            _show(session, known_kernels(client, session))
        else:
            output.write(wire.dump(session), form)


def known_kernels(client: SessionsClient, session: Session) -> Sequence[Mapping[str, Any]]:
    """Give the kernels of an ACTIVE session; none where its host does not answer, which is said."""
    from jupyter_sessions.model.errors import SessionsError
    from jupyter_sessions.model.states import State

    if session.state is not State.ACTIVE:
        return ()
    try:
        return client.kernels(session.name)
    except SessionsError as error:
        output.say(f"its kernels are not known: {error}")
        return ()


def _show(session: Session, kernels: Sequence[Mapping[str, Any]]) -> None:
    from rich.table import Table

    from jupyter_sessions.cli.words import STYLES
    from jupyter_sessions.model.words import SIGNS

    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for word, text in facts(session, kernels, time.time_ns()):
        style = STYLES.get(session.state, "") if word == "state" else ""
        shown = f"{SIGNS[session.state]} {text}" if word == "state" else text
        made.add_row(word, output.cell(shown, style))
    output.show(made)


def facts(session: Session, kernels: Sequence[Mapping[str, Any]], now: int) -> Iterator[tuple[str, str]]:
    """Give what is known of a session as pairs of words; what is not set is left out."""
    from jupyter_sessions.cli.ends import ends_of
    from jupyter_sessions.cli.words import exact, kernel_word, since
    from jupyter_sessions.model.states import State
    from jupyter_sessions.model.words import length, short

    ends = f", {ends_of(session, kernels).sentence(now)}" if session.state is State.ACTIVE else ""
    shown = session.jupyter_session.display_name if session.jupyter_session else ""
    runtime = session.runtime_info
    pairs = [
        ("name", session.name),
        ("state", f"{session.state.name} {since(session, now)}{ends}"),
        ("message", session.state_message),
        ("kernel", f"{kernel_word(session)} ({shown})" if shown else kernel_word(session)),
        ("kernels", "\n".join(_kernel(kernel) for kernel in kernels)),
        ("labels", _lines(session.labels)),
        ("template", short(session.session_template)),
        ("properties", _lines(session.properties)),
        ("longest life", length(session.ttl) if session.ttl else ""),
        ("longest idle", length(session.idle_ttl) if session.idle_ttl else ""),
        ("endpoints", _lines(runtime.endpoints)),
        ("output", runtime.output_uri),
        ("creator", session.creator),
        ("user", session.user if session.user != session.creator else ""),
        ("created", exact(session.create_time) if session.create_time else ""),
        ("uuid", session.uuid),
    ]
    yield from ((word, text) for word, text in pairs if text)


def _kernel(kernel: Mapping[str, Any]) -> str:
    from jupyter_sessions.model.words import memory

    used = (kernel.get("usage") or {}).get("memory_bytes")
    shown = f"  {memory(int(used))}" if used else ""
    return f"{kernel.get('id')}  {kernel.get('name')}  {kernel.get('execution_state')}{shown}"


def _lines(told: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in sorted(told.items()))
