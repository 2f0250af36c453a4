"""``jupyter sessions list``."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from jupyter_sessions.cli import output
from jupyter_sessions.cli.connection import FilterOption, FormOption, LocationOption, Misused, UrlOption, connect

if TYPE_CHECKING:
    from jupyter_sessions.client.client import SessionsClient
    from jupyter_sessions.model.resources import Session

EXAMPLE = (
    "Examples: `jupyter sessions list`; `jupyter sessions list --state ACTIVE -o name`; "
    "`jupyter sessions list --filter 'labels.team = fx' --watch`; `jupyter sessions list -o json | jq '.[].name'`"
)
STATES = ("CREATING", "ACTIVE", "TERMINATING", "TERMINATED", "FAILED")

app = typer.Typer(rich_markup_mode="markdown")


@app.command("list", epilog=f"{EXAMPLE}\n\n{output.EXITS}")
def list_(
    filter_: FilterOption = "",
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state", metavar="STATE", help="Only those in this state; may be repeated.", autocompletion=lambda: STATES
        ),
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--all-locations", "-A", help="Of every location; which do not answer is said on stderr.")
    ] = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch", "-w", help="Go on: a table that follows, or in a pipe a line for each change, until Ctrl-C."
        ),
    ] = False,
    form: FormOption = output.Format.TABLE,
    url: UrlOption = "",
    location: LocationOption = "",
) -> None:
    """List the sessions, newest first: name, state, how long, kernels, and when a limit ends each.

    `-o json` and `yaml` are the sessions as REST answers them. An idle end is known of kernels that this server knows.
    """
    if everywhere and location:
        output.say("--all-locations goes beyond --location, which only says where bare names are looked for")
    with connect(url, location) as client:
        wanted = Wanted(client, sought(filter_, state or ()), everywhere)
        if watch:
            from jupyter_sessions.cli.watching import watch as follow

            follow(wanted, form)
            return
        found = wanted.read()
        write(wanted, found, form)
        for place in wanted.unreachable:
            output.say(f"{place} does not answer; its sessions are those last known")


def sought(filter_: str, states: Sequence[str]) -> str:
    """Give one filter of a filter and states; raises Misused for a state that is none."""
    names = [state.upper() for state in states]
    for name in names:
        if name not in STATES:
            raise Misused(f"--state {name}: must be one of {', '.join(STATES)}")
    # OR binds tighter than AND there; brackets would move the columns that an error names.
    either = " OR ".join(f"state = {name}" for name in names)
    return " AND ".join(part for part in (filter_, either) if part)


class Wanted:
    """Which sessions are listed; ``unreachable`` names the locations that did not answer the last time.

    ``away`` says of each of these since when it does not answer.
    """

    def __init__(self, client: SessionsClient, filter_: str, everywhere: bool) -> None:
        self.client = client
        self.filter = filter_
        self.everywhere = everywhere
        self.unreachable: list[str] = []
        self.away: dict[str, str] = {}

    @property
    def location(self) -> str | None:
        """The location for the client's methods, ``-`` for all."""
        return "-" if self.everywhere else None

    def read(self) -> list[Session]:
        """Ask the server."""
        rows = self.client.list(filter=self.filter, location=self.location)
        found = list(rows)
        self.unreachable = rows.unreachable
        self.away = {place: "unreachable" for place in rows.unreachable}
        if self.away:
            self._say_since_when()
        return found

    def _say_since_when(self) -> None:
        from jupyter_sessions.cli.locations import unreachable_for
        from jupyter_sessions.model.errors import SessionsError

        try:
            places = self.client.locations.list()
        except SessionsError:
            # The list itself is there, and is worth more than since when.
            return
        for one in places:
            since = unreachable_for(one, time.time_ns())
            if since and str(one.name) in self.away:
                self.away[str(one.name)] = f"unreachable since {since}"


def write(wanted: Wanted, found: Sequence[Session], form: output.Format) -> None:
    """Write sessions in a format."""
    from jupyter_sessions.model import wire

    if form is output.Format.NAME:
        output.names(one.name for one in found)
    elif form is not output.Format.TABLE:
        output.write([wire.dump(one) for one in found], form)
    elif found:
        from jupyter_sessions.cli.tables import sessions_table

        made, lacking = sessions_table(wanted.client, found, wanted.everywhere, wanted.away)
        output.show(made)
        if lacking:
            output.say(lacking)
    else:
        output.say(nothing(wanted))


def nothing(wanted: Wanted) -> str:
    """Say that there is no session, and what to do."""
    if wanted.filter:
        return f"no session matches {wanted.filter}"
    where = "anywhere" if wanted.everywhere else f"in {wanted.client.location}"
    return f"there is no session {where}; to make one: jupyter sessions create NAME --wait"
