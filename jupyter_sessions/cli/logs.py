"""``jupyter sessions logs``: what a session's host and kernels wrote."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.connection import LocationOption, NameArgument, UrlOption, connect, session_handle

if TYPE_CHECKING:
    from jupyter_sessions.client.calls import Calls
    from jupyter_sessions.model.names import SessionName

EXAMPLE = "Examples: `jupyter sessions logs etl-nightly`; `jupyter sessions logs -f --tail 20`"
HOLDS = "it holds what the host and the kernels write themselves, as warnings and crashes, not what cells print"
FIRST = 64 * 1024
"""Bytes that are looked through first for the last lines."""

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def logs(
    name: NameArgument = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the session has ended.")] = False,
    tail: Annotated[int | None, typer.Option(min=0, metavar="N", help="Begin with the last N lines.")] = None,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Write a session's log: what its host and its kernels wrote themselves, also after its end.

    What cells print is in the notebook, not here: a healthy session's log may be empty.
    """
    with connect(url, location) as client:
        session = session_handle(client, name)
        nothing = True
        for piece in _pieces(client.calls, session.name, follow, tail):
            sys.stdout.write(piece)
            sys.stdout.flush()
            nothing = nothing and not piece
        if nothing and tail != 0:
            output.say(f"the log of {session.id} is empty: {HOLDS}")
        if follow:
            ended = session.refresh()
            output.say(f"{session.id} is {ended.state.name}: {ended.state_message or 'no reason given'}")


def _pieces(calls: Calls, name: SessionName, follow: bool, tail: int | None) -> Iterator[str]:
    from jupyter_sessions.client.logs import read_log

    if tail is None:
        return read_log(calls, name, follow, None)
    text, offset = last_lines(calls, name, tail)
    return chain([text], read_log(calls, name, follow, None, start=offset) if follow else ())


def last_lines(calls: Calls, name: SessionName, lines: int) -> tuple[str, int]:
    """Give the last lines of a log as it is now, and the offset behind them."""
    size = FIRST
    while True:
        text, start, end = _last(calls, name, size)
        found = re.findall(r"[^\n]*\n|[^\n]+", text)
        if len(found) > lines or end - start < size:
            return "".join(found[len(found) - min(lines, len(found)) :]), end
        size *= 8


def _last(calls: Calls, name: SessionName, size: int) -> tuple[str, int, int]:
    """Give the last bytes of a log as text, the offset where it begins and the one behind it."""
    from jupyter_sessions.client.logs import PIECE

    page = calls.read_log(name, -size, PIECE)
    start, texts = page.offset, [page.content]
    while page.content and page.next_offset - start < size:
        page = calls.read_log(name, page.next_offset, PIECE)
        texts.append(page.content)
    return "".join(texts), start, page.next_offset
