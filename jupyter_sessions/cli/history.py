"""``jupyter sessions history``: a session is a line through time."""

from __future__ import annotations

import time
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
from jupyter_sessions.model.words import plain

if TYPE_CHECKING:
    from jupyter_sessions.cli.timeline import Span
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.model.resources import Session

EXAMPLE = "Examples: `jupyter sessions history etl-nightly`; `jupyter sessions history -o json | jq '.[] | .duration'`"
PIPED = 80
"""Columns of the line where stdout is no terminal."""

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def history(
    name: NameArgument = None,
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Draw a session's states through time, each with its start, its length and its message.

    The line is to scale, but that the shortest state can be seen. `-o json` and `yaml` add `duration` to what REST
    answers, and the state that it is in.
    """
    from jupyter_sessions.cli.timeline import spans_of

    with connect(url, location) as client:
        session = session_handle(client, name).resource
        spans = spans_of(session, time.time_ns())
        if form is output.Format.NAME:
            output.names([session.name])
        elif form is output.Format.TABLE:
            say_if_away(client, session)
            _show(client, session, spans)
        else:
            output.write([as_json(span) for span in spans], form)


def as_json(span: Span) -> dict[str, Any]:
    """Give a state as REST answers it in ``stateHistory``, with its length; of the last state too."""
    from jupyter_sessions.model.times import format_duration, format_time

    return {
        "state": span.state.name,
        "stateMessage": span.message,
        "stateStartTime": format_time(span.start),
        "duration": format_duration(span.length),
        "current": span.current,
    }


def _show(client: SessionsClient, session: Session, spans: list[Span]) -> None:
    from jupyter_sessions.cli.timeline import drawn

    width = output.width()
    _headline(client, session)
    output.show(drawn(spans, PIPED if width >= output.UNBROKEN else width))
    print()
    output.show(_table(spans))


def _headline(client: SessionsClient, session: Session) -> None:
    """Say what it is now: of a FAILED one the whole reason, of an ACTIVE one when it ends."""
    from rich.text import Text

    from jupyter_sessions.cli.detail import known_kernels
    from jupyter_sessions.cli.ends import ends_of
    from jupyter_sessions.cli.words import STYLES, since
    from jupyter_sessions.model.states import State
    from jupyter_sessions.model.words import SIGNS, short

    now, state = time.time_ns(), session.state
    line = Text(f"{SIGNS[state]} {short(session.name)} {state.name}", STYLES.get(state, ""))
    line.append(f"  {since(session, now)}", "default")
    if state is State.ACTIVE:
        line.append(f"  {ends_of(session, known_kernels(client, session)).sentence(now)}", "default")
    elif session.state_message:
        line.append(f"  {plain(session.state_message)}", "default")
    output.show(line)
    print()


def _table(spans: list[Span]) -> Any:
    from jupyter_sessions.cli.tables import state_cell
    from jupyter_sessions.cli.words import exact, first_line
    from jupyter_sessions.model.words import length

    made = output.table(("began", "state", "for", "message"))
    for column in made.columns[:-1]:
        column.no_wrap = True
    for span in spans:
        spent = "" if span.state.final else length(span.length)
        cells = [output.cell(exact(span.start)), state_cell(span.state), output.cell(spent)]
        made.add_row(*cells, output.cell(first_line(span.message)))
    return made
