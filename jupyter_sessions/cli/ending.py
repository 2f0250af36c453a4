"""``jupyter sessions terminate`` and ``delete``: begin the end of each session, then wait for all."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_sessions.cli import completion, output
from jupyter_sessions.cli.connection import FilterOption, FormOption, LocationOption, Misused, UrlOption, connect, meant
from jupyter_sessions.cli.words import first_line
from jupyter_sessions.model.words import plain, short

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.client.operation import OperationHandle
    from jupyter_sessions.model.resources import Session

TERMINATE_EXAMPLE = (
    "Examples: `jupyter sessions terminate etl-nightly`; `jupyter sessions terminate a-session another --no-wait`; "
    "`jupyter sessions terminate --all --filter 'labels.team = fx'`"
)
DELETE_EXAMPLE = (
    "Examples: `jupyter sessions delete etl-nightly`; "
    "`jupyter sessions delete --all --filter 'state = TERMINATED OR state = FAILED' --yes`"
)
LIVE = "state = CREATING OR state = ACTIVE"

app = typer.Typer(rich_markup_mode="markdown")

Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME",
        help="The sessions; where one is live its name may be left out.",
        show_default=False,
        autocompletion=completion.sessions,
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every one in the location, or with --filter those that match.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end, or go once it is begun.")]


@app.command(epilog=f"{TERMINATE_EXAMPLE}\n\n{output.EXITS}")
def terminate(
    name: Names = None,
    every: All = False,
    filter_: FilterOption = "",
    yes: Yes = False,
    wait: Wait = True,
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """End sessions: their kernels are shut down, their history and log stay.

    Data on stdout: their names, or with `-o json` and `-o yaml` a list of them as they then are.
    """
    with connect(url, location) as client:
        act = Act("Terminate", "ended", client.terminate, LIVE, form, url)
        _run(client, act, Chosen(name or (), every, filter_, yes), wait)


@app.command(epilog=f"{DELETE_EXAMPLE}\n\n{output.EXITS}")
def delete(
    name: Names = None,
    every: All = False,
    filter_: FilterOption = "",
    yes: Yes = False,
    wait: Wait = True,
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """End sessions that live, and remove them with their history and log. On a terminal it asks about live ones.

    Data on stdout: their names, or with `-o json` and `-o yaml` a list of them as they last were.
    """
    with connect(url, location) as client:
        act = Act("Delete", "removed", client.delete, "", form, url)
        _run(client, act, Chosen(name or (), every, filter_, yes), wait)


@dataclass(frozen=True)
class Act:
    """What is done to each: ``word`` asks, ``done`` tells, ``begin`` is the client's method; ``scope`` bounds --all."""

    word: str
    done: str
    begin: Callable[[str], OperationHandle]
    scope: str
    form: output.Format
    url: str


@dataclass(frozen=True)
class Chosen:
    """Which sessions the words of a command mean."""

    names: Sequence[str]
    every: bool
    filter: str
    yes: bool

    def find(self, client: SessionsClient, act: Act) -> list[str]:
        """Give their names, asked about where they were not named; raises Misused, FailedPrecondition, Exit."""
        if self.names and (self.every or self.filter):
            raise Misused("give names, or --all with or without --filter, not both")
        if self.filter and not self.every:
            raise Misused("--filter says which of --all are meant: add --all")
        if self.names:
            named = list(dict.fromkeys(self.names))
            if act.word == "Delete" and not self.yes and _terminal():
                self._ask_about_the_live(client, act, named)
            return named
        if not self.every:
            one = client.only().name
            self._ask(act, f"{act.word} the only live session, {short(one)}", must=False)
            return [one]
        terms = " AND ".join(term for term in (self.filter, act.scope) if term)
        found = [one.name for one in client.list(filter=terms)]
        if not found:
            output.say(f"no session to {act.word.lower()} matches" if self.filter else "there is no such session")
        else:
            self._ask(act, f"{act.word} {len(found)}: {', '.join(map(short, found))}", must=True)
        return found

    def _ask_about_the_live(self, client: SessionsClient, act: Act, named: Sequence[str]) -> None:
        """Ask whether what runs is to go; what has ended needs no question, and what is none is told later."""
        from jupyter_sessions.model.errors import SessionsError

        live = []
        for name in named:
            try:
                found = client.calls.get_session(client.name(name), hint=False)
            except SessionsError:
                continue
            live += [] if found.state.final else [f"{short(found.name)} ({found.state.name})"]
        if live:
            ends = "it ends with its kernels and variables" if len(live) == 1 else "they end with kernels and variables"
            self._ask(act, f"{act.word} {', '.join(live)}: {ends}; go on", must=False)

    def _ask(self, act: Act, question: str, must: bool) -> None:
        """Ask on a terminal; elsewhere say what is done, and refuse what must be asked."""
        if self.yes:
            return
        if _terminal():
            try:
                agreed = _agreed(question)
            except KeyboardInterrupt:
                output.say("\nnothing was done")
                raise
            if not agreed:
                output.say("nothing was done")
                raise typer.Exit(output.FAULTS)
        elif must:
            raise Misused(f"{question}? Say --yes, for there is no terminal to ask on")
        else:
            output.say(question)


def _terminal() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def _agreed(question: str) -> bool:
    """Ask on stderr, for stdout holds data; all but a yes is a no."""
    sys.stderr.write(plain(f"{question}? [y/N]: "))
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


@dataclass
class Round:
    """What came of each session; ``left`` are those whose end goes on."""

    failed: int = 0
    ended: list[Session] = field(default_factory=list)
    left: dict[str, OperationHandle] = field(default_factory=dict)


def _run(client: SessionsClient, act: Act, chosen: Chosen, wait: bool) -> None:
    """Begin all, so that they end side by side, then wait for each; one that fails keeps no other back."""
    names = chosen.find(client, act)
    round_ = Round()
    try:
        for name in names:
            _begin(client, act, name, round_)
        for name in list(round_.left) if wait else ():
            _end(act, name, round_)
    except KeyboardInterrupt:
        _say_left(client, act, round_)
        raise
    if round_.left:
        _say_left(client, act, round_)
    _write(client, act, round_)
    if round_.failed:
        raise typer.Exit(output.FAULTS)


def _begin(client: SessionsClient, act: Act, name: str, round_: Round) -> None:
    from jupyter_sessions.cli.progress import unbroken
    from jupyter_sessions.model.errors import InvalidArgument, SessionsError

    try:
        with unbroken():
            operation = act.begin(name)
            round_.left[operation.session] = operation
    except SessionsError as error:
        round_.failed += 1
        output.say(f"{short(name)}: {output.reason(error)}" if not isinstance(error, InvalidArgument) else str(error))


def _end(act: Act, name: str, round_: Round) -> None:
    from jupyter_sessions.cli.progress import Steps
    from jupyter_sessions.model.errors import SessionsError

    operation = round_.left[name]
    try:
        with Steps(short(name)) as steps:
            session = operation.result(None, steps).resource
    except SessionsError as error:
        round_.failed += 1
        output.say(f"{short(name)}: {error}")
        if operation.done:
            del round_.left[name]
        return
    del round_.left[name]
    round_.ended.append(session)
    reason = first_line(session.state_message) or "no reason given"
    output.say(f"{short(name)} is {session.state.name}: {reason}" if act.scope else f"{short(name)} is {act.done}")


def _say_left(client: SessionsClient, act: Act, round_: Round) -> None:
    for name, operation in round_.left.items():
        look = f"jupyter sessions operations wait {meant(client, operation.name, act.url)}"
        output.say(f"{short(name)} is not yet {act.done}; it goes on at the server; to wait for it: {look}")


def _write(client: SessionsClient, act: Act, round_: Round) -> None:
    from jupyter_sessions.model import wire
    from jupyter_sessions.model.errors import NotFound
    from jupyter_sessions.model.resources import Session

    sessions = list(round_.ended)
    for name in round_.left:
        try:
            sessions.append(client.get(name))
        except NotFound:
            sessions.append(Session(name=name))
    if act.form is output.Format.NAME:
        output.names(one.name for one in sessions)
    elif act.form is output.Format.TABLE:
        output.names(short(one.name) for one in sessions)
    else:
        output.write([wire.dump(one) for one in sessions], act.form)
