"""``jupyter sessions kernels``: the kernels of a session, and what can be done to each."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jupyter_sessions.cli import completion, output
from jupyter_sessions.cli.connection import (
    FormOption,
    LocationOption,
    Misused,
    NameArgument,
    UrlOption,
    connect,
    session_handle,
)
from jupyter_sessions.cli.rows import show_rows
from jupyter_sessions.cli.words import moment
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import parse_time
from jupyter_sessions.model.words import memory

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.client.handle import SessionHandle

EXAMPLE = (
    "Examples: `jupyter sessions kernels etl-nightly`; `jupyter sessions kernels etl-nightly --interrupt main`; "
    "`jupyter sessions kernels -o name`"
)
LIST = "list"
SecondName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME-AFTER-LIST",
        help="The session's name, where the word list was said before it.",
        show_default=False,
        autocompletion=completion.sessions,
    ),
]
MAIN, NEW = "main", "new"
COLUMNS = ("id", "name", "state", "last activity", "cpu", "memory", "connections", "main")

app = typer.Typer(rich_markup_mode="markdown")


@app.command(epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def kernels(
    name: NameArgument = None,
    second: SecondName = None,
    main: Annotated[
        str, typer.Option("--main", metavar="ID", help="Make this the main kernel, which exec, run and console use.")
    ] = "",
    interrupt: Annotated[str, typer.Option(metavar="ID", help="Interrupt what this kernel runs.")] = "",
    restart: Annotated[str, typer.Option(metavar="ID", help="Restart this kernel; its variables are lost.")] = "",
    shutdown: Annotated[str, typer.Option(metavar="ID", help="End this kernel; its variables are lost.")] = "",
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """List the kernels of a session, or act on one.

    As to templates, `list` may be said before NAME; alone it is the session of that name if there is one.

    ID may be `main` or the beginning of an id that no other kernel has.
    """
    acts = {"main": main, "interrupt": interrupt, "restart": restart, "shutdown": shutdown}
    chosen = [(act, which) for act, which in acts.items() if which]
    if len(chosen) > 1:
        raise Misused(f"--{chosen[0][0]} and --{chosen[1][0]} are two acts: do one after the other")
    with connect(url, location) as client:
        session = _session(client, name, second)
        for act, which in chosen:
            _act(session, act, which)
        if not chosen or form is not output.Format.TABLE:
            _list(session, form)


def _session(client: SessionsClient, name: str | None, second: str | None) -> SessionHandle:
    """Give the session that the words mean: ``list`` may stand before its name, or be it."""
    from jupyter_sessions.model.errors import NotFound

    if second is not None:
        if name != LIST:
            raise Misused(f"{second}: name one session, as jupyter sessions kernels {name}")
        return session_handle(client, second)
    try:
        return session_handle(client, name)
    except NotFound:
        if name != LIST:
            raise
        return session_handle(client, None)


def _list(session: SessionHandle, form: output.Format) -> None:
    from jupyter_sessions.client.kernels import kernels_of, main_of

    session.refresh()
    found = kernels_of(session.client, session.resource)
    main = str((main_of(session.resource, found) or {}).get("id", ""))
    if form is output.Format.NAME:
        output.names(kernel["id"] for kernel in found)
    elif form is output.Format.TABLE:
        none = f"is {session.state.name} and has no kernels"
        if session.state is State.ACTIVE:
            none = "has no kernel yet; exec, run and console start its first"
        show_rows(COLUMNS, [row(kernel, main) for kernel in found], f"session {session.id} {none}")
    else:
        output.write([{**kernel, "main": kernel["id"] == main} for kernel in found], form)


def row(kernel: Mapping[str, Any], main: str) -> list[str]:
    """Give a kernel's cells."""
    usage = kernel.get("usage") or {}
    cpu, used = usage.get("cpu_percent"), usage.get("memory_bytes")
    return [
        str(kernel["id"]),
        str(kernel.get("name", "")),
        str(kernel.get("execution_state", "")),
        _moment(kernel.get("last_activity")),
        "" if cpu is None else f"{cpu:.0f}%",
        memory(int(used)) if used else "",
        str(kernel.get("connections", "")),
        "*" if kernel["id"] == main else "",
    ]


def _moment(text: object) -> str:
    try:
        return moment(parse_time(str(text)), time.time_ns())
    except ValueError:
        return ""


def _act(session: SessionHandle, act: str, which: str) -> None:
    kernel = _find(session, which, *(() if act == MAIN else (MAIN,)))
    if act == MAIN:
        from jupyter_sessions.client.kernels import MAIN_LABEL

        session.client.update(str(session.name), {"labels": {MAIN_LABEL: kernel}}, [f"labels.{MAIN_LABEL}"])
        output.say(f"{kernel} is the main kernel of session {session.id}")
        return
    transport = session.client.transport
    if act == "shutdown":
        transport.call("DELETE", f"api/kernels/{kernel}")
    else:
        transport.call("POST", f"api/kernels/{kernel}/{act}", timeout=120.0)
    done = {"interrupt": "was interrupted", "restart": "was restarted", "shutdown": "was shut down"}[act]
    output.say(f"kernel {kernel} of session {session.id} {done}")


def _find(session: SessionHandle, which: str, *words: str) -> str:
    """Give the id of the kernel that is meant; raises NotFound that lists what there is, and the ``words`` for one."""
    from jupyter_sessions.client.kernels import running
    from jupyter_sessions.model.errors import NotFound

    if which == NEW:
        raise NotFound("a new kernel is none of those that run; exec --kernel new starts one")
    return str(running(session.client, session.resource, which, *words)["id"])
