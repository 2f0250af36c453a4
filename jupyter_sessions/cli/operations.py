"""``jupyter sessions operations``: the work that a server goes on with, and how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.connection import FilterOption, FormOption, LocationOption, UrlOption, connect
from jupyter_sessions.cli.description import DURATION, seconds
from jupyter_sessions.cli.rows import show_rows
from jupyter_sessions.cli.words import moment
from jupyter_sessions.model.words import length, short

if TYPE_CHECKING:
    from jupyter_sessions.model.resources import Operation

EXAMPLE = "Examples: `jupyter sessions operations list --filter 'done = false'`; `jupyter sessions operations wait ID`"
COLUMNS = ("id", "type", "session", "state", "began", "took")

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
Name = Annotated[str, typer.Argument(metavar="ID", help="The operation's id, or its full name.")]


@app.callback(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def operations() -> None:
    """The operations of a server: each create, terminate and delete, how far it is and how it ended."""


@app.command(name="list", epilog="Example: `jupyter sessions operations list --filter 'operation_type = CREATE'`")
def list_(
    filter_: FilterOption = "",
    everywhere: Annotated[bool, typer.Option("--all-locations", help="In every location.")] = False,
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """List operations, newest first."""
    with connect(url, location) as client:
        rows = client.operations.list(filter=filter_, location="-" if everywhere else None, partial=everywhere)
        _write_all(list(rows), form)
        for place in rows.unreachable:
            output.say(f"{place} does not answer; its operations are missing")


@app.command(epilog="Example: `jupyter sessions operations get 5d1f2c3e-0000-4000-8000-000000000000 -o json`")
def get(name: Name, form: FormOption = output.Format.TABLE, url: UrlOption = "", location: LocationOption = "") -> None:
    """Show one operation."""
    with connect(url, location) as client:
        _write_one(client.operations.get(name), form)


@app.command(epilog="Example: `jupyter sessions operations cancel 5d1f2c3e-0000-4000-8000-000000000000`")
def cancel(name: Name, url: UrlOption = "", location: LocationOption = "") -> None:
    """Cancel a create that is running, which ends its session; another kind goes on."""
    with connect(url, location) as client:
        client.operations.cancel(name)
        after = client.operations.get(name)
    output.say(f"{_words(after)}: {_state(after)}")


@app.command(epilog="Example: `jupyter sessions operations delete 5d1f2c3e-0000-4000-8000-000000000000`")
def delete(name: Name, url: UrlOption = "", location: LocationOption = "") -> None:
    """Forget an operation; its work goes on."""
    with connect(url, location) as client:
        client.operations.delete(name)
    output.say(f"operation {short(name)} is forgotten")


@app.command(epilog="Example: `jupyter sessions operations wait 5d1f2c3e-0000-4000-8000-000000000000 --timeout 10m`")
def wait(
    name: Name,
    timeout: Annotated[
        str, typer.Option(metavar="DURATION", help=f"Wait so long at most: {DURATION}; it then goes on.")
    ] = "",
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """Wait until an operation has ended, and show it; what failed exits with 1."""
    from jupyter_sessions.cli.progress import Steps
    from jupyter_sessions.client.operation import OperationHandle

    limit = seconds(timeout)
    with connect(url, location) as client:
        handle = OperationHandle(client, client.operations.get(name))
        try:
            with Steps(short(handle.session)) as steps:
                handle.result(limit, steps)
        finally:
            if handle.done:
                _write_one(handle.operation, form)


def _write_all(found: list[Operation], form: output.Format) -> None:
    from jupyter_sessions.model import wire

    if form is output.Format.NAME:
        output.names(one.name for one in found)
    elif form is output.Format.TABLE:
        show_rows(COLUMNS, [_row(one) for one in found], "no operations")
    else:
        output.write([wire.dump(one) for one in found], form)


def _write_one(one: Operation, form: output.Format) -> None:
    from jupyter_sessions.model import wire

    if form in (output.Format.NAME, output.Format.TABLE):
        _write_all([one], form)
    else:
        output.write(wire.dump(one), form)


def _row(one: Operation) -> list[str]:
    told, now = one.metadata, time.time_ns()
    took = length((told.done_time or now) - told.create_time)
    began = moment(told.create_time, now)
    return [short(one.name), told.operation_type.name.lower(), short(told.session), _state(one), began, took]


def _words(one: Operation) -> str:
    return f"{one.metadata.description or 'operation'} {short(one.metadata.session)}"


def _state(one: Operation) -> str:
    """Say how far an operation is; of one that failed why."""
    from jupyter_sessions.model.answers import BY_RPC

    if not one.done:
        return "running"
    if one.error is None:
        return "done"
    kind = BY_RPC.get(one.error.code)
    return f"{kind.status if kind else one.error.code}: {one.error.message}"
