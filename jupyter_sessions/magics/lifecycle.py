"""What ``%session`` does to sessions, and says of them."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from itertools import islice

from jupyter_sessions.client.client import SessionsClient
from jupyter_sessions.client.errors import NameTaken
from jupyter_sessions.client.operation import OperationHandle
from jupyter_sessions.magics import table, words
from jupyter_sessions.magics.arguments import pairs
from jupyter_sessions.magics.context import Context, step
from jupyter_sessions.magics.front import Steps
from jupyter_sessions.magics.live import LiveTable
from jupyter_sessions.magics.table import Cell, Table
from jupyter_sessions.model.errors import FailedPrecondition, FieldViolation, InvalidArgument
from jupyter_sessions.model.resources import Kernel, Session
from jupyter_sessions.model.states import State
from jupyter_sessions.model.times import format_duration
from jupyter_sessions.model.words import memory, short

MOST = 500
"""Sessions that one table is made of at most."""


def list_sessions(context: Context, asked: argparse.Namespace) -> None:
    """Show the table of sessions."""
    location = "-" if asked.all_locations else asked.location
    unreachable: list[str] = []

    def look(client: SessionsClient) -> Sequence[Session]:
        listing = client.list(filter=asked.filter, location=location)
        found = list(islice(listing, MOST))
        unreachable[:] = listing.unreachable
        return found

    def draw(found: Sequence[Session]) -> Table:
        made = table.sessions(found, time.time_ns(), attached=context.attached, all_ended=asked.all)
        notes = [f"{place} does not answer; its sessions are as last seen" for place in unreachable]
        if len(found) == MOST:
            notes.append(f"These are among the newest {MOST}; narrow the list with --filter.")
        return Table(made.columns, made.rows, (*made.notes, *notes))

    if context.live is not None:
        context.live.stop()
        context.live = None
    found = context.fresh(look)
    if not context.front.updates:
        context.front.show(draw(found))
        return
    client = context.client
    context.live = LiveTable(context.front, client, location, lambda: look(client), draw)
    context.live.show(found)


def create(context: Context, asked: argparse.Namespace) -> None:
    """Make a session, and by default wait until it is ACTIVE."""
    _check_lengths(asked)

    def begin(client: SessionsClient) -> OperationHandle:
        return client.create(
            asked.name or "",
            template=asked.template,
            labels=pairs(asked.label, "--label"),
            kernel=asked.kernel,
            display_name=asked.display_name,
            properties=pairs(asked.property, "--property"),
            ttl=asked.ttl,
            idle_ttl=asked.idle_ttl,
            location=asked.location,
            replace=asked.replace,
        )

    try:
        operation = context.fresh(begin)
    except NameTaken as error:
        raise error.by("add --replace", "delete it first (%session delete {id})") from None
    steps = Steps(context.front)
    name = operation.session
    if asked.attach:
        context.attached = name
    if asked.no_wait:
        steps.tell(f"{short(name)} is starting; %session shows how far it is")
        return
    try:
        handle = operation.result(progress=lambda session: steps.tell(step(session)))
    except KeyboardInterrupt:
        sys.stderr.write(f"{short(name)} goes on starting; to end it: %session terminate {short(name)}\n")
        raise
    used = " and is what %%session uses" if asked.attach else ""
    steps.tell(f"{handle.id} is ACTIVE{used}")


def _check_lengths(asked: argparse.Namespace) -> None:
    """Raise InvalidArgument where a length is none, by the name of its option."""
    from jupyter_sessions.client.durations import nanoseconds

    for option, text in (("--ttl", asked.ttl), ("--idle-ttl", asked.idle_ttl)):
        if text is not None:
            nanoseconds(text, option)


def attach(context: Context, asked: argparse.Namespace) -> None:
    """Make a session the default of ``%%session``."""
    name = context.which(asked.name)
    session = context.look(name)
    if session.state not in (State.CREATING, State.ACTIVE):
        reason = session.state_message or "no reason given"
        raise FailedPrecondition(f"{short(name)} is {session.state.name} ({reason}); attach a live one")
    context.attached = name
    context.front.mention(f"%%session uses {short(name)} ({session.state.name}) unless it names another")


def detach(context: Context, asked: argparse.Namespace) -> None:
    """Have no default any more."""
    before, context.attached = context.attached, ""
    said = f"{short(before)} is no longer what %%session uses; it goes on" if before else "none was attached"
    context.front.mention(said)


def info(context: Context, asked: argparse.Namespace) -> None:
    """Show all there is to know of a session."""
    session = context.look(context.which(asked.name))
    now = time.time_ns()
    kernel = session.kernel.name if session.kernel else Kernel.PYTHON.name
    template = short(session.session_template)
    rows = [
        ("name", Cell(session.name)),
        ("state", Cell(session.state.name, session.state)),
        ("for", Cell(words.for_how_long(session, now))),
        ("message", Cell(session.state_message)),
        ("ends", Cell(words.end(session, now))),
        ("ttl", Cell(format_duration(session.ttl) if session.ttl else "")),
        ("idle ttl", Cell(format_duration(session.idle_ttl) if session.idle_ttl else "")),
        ("created", Cell(f"{words.clock(session.create_time)} by {session.creator or 'nobody named'}")),
        ("kernel", Cell(kernel.lower())),
        ("display name", Cell(session.jupyter_session.display_name if session.jupyter_session else "")),
        ("template", Cell(template)),
        ("labels", Cell(words.labels(session))),
        *((key, Cell(value)) for key, value in sorted(session.properties.items())),
        ("uuid", Cell(session.uuid, muted=True)),
    ]
    context.front.show(table.facts(rows))


def history(context: Context, asked: argparse.Namespace) -> None:
    """Show the states that a session went through."""
    session = context.look(context.which(asked.name))
    context.front.show(table.history([*session.state_history, session.as_history()], time.time_ns()))


def logs(context: Context, asked: argparse.Namespace) -> None:
    """Print a session's log."""
    if asked.tail is not None and asked.tail < 0:
        raise InvalidArgument([FieldViolation("--tail", f"must be 0 or more, not {asked.tail}")])
    name = context.which(asked.name)
    pieces = context.fresh(lambda client: client.logs(name, follow=asked.follow, tail=asked.tail))
    try:
        for piece in pieces:
            sys.stdout.write(piece)
            sys.stdout.flush()
    except KeyboardInterrupt:
        if not asked.follow:
            raise


def extend(context: Context, asked: argparse.Namespace) -> None:
    """Let a session live longer, or be idle longer."""
    name = context.which(asked.name)
    if asked.ttl is None and asked.idle_ttl is None:
        raise InvalidArgument("%session extend: give --ttl, --idle-ttl or both, as --ttl 12h")
    _check_lengths(asked)
    session = context.fresh(lambda client: client.extend(name, ttl=asked.ttl, idle_ttl=asked.idle_ttl))
    context.front.mention(f"{short(name)} ends {words.end(session, time.time_ns()) or 'by no limit'}")


def terminate(context: Context, asked: argparse.Namespace) -> None:
    """End a session; it stays listed."""
    name = context.which(asked.name)
    operation = context.fresh(lambda client: client.terminate(name))
    if context.attached == name:
        context.attached = ""
    steps = Steps(context.front)
    if asked.no_wait:
        steps.tell(f"{short(name)} is ending")
        return
    handle = operation.result(progress=lambda session: steps.tell(step(session)))
    steps.tell(step(handle.resource))


def delete(context: Context, asked: argparse.Namespace) -> None:
    """End a session if it lives, and remove it."""
    name = context.full_name(asked.name)
    operation = context.fresh(lambda client: client.delete(name))
    if context.attached == name:
        context.attached = ""
    steps = Steps(context.front)
    if asked.no_wait:
        steps.tell(f"{short(name)} is being removed")
        return
    operation.result(progress=lambda session: steps.tell(step(session)))
    steps.tell(f"{short(name)} is gone, with its history and log")


def kernels(context: Context, asked: argparse.Namespace) -> None:
    """Show the kernels of a session."""
    name = context.which(asked.name)
    rows = []
    for model in context.fresh(lambda client: client.kernels(name)):
        usage = model.get("usage") or {}
        used = usage.get("memory_bytes")
        rows.append(
            (
                Cell(str(model.get("id", ""))),
                Cell(str(model.get("execution_state", ""))),
                Cell(f"{usage['cpu_percent']:.0f} %" if usage.get("cpu_percent") is not None else "", muted=True),
                Cell(memory(int(used)) if used else "", muted=True),
                Cell(str(model.get("last_activity") or "").replace("T", " ")[:19], muted=True),
            )
        )
    notes = () if rows else (f"{short(name)} has no kernel; %%session starts one",)
    context.front.show(Table(("kernel", "state", "cpu", "memory", "last activity (UTC)"), tuple(rows), notes))


def interrupt(context: Context, asked: argparse.Namespace) -> None:
    """Interrupt what a kernel of a session runs."""
    from jupyter_sessions.client.kernels import MAIN, running

    session = context.look(context.which(asked.name))
    kernel = running(context.client, session, asked.kernel, MAIN)["id"]
    context.client.transport.call("POST", f"api/kernels/{kernel}/interrupt", safe=True)
    context.front.mention(f"interrupted kernel {kernel} of session {short(session.name)}")
